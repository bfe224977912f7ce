"""Checkpoints whose files are replaced, edited, touched or copied between two runs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_reruns import FIGURES, TABLES, kept
from tiny_study import Workflow

from stillknows.models import manifest as manifests
from tiny import save_tiny

# What runs again where the unlearned checkpoint dpo on tea has changed.
ONE_CHECKPOINT = {"register_checkpoint": 1, "dissect_layers": 2} | TABLES | FIGURES
LONG_AGO = 1_600_000_000
# Nothing; and in a folder without Snakemake's record, tables and figures from the kept sweeps.
NO_SWEEP = ({}, TABLES | FIGURES)
# Files above this size (1 MB by default) are large ones for Snakemake: it never hashes them.
ALL_ARE_LARGE = ("--max-checksum-file-size", "100")


@pytest.fixture(params=["small files", "large files", "no .snakemake"])
def options(request: pytest.FixtureRequest, done: Workflow) -> Iterator[tuple[str, ...]]:
    """Snakemake's options, with what it has recorded of earlier runs or without."""
    record, aside = done.root / ".snakemake", done.root / "snakemake.aside"
    if request.param == "no .snakemake":
        record.rename(aside)
    yield ALL_ARE_LARGE if request.param == "large files" else ()
    if aside.exists():
        shutil.rmtree(record, ignore_errors=True)
        aside.rename(record)


@contextmanager
def moved_away(folder: Path) -> Iterator[Path]:
    """A folder under another name; whatever took its place inside is removed."""
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    try:
        yield aside
    finally:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def older(folder: Path) -> Path:
    """A folder whose files were written long ago."""
    for file in folder.iterdir():
        os.utime(file, (LONG_AGO, LONG_AGO))
    return folder


def test_a_link_to_another_run_repeats_its_sweeps(
    done: Workflow, options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = done.root / "own/dpo_tea"
    other = older(save_tiny(tmp_path / "run2", near=done.root / "own/original", seed=9))
    with moved_away(folder) as run1:
        folder.symlink_to(run1)
        assert done.plan(*options).jobs in NO_SWEEP
        folder.unlink()
        folder.symlink_to(other)
        plan = done.plan(*options)
        assert plan.jobs == ONE_CHECKPOINT
        assert "tiny dpo tea: own/dpo_tea/model.safetensors has changed" in plan.output


def test_a_folder_moved_elsewhere_runs_nothing_until_it_changes(
    done: Workflow, options: tuple[str, ...]
) -> None:
    folder, elsewhere = done.root / "own/dpo_tea", done.root / "own/elsewhere"
    with kept(done.root / "checkpoints.tsv") as table:
        text = table.read_text(encoding="utf-8").replace("own/dpo_tea", "own/elsewhere")
        table.write_text(text, encoding="utf-8")
        folder.rename(elsewhere)
        try:
            assert done.plan(*options).jobs in NO_SWEEP
            path = done.result("checkpoints/path/tiny/dpo/tea/manifest.json")
            assert manifests.parse_manifest(path).folder == Path("own/elsewhere")
            with kept(elsewhere / "chat_template.jinja") as file:
                file.write_text("{{ 'mine' }}", encoding="utf-8")
                assert done.plan(*options).jobs["dissect_layers"] == 2
        finally:
            elsewhere.rename(folder)
    assert done.plan(*options).jobs in NO_SWEEP
