"""What every process of the workflow does around its work: a log, settings, errors in one line."""

import ctypes
import gc
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from stillknows.cards import take_card
from stillknows.errors import StudyError

log = logging.getLogger("stillknows")

# The level of what a job found, in one line: the audit's command prints it while it runs.
FOUND = logging.INFO + 5
logging.addLevelName(FOUND, "FOUND")

Main = Callable[..., None]


def run(main: Main, *, network: bool = False) -> None:
    """Run a script's `main` as the Snakemake job that it is, with arguments from its rule.

    Snakemake puts an object `snakemake` into the script's own globals. Messages go to the rule's
    log file and to the terminal. A `StudyError` ends the job with its one line; any other exception
    is a defect and keeps its traceback. `network`: whether the job may ask the model hub.
    """
    snakemake = sys.modules["__main__"].__dict__["snakemake"]
    configure_process(snakemake.threads)
    if not network:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of other libraries, unreadable in a log
    _log_to(Path(str(snakemake.log[0])))
    name = " ".join([snakemake.rule, *map(str, snakemake.wildcards)])
    started = time.monotonic()
    log.info("%s: started", name)
    try:
        resources = snakemake.resources
        if resources.get("gpu") and resources.get("device") in ("auto", "cuda"):
            take_card()
        main(**_arguments(main, snakemake))
    except StudyError as error:
        log.error("%s: %s", name, error)
        sys.exit(1)
    except Exception:
        log.exception("%s: this is a bug in the workflow; please report it", name)
        sys.exit(1)
    finally:
        # The process ends now: looking for garbage once more, as Python does, takes a second.
        gc.freeze()
    log.info("%s: done in %.1f s", name, time.monotonic() - started)


def sources(main: Main, names: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Which part of a rule each argument of a script's `main` comes from.

    `names`: of the values in each part (input, output, params, wildcards, resources, job). A
    TypeError if no part has an argument that has no default, or more than one part has it.
    """
    parts = {}
    for name, parameter in inspect.signature(main).parameters.items():
        having = [part for part, given in names.items() if name in given]
        if len(having) == 1:
            parts[name] = having[0]
        elif having or parameter.default is parameter.empty:
            raise TypeError(
                f"main() has the argument {name}, which must be the name of one input, output, "
                f"parameter, wildcard or resource; the rule has it in {having or 'none of these'}"
            )
    return parts


def _arguments(main: Main, snakemake: Any) -> dict[str, Any]:
    """The arguments of `main`, in the types that it declares: a path as Path, a row from a dict."""
    parts = ("input", "output", "params", "wildcards", "resources")
    values = {part: dict(getattr(snakemake, part).items()) for part in parts}
    values["job"] = {
        "threads": snakemake.threads,
        "scriptdir": snakemake.scriptdir,
        "wildcards": values["wildcards"],
    }
    types = inspect.get_annotations(main)
    return {
        name: TypeAdapter(types[name]).validate_python(values[part][name])
        for name, part in sources(main, values).items()
    }


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the process that plans the workflow by a `StudyError`'s one line, no traceback."""
    try:
        yield
    except StudyError as error:
        sys.exit(f"error: {error}")


def configure_process(threads: int) -> None:
    """A job's settings of its process: freed memory, threads. Garbage: see __init__.py."""
    keep_freed_memory()
    # Thread pools are sized from the environment when torch is imported, later only by a call.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def keep_freed_memory() -> None:
    """Let glibc keep large blocks that were freed, instead of returning them at once.

    A sweep frees and takes tensors of many megabytes thousands of times; clearing their pages again
    took an eighth of the demo's processor time.
    """
    trim_threshold, mmap_threshold, never = -1, -3, 2**31 - 1
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, never)
        mallopt(trim_threshold, never)


def log_to_terminal() -> None:
    """Let the process that plans the workflow, which has no log of its own, print what it does."""
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8")
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        handlers=[logging.StreamHandler(sys.stderr), to_file],
        force=True,
    )
    # What these say per request or per font helps nobody who reads a job's log.
    for noisy in ("matplotlib", "fontTools", "urllib3", "httpx", "httpx2", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
