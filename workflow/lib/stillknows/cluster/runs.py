"""Runs of Snakemake on the cluster: what a killed one has left in the queue.

Snakemake that is killed with -9 (or dies with its node) cannot cancel its jobs, and a new run would
submit them again, onto the same files. So a run writes a record while it lasts, and a new one looks
for records without a process, and for jobs without a run.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from stillknows.errors import StudyError
from stillknows.files import read_json, write_json

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
    """What a Slurm command prints; a StudyError if it does not exist, or Slurm does not answer."""
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
    return job in _squeue("%i").split()


def _squeue(format_: str) -> str:
    return ask("squeue", "--me", "--noheader", "--states", _UNFINISHED, "--format", format_)


def use_wrappers(folder: Path) -> None:
    """Put a folder's wrappers of Slurm's commands first in PATH: they outlast its daemons' outages.

    A StudyError if finished jobs would be forgotten before anyone has looked at them.
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


LOCKS = Path(".snakemake", "locks")
_FOLDER = Path(".snakemake", "slurm_runs")


@dataclass(frozen=True)
class Run:
    """A run: the name of its jobs, its process and host (or Slurm job), its command line."""

    id: str
    host: str
    pid: int
    started: str
    slurm_job: str
    command: tuple[str, ...]

    def write(self) -> None:
        write_json(self._path, asdict(self))

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def cancel_rest(self) -> None:
        """Cancel its jobs in the queue, since Snakemake (9.27) misses some at Ctrl-C."""
        if left := [job.id for job in unfinished_jobs(Path.cwd()) if job.run == self.id]:
            ask("scancel", *left)
        self.remove()

    @property
    def _path(self) -> Path:
        return _FOLDER / f"{self.id}.json"

    def is_alive(self) -> bool:
        """Whether its process is still there; a StudyError if it is on another machine."""
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
    python = os.path.relpath(sys.executable)
    return sys.executable if python.startswith("..") else python


def _start_of(pid: int) -> str:
    """When a process of this machine began, in the kernel's ticks; empty if there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return status.rpartition(")")[2].split()[19]


# With these Snakemake writes no result: it shows something, or removes the lock.
_LOOKING = {
    "--unlock",
    *("--lint", "--list", "--list-rules", "-l", "--list-target-rules", "--lt", "--report"),
    *("--summary", "-S", "--detailed-summary", "-D"),
    *("--dag", "--rulegraph", "--filegraph", "--d3dag"),
}


def only_looks(arguments: Sequence[str]) -> bool:
    """Whether a command line of Snakemake, dry runs aside, writes no result."""
    return any(argument.partition("=")[0] in _LOOKING for argument in arguments)


def refuse_left_lock(results: str) -> None:
    """Stop a new run while a killed one's lock is on its results (a folder), naming what unlocks.

    Where another Snakemake runs in this folder, Snakemake itself compares their files.
    """
    if not _is_locked(results) or any(run.is_alive() for run in recorded_runs()):
        return
    processes = list(_processes_here())
    if any(_is_snakemake(command) for _, command in processes):
        return
    # Snakemake copies a rule's script for each job.
    jobs = [str(pid) for pid, command in processes if "/.snakemake/scripts/" in " ".join(command)]
    still = f"; {len(jobs)} of its jobs still run: let them end, or end them first: kill "
    running = still + " ".join(jobs) if jobs else ""
    is_module = sys.argv[0].endswith("__main__.py")
    program = f"{python_command()} -m snakemake" if is_module else sys.argv[0]
    raise StudyError(
        "an earlier run in this folder was killed and has left its lock, and none of your "
        f"Snakemake processes runs here on {socket.gethostname()} (if one runs on another machine, "
        "let it end)"
        f"{running}; to remove the lock: {program} {shlex.join(['--unlock', *sys.argv[1:]])}; then "
        "run the same command again"
    )


def _is_locked(results: str) -> bool:
    """Whether the results of this study are among those that a run has locked."""
    try:
        texts = [path.read_text(encoding="utf-8") for path in LOCKS.glob("*.output.lock")]
    except FileNotFoundError:  # the run that had it has just ended
        return False
    return any(Path(line).is_relative_to(results) for text in texts for line in text.splitlines())


def _processes_here() -> Iterator[tuple[int, list[str]]]:
    """Number and command line of each other process whose working directory is this one."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid not in own and Path(process.cwd()) == Path.cwd():
                yield process.pid, process.cmdline()
        except psutil.Error:  # it has ended, or is another user's
            continue


def _is_snakemake(command: list[str]) -> bool:
    """Whether a command line is Snakemake's: .venv/bin/snakemake, or python -m snakemake."""
    return any(
        Path(part).name == "snakemake" or part.endswith("snakemake/__main__.py")
        for part in command[:4]
    )
