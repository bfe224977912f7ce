"""The lock that a killed Snakemake leaves in its folder, on one machine or on a cluster's.

Snakemake finds it only when all jobs are planned, and cannot say whose it is or what to type.
"""

import os
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from stillknows.cluster.runs import LOCKS, python_command, recorded_runs
from stillknows.errors import StudyError

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

    Where another Snakemake is at work in this folder, Snakemake itself tells whether the two want
    the same files.
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
