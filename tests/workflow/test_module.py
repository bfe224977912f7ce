"""The workflow as a module of another one, in another folder and with that one's config."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import ROOT, Run, Workflow

from stillknows.parquet_files import read_metadata

SNAKEFILE = """
configfile: "config/config.yaml"


module stillknows:
    snakefile: "{workflow}/workflow/Snakefile"
    config: config


use rule * from stillknows{prefix}


rule count_windows:
    input:
        "results/tiny/krs/tiny/dpo/tea/attention.parquet",
    output:
        "windows.txt",
    shell:
        "echo counted > {{output}}"
"""


def write_snakefile(folder: Path, prefix: str) -> None:
    """Write the Snakefile of a workflow that uses this one as a module."""
    text = SNAKEFILE.format(workflow=ROOT, prefix=prefix)
    (folder / "workflow/Snakefile").write_text(text, encoding="utf-8")


@pytest.fixture
def foreign(done: Workflow, tmp_path: Path) -> Path:
    """The tiny study in a folder as snakedeploy lays it out: config/, workflow/Snakefile."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "config").mkdir()
    write_snakefile(tmp_path, " as dissect_*")
    shutil.copy(done.root / "study.yaml", tmp_path / "config/config.yaml")
    for name in ("checkpoints.tsv", "concepts.json"):
        shutil.copy(done.root / name, tmp_path)
    (tmp_path / "own").symlink_to(done.root / "own")
    return tmp_path


def snakemake(folder: Path, *options: str) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow/lib")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


def test_a_sweep_and_a_rule_of_ones_own(foreign: Path, done: Workflow) -> None:
    jobs = snakemake(foreign, "--dry-run", "count_windows").jobs
    assert jobs["count_windows"] == jobs["dissect_dissect_layers"] == 1
    run = snakemake(foreign, "count_windows")
    assert run.status == 0, run.output
    made, expected = (
        read_metadata(root / "results/tiny/krs/tiny/dpo/tea/attention.parquet")
        for root in (foreign, done.root)
    )
    assert made["unlearned_source"] == expected["unlearned_source"]
    assert snakemake(foreign, "--dry-run", "count_windows").jobs == {}


def test_the_whole_study_is_planned_by_the_modules_default_target(foreign: Path) -> None:
    """Without a prefix, as in snakedeploy's template."""
    write_snakefile(foreign, "")
    assert snakemake(foreign, "--dry-run").jobs["dissect_layers"] == 6
