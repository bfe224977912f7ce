"""The lock that a killed run leaves: who is told what. The processes here are real ones."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dissect.cluster import lock
from dissect.cluster.lock import only_looks, refuse_left_lock
from dissect.errors import DissectError

LOCKED = "results/mine/tables/krs.parquet"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a lock on the results of one study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock.sys, "argv", [".venv/bin/snakemake", "--configfile", "my study.yaml"])
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(f"{LOCKED}\n", encoding="utf-8")
    (locks / "0.input.lock").write_text("results/other/tables/krs.parquet\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Starts a process that waits; `script` is what its command line calls it."""
    started = []

    def run(script: Path, cwd: Path) -> int:
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("print(flush=True)\ninput()", encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, str(script)], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        started.append(process)
        return process.pid

    yield run
    for process in started:
        process.kill()
        process.communicate()


def refused() -> str:
    with pytest.raises(DissectError) as caught:
        refuse_left_lock("results/mine")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_left_lock_is_told_with_the_command_that_removes_it(folder: Path) -> None:
    said = refused()
    assert ".venv/bin/snakemake --unlock --configfile 'my study.yaml'; then run the same" in said
    assert "jobs still run" not in said
    assert (folder / ".snakemake/locks/0.output.lock").exists()


def test_no_lock_or_one_on_another_study_stops_nothing(folder: Path) -> None:
    refuse_left_lock("results/other")
    refuse_left_lock("results/mine_too")
    (folder / ".snakemake/locks/0.output.lock").unlink()
    refuse_left_lock("results/mine")


def test_a_living_snakemake_in_this_folder_keeps_its_lock(
    folder: Path, start: Callable[..., int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    start(elsewhere / "bin/snakemake", cwd=elsewhere)
    refused()
    start(elsewhere / "bin/snakemake", cwd=folder)
    refuse_left_lock("results/mine")


def test_jobs_of_the_killed_run_are_told(folder: Path, start: Callable[..., int]) -> None:
    pid = start(folder / ".snakemake/scripts/tmpabc.dissect_layers.py", cwd=folder)
    start(folder / "notes_on_snakemake.py", cwd=folder)
    assert f"1 of its jobs still run: let them end, or end them first: kill {pid};" in refused()


@pytest.mark.parametrize("option", ["--unlock", "--summary", "-S", "--report=x.html", "--dag"])
def test_what_only_looks_is_not_stopped(option: str) -> None:
    assert only_looks(["snakemake", option])
    assert not only_looks(["snakemake", "--cores", "1", "results/unlock"])
