"""The study in .test: planned, one sweep of it run, and a job run in an environment of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tiny_study import ROOT, Run

CONDA = Path(__file__).parent / "stand_in_conda/bin"
SWEEP = "results/krs/tiny/dpo/901/attention.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of .test, beside the tests' checkpoints."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    ignored = shutil.ignore_patterns("results", ".snakemake")
    return shutil.copytree(ROOT / ".test", tmp_path / ".test", ignore=ignored)


def snakemake(folder: Path, *options: str, **environment: str) -> Run:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--directory", str(folder), "--cores", "2", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow/lib")} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


def test_it_is_planned_and_a_sweep_runs(folder: Path) -> None:
    assert snakemake(folder, "--dry-run").jobs["dissect_layers"] == 2
    run = snakemake(folder, SWEEP)
    assert run.status == 0, run.output
    assert (folder / SWEEP).is_file()


def with_conda(folder: Path, *options: str) -> Run:
    """With a stand-in for conda; its environment lacks stillknows."""
    return snakemake(
        folder,
        *(*options, "--sdm", "conda"),
        PATH=f"{CONDA}:{os.environ['PATH']}",
        STAND_IN_PYTHON=sys.executable,
        STAND_IN_PACKAGES=sysconfig.get_path("purelib"),
    )


def test_with_conda_jobs_run_in_the_environment_and_find_the_package(folder: Path) -> None:
    plan = with_conda(folder, "--dry-run")
    assert plan.jobs["dissect_layers"] == 2
    assert "workflow/envs/stillknows.yaml will be created" in plan.output
    run = with_conda(folder, "results/concepts/tiny/901.json")
    assert run.status == 0, run.output
    assert "Activating conda environment" in run.output
