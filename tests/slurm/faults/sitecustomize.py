"""Put into a study's package folder by the tests: makes chosen sweeps go wrong in chosen ways.

A file NAME.fault in the folder that DISSECT_FAULTS names acts on the sweep whose wildcards end with
NAME. Python runs this module first in every process. And Snakemake asks for jobs' states every few
seconds, where it would wait ten seconds longer each time that nothing has ended.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEMORY_MB = 1500
MKSTEMP = tempfile.mkstemp
PAUSE = 3  # seconds


def act(fault: Path) -> None:
    kind = fault.read_text(encoding="utf-8")
    fault.with_suffix(".reached").touch()
    if kind == "hold":
        while fault.exists():
            time.sleep(0.1)
    elif kind == "memory":  # at every attempt: only a larger limit cures it
        taken = b"x" * (MEMORY_MB << 20)
        time.sleep(5)
        del taken
    elif kind == "time":  # at the first attempt: waiting out a minute once is enough
        fault.unlink()
        time.sleep(600)
    elif kind == "full":  # at every attempt: what is written goes where no space is ever left
        tempfile.mkstemp = full_device


def full_device(*arguments: str, **keywords: str) -> tuple[int, str]:
    handle, name = MKSTEMP(*arguments, **keywords)
    Path(name).unlink()
    Path(name).symlink_to("/dev/full")
    return handle, name


def shorten_pauses() -> None:
    import asyncio

    sleep = asyncio.sleep
    asyncio.sleep = lambda seconds: sleep(min(seconds, PAUSE))


def job_comment() -> str:
    command = ["squeue", "--noheader", "--jobs", os.environ["SLURM_JOB_ID"], "--format", "%k"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if "--profile" in sys.orig_argv:
    shorten_pauses()
if "DISSECT_FAULTS" in os.environ and any(".dissect_layers.py" in one for one in sys.orig_argv):
    comment = job_comment()
    for path in Path(os.environ["DISSECT_FAULTS"]).glob("*.fault"):
        if comment.endswith(f"_{path.stem}"):
            act(path)
