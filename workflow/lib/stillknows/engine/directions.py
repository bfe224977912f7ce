"""Both directions of a sweep, as rows: the original into the copy (denoising), and the reverse."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows import terms
from stillknows.engine.donors import controls_of
from stillknows.engine.patches import EXPERIMENTS, Donor
from stillknows.engine.recording import Recording, read_recording, record, write_recording
from stillknows.engine.scores import Scores
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.sweep import sweep
from stillknows.engine.table import tabulate
from stillknows.engine.windows import Window
from stillknows.models.reader import Checkpoint


def denoising(
    names: Collection[str],
    original: Checkpoint,
    unlearned: StreamedModel,
    recorded: Recording,
    windows: Sequence[Window],
    temporary: Path,
    controls: Mapping[str, Any] | None = None,
    reference: StreamedModel | None = None,
) -> dict[str, pd.DataFrame]:
    """The original patched into the unlearned model (the paper, section 3), by experiment.

    All experiments with one host are one sweep: each has the bits that it would have alone. Where
    the original's embedding, final norm and head are restored too, the host is the original with
    the unlearned model's layers; its runs, too, are compared with the unlearned model as it is.

    Args:
        names: of experiments; those of noising are left out.
        recorded: the original's recording.
        temporary: a path for the reference model's own recording, removed afterwards.
        controls: further donors, the layers of their windows, the noise's seed; may be empty.
        reference: the reference model, if it is among the controls.
    """
    names = [name for name in names if not EXPERIMENTS[name].noising]
    rows: dict[str, pd.DataFrame] = {}
    with _recording_of(reference, recorded, names, temporary) as reference_recording:

        def donors(name: str) -> list[Donor]:
            donor = Donor(EXPERIMENTS[name], recorded, original, windows)
            if not controls:
                return [donor]
            from_reference = None
            if reference:
                parts = reference_recording, reference.checkpoint, windows, terms.REFERENCE
                from_reference = Donor(EXPERIMENTS[name], *parts)
            return [donor, *controls_of(donor, reference=from_reference, **controls)]

        if in_copy := [name for name in names if not EXPERIMENTS[name].outside_layers]:
            rows |= swept_rows(unlearned, {name: donors(name) for name in in_copy}, recorded)
        if in_layers := [name for name in names if EXPERIMENTS[name].outside_layers]:
            layers = unlearned.checkpoint
            host = StreamedModel(original, unlearned.dtype, unlearned.device, layers_from=layers)
            unpatched = sweep(unlearned, [], recorded).unpatched
            in_host = {name: donors(name) for name in in_layers}
            rows |= swept_rows(host, in_host, recorded, unpatched)
    return rows


def noising(
    names: Collection[str],
    original: Checkpoint,
    unlearned: StreamedModel,
    recorded: Recording,
    windows: Sequence[Window],
    temporary: Path,
) -> dict[str, pd.DataFrame]:
    """The unlearned model patched into the original, by experiment; one sweep, as in denoising.

    Args:
        names: of experiments; those of denoising are left out.
        recorded: the original's recording.
        temporary: a path for the unlearned model's own recording, removed afterwards.
    """
    names = [name for name in names if EXPERIMENTS[name].noising]
    if not names:
        return {}
    host = StreamedModel(original, unlearned.dtype, unlearned.device)
    with _recording_of(unlearned, recorded, names, temporary) as recording:
        donors = {
            name: [Donor(EXPERIMENTS[name], recording, unlearned.checkpoint, windows, terms.COPY)]
            for name in names
        }
        return swept_rows(host, donors, recorded, recording.scores(recorded, host.device))


def swept_rows(
    host: StreamedModel,
    donors: Mapping[str, Sequence[Donor]],
    recorded: Recording,
    unpatched: Sequence[Scores] | None = None,
) -> dict[str, pd.DataFrame]:
    """The rows of one sweep by experiment, those of all its donors.

    Args:
        donors: by experiment.
        recorded: the original's recording.
        unpatched: the scores of the unlearned model as it is; None: they are the host's.
    """
    swept = sweep(host, [donor for group in donors.values() for donor in group], recorded)
    patched, logprobs = iter(swept.patched), recorded.logprobs(host.device)
    rows = {}
    for name, group in donors.items():
        tables = {
            donor.name: tabulate(
                recorded.texts,
                donor.windows,
                unpatched or swept.unpatched,
                next(patched),
                logprobs,
                noising=donor.experiment.noising,
            )
            for donor in group
        }
        rows[name] = pd.concat(tables, names=["donor"]).reset_index("donor")
    return rows


@contextmanager
def _recording_of(
    model: StreamedModel | None, recorded: Recording, names: Sequence[str], path: Path
) -> Iterator[Recording]:
    """A model's recording of the same texts, over the same tokens, while the block runs.

    The original's instead, for its texts, where there is no model or it gives weights only.

    Args:
        names: of the experiments.
    """
    components = {name for one in names for name in EXPERIMENTS[one].components}
    if model is None or not components:
        yield recorded
        return
    try:
        tensors = record(model, recorded.texts, residual="residual" in components)
        write_recording(path, tensors, recorded.texts, {})
        yield replace(read_recording(path), vocabulary=recorded.vocabulary)
    finally:
        path.unlink(missing_ok=True)
