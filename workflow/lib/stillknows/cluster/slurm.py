"""Questions to Slurm, and its commands as they are during an outage."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stillknows.errors import StudyError

# The plugin names all jobs of a run by the run's id: a UUID, after a prefix if there is one.
_RUN_ID = re.compile(r"(\S+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# States of jobs that still are, or will be, in the way of a second one.
_UNFINISHED = "PENDING,RUNNING,SUSPENDED,CONFIGURING,COMPLETING,STOPPED,REQUEUED,REQUEUE_HOLD"
# The plugin looks at its jobs at least every 180 s.
_LONGEST_LOOK_AWAY = 240


@dataclass(frozen=True)
class Job:
    """A job in the queue: its id, its run, and what it is (rule and wildcards)."""

    id: str
    run: str
    comment: str


def ask(*command: str) -> str:
    """What a Slurm command prints.

    Raises:
        StudyError: if there is no such command, or Slurm does not answer.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise StudyError(f"{command[0]} was not found: run this on a node with Slurm") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StudyError(f"{command[0]} failed ({reason}): try again when Slurm answers") from error
    return done.stdout


def unfinished_jobs(folder: Path) -> list[Job]:
    """The user's jobs that a Snakemake in this folder has submitted and that are not done."""
    # %Z: working directory. It may hold any character but a newline, so it comes last.
    listing = _squeue("%i|%j|%k|%Z")
    fields = (line.split("|", maxsplit=3) for line in listing.splitlines())
    return [
        Job(job, run, comment)
        for job, run, comment, where in fields
        if _RUN_ID.fullmatch(run) and Path(where).resolve() == folder.resolve()
    ]


def is_unfinished(job: str) -> bool:
    """Whether a job of that id is waiting or running."""
    return job in _squeue("%i").split()


def _squeue(format_: str) -> str:
    return ask("squeue", "--me", "--noheader", "--states", _UNFINISHED, "--format", format_)


def use_wrappers(folder: Path) -> None:
    """Put wrappers of Slurm's commands first in PATH: they make an outage of its daemons a pause.

    Args:
        folder: of the wrappers, with or without accounting.

    Raises:
        StudyError: if finished jobs would be forgotten before anyone has looked at them.
    """
    lines = ask("scontrol", "show", "config").splitlines()
    pairs = (line.split("=", maxsplit=1) for line in lines if "=" in line)
    slurm = {key.strip(): value.strip() for key, value in pairs}
    accounting = slurm.get("AccountingStorageType", "").endswith("slurmdbd")
    age = int(slurm.get("MinJobAge", "300").split()[0])
    if not accounting and age < _LONGEST_LOOK_AWAY:
        raise StudyError(
            f"this cluster has no accounting and forgets finished jobs after {age} s (MinJobAge), "
            f"too soon to see how they ended: ask its administrators for at least "
            f"{_LONGEST_LOOK_AWAY} s"
        )
    for name in ("sbatch", "sacct") if accounting else ("sbatch",):
        path = shutil.which(name)
        if path is None:
            raise StudyError(f"{name} was not found: run this on a node that may submit jobs")
        os.environ[f"DISSECT_{name.upper()}"] = path  # what the wrapper goes on to
    flavour = "with_accounting" if accounting else "without_accounting"
    folders = [str(folder / flavour), str(folder)]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ["PATH"]])
