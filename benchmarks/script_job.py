"""Run one of the workflow's scripts as its jobs do, with nothing else in the process.

script_job.py SCRIPT THREADS ARGUMENTS, the arguments of its main as JSON.
"""

import inspect
import json
import sys
from importlib import import_module
from pathlib import Path

from pydantic import TypeAdapter

from stillknows.job import configure_process


def main(script: str, threads: str, arguments: str) -> None:
    configure_process(int(threads))
    sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))
    run = import_module(script).main
    types = inspect.get_annotations(run)
    given = json.loads(arguments).items()
    run(**{name: TypeAdapter(types[name]).validate_python(value) for name, value in given})


if __name__ == "__main__":
    main(*sys.argv[1:])
