"""Go on after a killed run: python -m stillknows.cluster end|wait

end:  cancel the jobs that it has left in the queue.
wait: let them finish; what they have made is not made again.

Then the lock of the killed run is removed and its command line is run again.
"""

import argparse
import os
import shutil
import sys
import time

from stillknows.cluster.runs import LOCKS, ask, orphans, recorded_runs
from stillknows.errors import StudyError

_SECONDS_BETWEEN_LOOKS = 2


def main() -> None:
    """The command line; ends as the Snakemake that it starts."""
    parser = argparse.ArgumentParser(prog="python -m stillknows.cluster", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("way", choices=("end", "wait"))
    try:
        command = recover(parser.parse_args().way)
    except StudyError as error:
        sys.exit(f"error: {error}")
    print(f"continuing with: snakemake {' '.join(command)}", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *command])


def recover(way: str) -> tuple[str, ...]:
    """End or await what killed runs have left, and unlock; returns the last one's command line."""
    runs = recorded_runs()
    for run in runs:
        if run.is_alive():
            raise StudyError(f"{run} is still running: let it end, or stop it (Ctrl-C)")
    left = orphans()
    if not runs and not left:
        raise StudyError("nothing is left of an earlier run here: start snakemake as usual")
    if left:
        print(f"{way}: {', '.join(f'{job.id} {job.comment}' for job in left)}", flush=True)
    if way == "end" and left:
        ask("scancel", *(job.id for job in left))
    while orphans():
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    # What `snakemake --unlock` does; that one would need the killed run's config first.
    shutil.rmtree(LOCKS, ignore_errors=True)
    for run in runs:
        run.remove()
    last = max(runs, key=lambda run: int(run.started or 0), default=None)
    return last.command if last else ("--profile", "slurm")


if __name__ == "__main__":
    main()
