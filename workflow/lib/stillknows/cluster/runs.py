"""Runs of Snakemake on the cluster: what a killed one has left in the queue.

Snakemake that is killed with -9 (or dies with its node) cannot cancel its jobs. They go on; a new
run would submit the same jobs again, onto the same files. So a run writes a record while it lasts,
and a new one looks for records without a process, and for jobs without a run.
"""

import os
import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stillknows.cluster.slurm import Job, ask, is_unfinished, unfinished_jobs
from stillknows.errors import StudyError
from stillknows.files import read_json, write_json

LOCKS = Path(".snakemake", "locks")
_FOLDER = Path(".snakemake", "slurm_runs")


@dataclass(frozen=True)
class Run:
    """A run: its id (the name of its jobs), the process and where it is, and its command line.

    `slurm_job` is the job that Snakemake itself runs in, or empty on a login node.
    """

    id: str
    host: str
    pid: int
    started: str
    slurm_job: str
    command: tuple[str, ...]

    def write(self) -> None:
        """Leave the record that says that this run is going on."""
        write_json(self._path, asdict(self))

    def remove(self) -> None:
        """Take the record away: the run has ended, and its jobs with it."""
        self._path.unlink(missing_ok=True)

    def cancel_rest(self) -> None:
        """Cancel its jobs that are still in the queue, since nobody waits for them, and remove it.

        Snakemake itself cancels them at Ctrl-C, but for those whose states it asks for just then
        (9.27: they are off its list meanwhile).

        Raises:
            StudyError: if Slurm does not answer; the record stays, for the next run to find.
        """
        if left := [job.id for job in unfinished_jobs(Path.cwd()) if job.run == self.id]:
            ask("scancel", *left)
        self.remove()

    @property
    def _path(self) -> Path:
        return _FOLDER / f"{self.id}.json"

    def is_alive(self) -> bool:
        """Whether its process is still there.

        Raises:
            StudyError: if it is on another machine, where this one cannot look.
        """
        if self.slurm_job:
            return is_unfinished(self.slurm_job)
        if self.host != socket.gethostname():
            raise StudyError(
                f"a run in this folder was started on {self.host} (process {self.pid}): go on "
                f"there; if it has ended or {self.host} is gone, delete {self._path} and try again"
            )
        return _start_of(self.pid) == self.started

    def __str__(self) -> str:
        job = f"Slurm job {self.slurm_job}" if self.slurm_job else f"process {self.pid}"
        return f"`snakemake {shlex.join(self.command)}` ({job} on {self.host})"


def this_run(identifier: str, slurm_job: str) -> Run:
    """The record of the run in this process."""
    host, pid = socket.gethostname(), os.getpid()
    return Run(identifier, host, pid, _start_of(pid), slurm_job, tuple(sys.argv[1:]))


def recorded_runs() -> list[Run]:
    """The records in this folder, of living runs and of killed ones."""
    records = [read_json(path) for path in sorted(_FOLDER.glob("*.json"))]
    return [Run(**record | {"command": tuple(record["command"])}) for record in records]


def orphans() -> list[Job]:
    """Unfinished jobs of this folder that no living run waits for."""
    alive = {run.id for run in recorded_runs() if run.is_alive()}
    return [job for job in unfinished_jobs(Path.cwd()) if job.run not in alive]


def refuse_killed_runs() -> None:
    """Stop a new run, before it has a lock, while a killed one has left jobs or its lock."""
    runs = recorded_runs()
    killed = [run for run in runs if not run.is_alive()]
    if not killed:
        return
    if (left := orphans()) or (any(LOCKS.glob("*")) and len(killed) == len(runs)):
        raise _was_killed(str(killed[0]), left)
    for run in killed:
        run.remove()


def refuse_orphans() -> None:
    """Stop a run that would submit jobs while jobs of an earlier one are in the queue."""
    if left := orphans():
        raise _was_killed("an earlier run", left)


def _was_killed(run: str, left: Sequence[Job]) -> StudyError:
    recover = f"{python_command()} -m stillknows.cluster"
    if not left:
        return StudyError(
            f"{run} was killed and has left its lock, and none of its jobs is in the queue; to go "
            f"on: {recover} end"
        )
    ids = ", ".join(job.id for job in left[:8]) + (", ..." if len(left) > 8 else "")
    jobs = f"{len(left)} of its jobs are still in the queue (Slurm {ids})"
    return StudyError(
        f"{run} was killed, and {jobs}; to end these and go on: {recover} end; "
        f"to let them finish first: {recover} wait"
    )


def python_command() -> str:
    """This Python as a user would type it."""
    python = os.path.relpath(sys.executable)
    return sys.executable if python.startswith("..") else python


def _start_of(pid: int) -> str:
    """When a process of this machine began, in the kernel's ticks; empty if there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return status.rpartition(")")[2].split()[19]
