"""Patch a model's own states into itself, at a few windows, and fail if that changes it."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from stillknows.analysis.self_patch import refuse_changed, self_patch_windows
from stillknows.device import choose_device, choose_dtype
from stillknows.engine.directions import tabulate
from stillknows.engine.donors import SelfPatch
from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.recording import Recording, read_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.sweep import sweep
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest
from stillknows.models.provenance import Stopwatch, recording_fields, result_fields
from stillknows.models.reader import Checkpoint
from stillknows.parquet_files import write_rows
from stillknows.study.expected import refuse_other_recording, settings_fields
from stillknows.terms import BOTH, ORIGINAL, VALUE_VECTORS

log = logging.getLogger("stillknows")
# Between them, all that the paper patches.
CHECKED = (BOTH, VALUE_VECTORS)


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    recording: Path,
    window: str,
    prompt: str,
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write the self-patch check's rows, donor `self`; a `StudyError` if the model changes.

    Args:
        checkpoint: the manifest of the model that is checked: an unlearned one, or the original,
            into which the recording's states are patched.
        window: which kind of windows.
    """
    stopwatch = Stopwatch()
    original_manifest, manifest = read_manifest(original), read_manifest(checkpoint)
    recorded, model = read_recording(recording), Checkpoint(manifest.folder)
    number_format = choose_dtype(dtype, original_manifest.dtype)
    made_from = recording_fields(original_manifest, concept_json, number_format)
    refuse_other_recording(recording, recorded.metadata, made_from)
    # Of a resized vocabulary, the tokens that both have are compared, as in a sweep.
    recorded = replace(recorded, vocabulary=int(model.config.vocab_size))
    host = StreamedModel(model, number_format, choose_device(device))
    chosen = self_patch_windows(window, model.layers)
    donor = Donor if manifest.method == ORIGINAL else SelfPatch
    donors = [donor(EXPERIMENTS[name], recorded, model, chosen) for name in CHECKED]
    swept = sweep(host, donors, recorded)
    data, logprobs = read_json(concept_json), recorded.logprobs(host.device)
    tables = {
        name: tabulate(recorded.texts, chosen, swept.unpatched, patched, logprobs)
        for name, patched in zip(CHECKED, swept.patched, strict=True)
    }
    rows = pd.concat(tables, names=["experiment"]).reset_index("experiment")
    rows = rows.assign(**manifest.columns(data), donor=SelfPatch.name)
    change = refuse_changed(rows, _size(recorded, host.device), str(number_format), manifest.label)
    log.info("%s: its own states move its logits by at most %.2g", manifest.label, change)
    settings = settings_fields(window=window, prompt=prompt, dtype=dtype)
    metadata = result_fields(
        concept_json, original_manifest, manifest, device=host.device, dtype=number_format
    )
    metadata |= settings | {"largest_change": f"{change:.3g}"}
    write_rows(table, rows, metadata | stopwatch.fields())


def _size(recording: Recording, device: torch.device) -> float:
    """The root mean square of the original's compared logits, each question counting alike."""
    squares = [
        float(recording.original_logits(text, device).logits.square().mean())
        for text in range(len(recording.texts))
    ]
    return float((sum(squares) / len(squares)) ** 0.5)


if __name__ == "__main__":
    run(main)
