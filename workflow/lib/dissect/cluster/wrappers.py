"""What makes an outage of Slurm's daemons a pause: wrappers of its commands, first in PATH."""

import os
import shutil
from pathlib import Path

from dissect.cluster.slurm import configuration
from dissect.errors import DissectError

# The plugin looks at its jobs at least every 180 s.
_LONGEST_LOOK_AWAY = 240


def use_wrappers(folder: Path) -> None:
    """Put the wrappers for this cluster, with or without accounting, into this process's PATH.

    Raises:
        DissectError: if finished jobs would be forgotten before anyone has looked at them.
    """
    slurm = configuration()
    accounting = slurm.get("AccountingStorageType", "").endswith("slurmdbd")
    age = int(slurm.get("MinJobAge", "300").split()[0])
    if not accounting and age < _LONGEST_LOOK_AWAY:
        raise DissectError(
            f"this cluster has no accounting and forgets finished jobs after {age} s (MinJobAge), "
            f"too soon to see how they ended; it needs {_LONGEST_LOOK_AWAY} s: ask its keepers"
        )
    for name in ("sbatch", "sacct") if accounting else ("sbatch",):
        path = shutil.which(name)
        if path is None:
            raise DissectError(f"{name} is not there: run this on a node that may submit jobs")
        os.environ[f"DISSECT_{name.upper()}"] = path  # what the wrapper goes on to
    flavour = "with_accounting" if accounting else "without_accounting"
    folders = [str(folder / flavour), str(folder)]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ["PATH"]])
