"""Patch a model's own states into itself, at a few windows, and fail if that changes it."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from stillknows.analysis.self_patch import refuse_changed, self_patch_windows
from stillknows.engine.directions import tabulate
from stillknows.engine.patches import EXPERIMENTS, Donor, SelfPatch
from stillknows.engine.recording import Recording, read_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.sweep import sweep
from stillknows.job import run
from stillknows.models.reader import Checkpoint
from stillknows.parquet_files import SWEEP_SCHEMA
from stillknows.study.model_job import ModelJob
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
    job = ModelJob(original, concept_json, dtype, device, checkpoint)
    recorded, model = read_recording(recording), Checkpoint(job.model.folder)
    job.refuse_other_recording(recording, recorded.metadata)
    # Of a resized vocabulary, the tokens that both have are compared, as in a sweep.
    recorded = replace(recorded, vocabulary=int(model.config.vocab_size))
    host = StreamedModel(model, job.dtype, job.device)
    checked = self_patch_windows(window, model.layers)
    donor = Donor if job.model.method == ORIGINAL else SelfPatch
    donors = [donor(EXPERIMENTS[name], recorded, model, checked) for name in CHECKED]
    swept, logprobs = sweep(host, donors, recorded), recorded.logprobs(job.device)
    tables = {
        name: tabulate(recorded.texts, checked, swept.unpatched, patched, logprobs)
        for name, patched in zip(CHECKED, swept.patched, strict=True)
    }
    rows = pd.concat(tables, names=["experiment"]).reset_index("experiment")
    rows = rows.assign(donor=SelfPatch.name, method=job.model.method)
    size, label = _size(recorded, job.device), job.model.label
    change = refuse_changed(rows, size, str(job.dtype), label)
    log.info("%s: its own states move its logits by at most %.2g", label, change)
    settings = {"window": window, "prompt": prompt}
    job.write(table, rows, SWEEP_SCHEMA, settings, largest_change=f"{change:.3g}")


def _size(recording: Recording, device: torch.device) -> float:
    """The root mean square of the original's compared logits, each question counting alike."""
    squares = [
        float(recording.original_logits(text, device).logits.square().mean())
        for text in range(len(recording.texts))
    ]
    return float((sum(squares) / len(squares)) ** 0.5)


if __name__ == "__main__":
    run(main)
