"""Patch components of one model into another, window by window: the original and a copy."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.device import choose_device, choose_dtype
from stillknows.engine.directions import run_experiments
from stillknows.engine.recording import Recording, read_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.windows import windows_of
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import Manifest, read_manifest
from stillknows.models.provenance import Stopwatch, recording_fields, result_fields
from stillknows.models.reader import Checkpoint
from stillknows.models.tokenizer import load_tokenizer
from stillknows.models.verify import refuse_other_shapes, refuse_unshared_tokens
from stillknows.parquet_files import refuse_non_finite, write_rows
from stillknows.study.expected import refuse_other_recording, settings_fields
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
    stopwatch = Stopwatch()
    original_manifest, unlearned_manifest = read_manifest(original), read_manifest(unlearned)
    reference_manifest = read_manifest(reference[0]) if reference else None
    data = read_json(concept_json)
    number_format = choose_dtype(dtype, original_manifest.dtype)
    recorded = read_recording(recording)
    made_from = recording_fields(original_manifest, concept_json, number_format)
    refuse_other_recording(recording, recorded.metadata, made_from)
    donor, on = Checkpoint(original_manifest.folder), choose_device(device)
    model, shared = comparable(unlearned_manifest, donor, recorded, data, prompt)
    recorded = replace(recorded, vocabulary=shared)
    chosen = windows_of(windows, model.layers)
    unlearned_model = StreamedModel(model, number_format, on)
    reference_model = None
    if reference_manifest:
        never_learned, _ = comparable(reference_manifest, donor, recorded, data, prompt)
        reference_model = StreamedModel(never_learned, number_format, on)
        log.info(f"control reference: {reference_manifest.label}")
    log.info(
        f"{unlearned_manifest.label}: {len(recorded.texts)} questions, {len(chosen)} windows, "
        f"{number_format} on {on}"
    )
    names, temporary = [table.stem for table in tables], tables[0].with_suffix(".recording")
    models = donor, unlearned_model, recorded
    rows_of = run_experiments(names, *models, chosen, temporary, controls, reference_model)
    settings = settings_fields(windows=windows, prompt=prompt, dtype=dtype, controls=controls)
    metadata = result_fields(
        concept_json,
        original_manifest,
        unlearned_manifest,
        reference_manifest,
        device=on,
        dtype=number_format,
    )
    for table in tables:
        rows = rows_of[table.stem].assign(**unlearned_manifest.columns(data), experiment=table.stem)
        refuse_non_finite(rows, "loss_unlearned", unlearned_manifest.label)
        write_rows(table, rows, metadata | settings | stopwatch.fields())
        report(rows)


def comparable(
    manifest: Manifest,
    original: Checkpoint,
    recorded: Recording,
    data: Mapping[str, Any],
    prompt: str,
) -> tuple[Checkpoint, int]:
    """A model that can be compared with the original on a concept, and how many tokens both have.

    Raises:
        StudyError: it reads other tokens than the original, or has other shapes.
    """
    texts = read_texts(data, prompt, load_tokenizer(manifest.folder))
    refuse_other_ids(recorded.texts, texts, manifest.label)
    model = Checkpoint(manifest.folder)
    refuse_other_shapes(original, model)
    return model, refuse_unshared_tokens(original, model, [text.ids for text in texts])


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
