"""Checkpoints whose files are replaced, edited, touched or copied between two runs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from test_reruns import FIGURES, TABLES, kept
from tiny_study import Workflow, make

from dissect.checkpoints import manifest as manifests
from dissect.results.schema import read_metadata
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


def test_an_older_folder_moved_over_a_checkpoint_repeats_its_sweeps(
    done: Workflow, tmp_path: Path
) -> None:
    folder = done.root / "own/dpo_tea"
    other = older(save_tiny(tmp_path / "old", near=done.root / "own/original", seed=9))
    with moved_away(folder):
        shutil.move(other, folder)
        assert done.plan().jobs == ONE_CHECKPOINT
    assert done.plan().jobs == {}


def test_a_replaced_original_repeats_its_recordings_and_all_that_comes_after(
    done: Workflow, tmp_path: Path
) -> None:
    folder = done.root / "own/original"
    other = older(save_tiny(tmp_path / "old", seed=9))
    with moved_away(folder):
        shutil.move(other, folder)
        assert done.plan().jobs == (
            {
                "register_checkpoint": 1,
                "answer_questions": 1,
                "unlearn_concept": 1,
                "record_original": 2,
                "dissect_layers": 6,
            }
            | TABLES
            | FIGURES
        )


@pytest.mark.parametrize("name", ["chat_template.jinja", "generation_config.json"])
def test_an_edited_file_that_no_pattern_named_counts(done: Workflow, name: str) -> None:
    with kept(done.root / "own/dpo_tea" / name) as file:
        file.write_text(file.read_text(encoding="utf-8") + " ", encoding="utf-8")
        assert done.plan().jobs == ONE_CHECKPOINT


def test_an_added_and_a_removed_file_count(done: Workflow) -> None:
    added = done.root / "own/dpo_tea/added_tokens.json"
    added.write_text("{}", encoding="utf-8")
    assert done.plan().jobs == ONE_CHECKPOINT
    added.unlink()
    with kept(done.root / "own/dpo_tea/chat_template.jinja") as template:
        template.unlink()
        assert done.plan().jobs == ONE_CHECKPOINT


def test_results_without_a_manifest_are_not_believed(done: Workflow) -> None:
    """Such as after a job that refused the files that were there for a while."""
    with kept(done.result("checkpoints/path/tiny/dpo/tea/manifest.json")) as manifest:
        manifest.unlink()
        assert done.plan().jobs == ONE_CHECKPOINT


def test_touched_checkpoints_are_hashed_once_and_run_nothing(
    done: Workflow, options: tuple[str, ...]
) -> None:
    assert done.plan(*options).jobs in NO_SWEEP  # whatever other tests have restored
    for name in ("own/dpo_tea", "results/tiny/checkpoints/unlearn/tiny/dpo/coffee"):
        os.utime(done.root / name / "model.safetensors")
    first = done.plan(*options)
    assert first.jobs in NO_SWEEP
    assert "tiny dpo tea: hashing 1 files" in first.output
    second = done.plan(*options)
    assert second.jobs in NO_SWEEP
    assert "hashing" not in second.output


def test_a_copied_study_runs_nothing_and_no_job_hashes(
    done: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Workflow(tmp_path / "copy")
    shutil.copytree(done.root, copy.root)
    plan = copy.plan()
    assert plan.jobs == {}
    assert "tiny dpo coffee: hashing" in plan.output
    monkeypatch.chdir(copy.root)
    monkeypatch.delattr(manifests, "sha256_of")
    paths = list(Path("results/tiny/checkpoints").rglob("manifest.json"))
    assert len(paths) == 4
    for path in paths:
        manifests.read_manifest(path)


def test_a_results_folder_under_another_name_keeps_its_own_weights(done: Workflow) -> None:
    copy = done.root / "results/copy"
    shutil.copytree(done.root / "results/tiny", copy)
    try:
        assert done.plan(results="results/copy").jobs == TABLES | FIGURES
        known = manifests.parse_manifest(copy / "checkpoints/unlearn/tiny/dpo/coffee/manifest.json")
        assert known.folder == copy / "checkpoints/unlearn/tiny/dpo/coffee"
    finally:
        shutil.rmtree(copy)


def test_trained_weights_with_another_content_are_refused(done: Workflow) -> None:
    folder = "results/tiny/checkpoints/unlearn/tiny/dpo/coffee"
    with kept(done.root / folder / "model.safetensors") as weights:
        data = weights.read_bytes()
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert done.plan().error == (
            f"error: tiny dpo coffee: {folder}/model.safetensors is not as "
            f"{folder}/manifest.json says; restore it, or delete that manifest and run again"
        )


def test_a_broken_manifest_is_one_line(done: Workflow) -> None:
    path = "results/tiny/checkpoints/path/tiny/dpo/tea/manifest.json"
    with kept(done.root / path) as manifest:
        manifest.write_text("[]", encoding="utf-8")
        error = done.plan().error
    assert error.startswith(f"error: {path} is not a checkpoint's manifest")
    assert error.endswith("delete it and run again")


def unlearned_sha256(sweep: Path) -> object:
    return read_metadata(sweep)["unlearned_weights_sha256"]


SWEEP = "results/tiny/krs/tiny/dpo/tea/attention.parquet"


def test_no_result_mixes_two_models(tmp_path: Path) -> None:
    """The example of the defect, run: a second sweep after the link points to another run."""
    study = make(tmp_path)
    rows = [("tiny", "original", "", "path:own/original"), ("tiny", "dpo", "tea", "path:own/run")]
    study.write_table(rows)
    study.write_config(concepts={"tiny": ["tea"]})
    own = study.root / "own"
    original = save_tiny(own / "original")
    for seed in (2, 1):
        older(save_tiny(own / f"run{seed}", near=original, seed=seed))
    (own / "run").symlink_to("run1")
    assert study.run(SWEEP).status == 0
    before = unlearned_sha256(study.root / SWEEP)
    (own / "run").unlink()
    (own / "run").symlink_to("run2")
    sweeps = [SWEEP, SWEEP.replace("attention", "value_vectors")]
    run = study.run(*sweeps)
    assert run.status == 0, run.output
    first, second = (pd.read_parquet(study.root / sweep)["loss_unlearned"][0] for sweep in sweeps)
    assert first == second
    after = {unlearned_sha256(study.root / sweep) for sweep in sweeps}
    assert len(after) == 1
    assert before not in after
    assert study.run("--dry-run", *sweeps).jobs == {}
