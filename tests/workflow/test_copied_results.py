"""A results folder that was copied: without `.snakemake`, nobody knows how it was made."""

import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from test_reruns import FIGURES, TABLES
from tiny_study import Workflow


@pytest.fixture
def copied(done: Workflow, tmp_path: Path) -> Workflow:
    """The finished study in another folder, times kept, as `cp -a` copies."""
    root = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(done.root), str(root)], check=True)
    # A clone's modules are newer than results that are copied to it.
    for module in (root / "workflow/lib").rglob("*.py"):
        os.utime(module)
    return Workflow(root)


def forget(workflow: Workflow) -> None:
    shutil.rmtree(workflow.root / ".snakemake")


def test_without_its_history_only_tables_and_figures_are_made_again(copied: Workflow) -> None:
    forget(copied)
    sweeps = sorted(copied.result("krs").rglob("*.parquet"))
    before = {path: path.stat().st_mtime_ns for path in sweeps}
    assert copied.plan().jobs == TABLES | FIGURES
    assert copied.plan("results/tiny/tables/curves.csv").jobs == {
        "collect_krs": 1,
        "summarise_curves": 1,
    }
    copied.result("tables/krs.parquet").write_bytes(b"not what the sweeps say")
    os.utime(copied.result("tables/krs.parquet"), (1e9, 1e9))
    run = copied.run("tables")
    assert run.status == 0, run.output
    assert len(pd.read_parquet(copied.result("tables/krs.parquet"))) > 0
    assert {path: path.stat().st_mtime_ns for path in sweeps} == before
    assert "collect_krs" not in copied.plan().jobs


def test_with_other_settings_it_is_refused_by_name(copied: Workflow) -> None:
    forget(copied)
    copied.write_config(windows=["suffix"])
    run = copied.run("tables")
    assert run.status != 0
    (line,) = {one for one in run.output.splitlines() if "does not belong to this study" in one}
    first = "results/tiny/krs/tiny/grad_diff/tea/attention.parquet does not belong to this study"
    assert f'{first}: windows is ["sliding_3"], expected ["suffix"]; delete it' in line
    assert "(and 5 more, such as " in line and "value_vectors.parquet)" in line
    assert not copied.result("tables/krs.parquet").exists()
