"""Put a model's own states back into itself, at a few windows, and fail if that changes it."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from dissect.analysis.self_patch import refuse_changed, self_patch_windows
from dissect.checkpoints.manifest import Manifest, read_manifest
from dissect.checkpoints.reader import Checkpoint
from dissect.device import choose_device, choose_dtype
from dissect.engine.donors import SelfPatch
from dissect.engine.patches import EXPERIMENTS, Donor, DonorWindows
from dissect.engine.recording import Recording, read_recording
from dissect.engine.streamed_model import StreamedModel
from dissect.engine.sweep import sweep
from dissect.engine.table import tabulate
from dissect.files import read_json, sha256_of
from dissect.job import job
from dissect.provenance import Stopwatch, checkpoint_fields, machine_fields, recording_fields
from dissect.results.expected import refuse_other_recording, settings_fields
from dissect.results.schema import write_rows
from dissect.terms import BOTH, ORIGINAL, VALUE_VECTORS

log = logging.getLogger("dissect")
# Between them, all that is ever put back.
CHECKED = (BOTH, VALUE_VECTORS)


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept: Path,
    recording: Path,
    window: str,
    prompt: str,
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write the self-patch check's rows, donor `self`.

    Args:
        checkpoint: the manifest of the model that is checked: an unlearned one, or the original,
            into which the recording's states are put back.
        window: which kind of windows.

    Raises:
        DissectError: if the model's own states change it.
    """
    stopwatch = Stopwatch()
    original_manifest, manifest = read_manifest(original), read_manifest(checkpoint)
    recorded, model = read_recording(recording), Checkpoint(manifest.folder)
    number_format = choose_dtype(dtype, original_manifest.dtype)
    wanted = recording_fields(original_manifest, concept, number_format)
    refuse_other_recording(recording, recorded.metadata, wanted)
    # Of a resized vocabulary, the tokens that both have are compared, as in a cell.
    recorded = replace(recorded, vocabulary=int(model.config.vocab_size))
    host = StreamedModel(model, number_format, choose_device(device))
    chosen = self_patch_windows(window, model.layers)
    donor = Donor if manifest.method == ORIGINAL else SelfPatch
    donors = [DonorWindows(donor(EXPERIMENTS[name], recorded, model), chosen) for name in CHECKED]
    swept = sweep(host, donors, recorded)
    keys, logprobs = _keys(manifest, read_json(concept)), recorded.logprobs(host.device)
    rows = pd.concat(
        [
            tabulate(recorded.texts, chosen, swept.unpatched, patched, logprobs).assign(
                **keys, experiment=name
            )
            for name, patched in zip(CHECKED, swept.patched, strict=True)
        ],
        ignore_index=True,
    )
    change = refuse_changed(rows, _size(recorded, host.device), str(number_format), manifest.label)
    log.info("%s: its own states move its logits by at most %.2g", manifest.label, change)
    metadata = {
        **checkpoint_fields("original", original_manifest),
        **checkpoint_fields("unlearned", manifest),
        **machine_fields(str(host.device), str(number_format)),
        "data_sha256": sha256_of(concept),
        **settings_fields(window=window, prompt=prompt, dtype=dtype),
        "largest_change": f"{change:.3g}",
    }
    write_rows(table, rows, metadata | stopwatch.fields())


def _keys(manifest: Manifest, concept: dict[str, str]) -> dict[str, str]:
    """The columns that are the same in every row."""
    return {
        "model": manifest.model,
        "method": manifest.method,
        "origin": manifest.origin,
        "concept": concept["id"],
        "concept_name": concept["Concept"],
        "donor": SelfPatch.name,
    }


def _size(recording: Recording, device: torch.device) -> float:
    """The root mean square of the original's compared logits, each question counting alike."""
    squares = [
        float(recording.original_logits(text, device).logits.square().mean())
        for text in range(len(recording.texts))
    ]
    return float((sum(squares) / len(squares)) ** 0.5)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            checkpoint=Path(snakemake.input.checkpoint),
            concept=Path(snakemake.input.texts),
            recording=Path(snakemake.input.recording),
            window=snakemake.params.window,
            prompt=snakemake.params.prompt,
            dtype=snakemake.params.dtype,
            device=snakemake.resources.device,
            table=Path(snakemake.output.table),
        )
