"""A script as a job: its log, its one line for a user's error, its exit code."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from pathlib import Path
from types import SimpleNamespace
from snakemake.iocontainers import Namedlist

snakemake = SimpleNamespace(
    rule="dissect_layers",
    log=[{log!r}],
    threads=1,
    scriptdir="",
    input=Namedlist(fromdict={{"concept_json": "tea.json"}}),
    output=Namedlist(),
    params=Namedlist(fromdict={{"windows": ["suffix"], "code": "0"}}),
    wildcards=Namedlist(fromdict={{"model": "tiny"}}),
    resources=Namedlist(),
)
snakemake.input.append("sweep.parquet")
snakemake.input._set_name("sweeps", 1, end=2)

import gc
from stillknows.errors import StudyError
from stillknows.job import log, run
assert gc.get_threshold()[0] == 100_000  # before the first large import

def main(*, concept_json: Path, sweeps: list[Path], windows: list[str], model: str, n: int = 3):
    assert (concept_json, sweeps) == (Path("tea.json"), [Path("sweep.parquet")])
    assert (windows, model, n) == (["suffix"], "tiny", 3)
    log.info("at work")
    {last}

run(main)
"""


def run(folder: Path, last: str) -> tuple[int, str, str]:
    """Exit code, what the terminal saw, and the log file."""
    path = folder / "logs" / "job.log"
    script = folder / "script.py"
    script.write_text(SCRIPT.format(log=str(path), last=last))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, path.read_text()


def test_a_job_that_ends_well(tmp_path: Path) -> None:
    code, terminal, log = run(tmp_path, "pass")
    assert code == 0
    assert terminal == log
    words = [line.split(maxsplit=2)[2] for line in log.splitlines()]
    assert words[:2] == ["dissect_layers tiny: started", "at work"]
    assert words[2].startswith("dissect_layers tiny: done in ")


def test_a_users_error_is_one_line_and_a_non_zero_exit(tmp_path: Path) -> None:
    code, terminal, log = run(tmp_path, 'raise StudyError("window: too wide; choose 3")')
    assert code == 1
    assert terminal == log
    assert "Traceback" not in terminal
    [line] = [line for line in terminal.splitlines() if "ERROR" in line]
    assert line.endswith("dissect_layers tiny: window: too wide; choose 3")
