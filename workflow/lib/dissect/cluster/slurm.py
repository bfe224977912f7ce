"""Questions to Slurm."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dissect.errors import DissectError

# The plugin names all jobs of a run by the run's id: a UUID, after a prefix if there is one.
_RUN_ID = re.compile(r"(\S+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# States of jobs that still are, or will be, in the way of a second one.
_UNFINISHED = "PENDING,RUNNING,SUSPENDED,CONFIGURING,COMPLETING,STOPPED,REQUEUED,REQUEUE_HOLD"


@dataclass(frozen=True)
class Job:
    """A job in the queue: its id, its run, and what it is (rule and wildcards)."""

    id: str
    run: str
    comment: str


def ask(*command: str) -> str:
    """What a Slurm command prints.

    Raises:
        DissectError: if there is no such command, or Slurm does not answer.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise DissectError(f"{command[0]} is not there: run this on a node with Slurm") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DissectError(f"Slurm does not answer ({reason}): try again when it does") from error
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


def configuration() -> dict[str, str]:
    """The cluster's settings, as `scontrol show config` lists them."""
    lines = ask("scontrol", "show", "config").splitlines()
    pairs = (line.split("=", maxsplit=1) for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}
