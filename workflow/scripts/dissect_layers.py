"""Patch components of one model into another, window by window: the original and a copy."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.engine.directions import run_experiments
from stillknows.engine.recording import Recording, read_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.windows import windows_of
from stillknows.job import run
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.manifest import Manifest, tokenizer_folder
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import refuse_other_shapes, refuse_unshared_tokens
from stillknows.parquet_files import SWEEP_SCHEMA, refuse_non_finite
from stillknows.study.model_job import ModelJob
from stillknows.terms import COPY, ORIGINAL
from stillknows.texts.spans import read_texts, refuse_other_ids

log = logging.getLogger("stillknows")
SAME_KL = 1e-6  # nats: below it, two models differ by rounding only


def main(
    *,
    original: Path,
    unlearned: Path,
    concept_json: Path,
    recording: Path,
    windows: list[str],
    prompt: str,
    dtype: str,
    device: str,
    tables: list[Path],
    controls: dict[str, Any] | None = None,
    reference: list[Path] | None = None,
) -> None:
    """Write the rows of one sweep, or of several of the same two models.

    Args:
        tables: a file per sweep, {experiment}.parquet.
        controls: of denoising: further donors, the layers of their windows, the noise's seed.
        reference: the manifest of the reference model that is one of these donors, if it is.
    """
    job = ModelJob(
        original, concept_json, dtype, device, unlearned, reference[0] if reference else None
    )
    recorded = read_recording(recording)
    job.refuse_other_recording(recording, recorded.metadata)
    unlearned_model, shared = comparable_model(job, job.model, recorded, prompt)
    recorded = replace(recorded, vocabulary=shared)
    reference_model = None
    if job.reference:
        reference_model, _ = comparable_model(job, job.reference, recorded, prompt)
        log.info(f"control reference: {job.reference.label}")
    all_windows = windows_of(windows, unlearned_model.n_layers)
    log.info(
        f"{job.model.label}: {len(recorded.texts)} questions, {len(all_windows)} windows, "
        f"{job.dtype} on {job.device}"
    )
    names, temporary = [table.stem for table in tables], tables[0].with_suffix(".recording")
    models = Checkpoint(job.original.folder), unlearned_model, recorded
    rows_by_experiment = run_experiments(
        names, *models, all_windows, temporary, controls, reference_model
    )
    settings = {"windows": windows, "prompt": prompt, "controls": controls}
    for table in tables:
        rows = rows_by_experiment[table.stem].assign(experiment=table.stem)
        refuse_non_finite(rows, "loss_unlearned", job.model.label)
        job.write(table, rows, SWEEP_SCHEMA, settings)
        report(rows)


def comparable_model(
    job: ModelJob, manifest: Manifest, recorded: Recording, prompt: str
) -> tuple[StreamedModel, int]:
    """A model that can be compared with the original, and how many tokens both have; or a
    StudyError.
    """
    tokenizer = load_tokenizer(tokenizer_folder(manifest, job.original))
    texts = read_texts(job.concept, prompt, tokenizer)
    refuse_other_ids(dict(enumerate(recorded.texts)), dict(enumerate(texts)), manifest.label)
    original, model = Checkpoint(job.original.folder), Checkpoint(manifest.folder)
    refuse_other_shapes(original, model)
    shared = refuse_unshared_tokens(original, model, [text.ids for text in texts])
    return StreamedModel(model, job.dtype, job.device), shared


def report(rows: pd.DataFrame) -> None:
    """Say in the log where the curve peaks, and how many scores are null."""
    if rows["kl_unlearned"].max() < SAME_KL:
        log.warning(
            "the unlearned model gives the original's answers (KL at most %.1g nats): nothing was "
            "unlearned, and every KRS is null or a quotient of rounding errors; check its source "
            "in the checkpoints table",
            rows["kl_unlearned"].max(),
        )
    experiment = rows["experiment"].iloc[0]
    score = "krs" if rows["noising_ratio"].isna().all() else "noising_ratio"
    for (donor, window, span), group in rows.groupby(["donor", "window", "span"], sort=False):
        curve, null = group.groupby("layer")[score].mean(), group[score].isna().sum()
        control = "" if donor in (ORIGINAL, COPY) else f"control {donor}, "
        layer = curve.idxmax() if curve.notna().any() else "none"
        log.info(
            f"{experiment}, {control}{window}, span {span}: highest mean {score} "
            f"{curve.max():.3f} at layer {layer}; {null} of {len(group)} scores are null"
        )


if __name__ == "__main__":
    run(main)
