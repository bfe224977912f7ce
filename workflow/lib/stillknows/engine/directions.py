"""The sweeps of one unlearned model, in both directions, as rows of the parquet contract."""

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
from stillknows.engine.scores import tabulate
from stillknows.engine.streamed_model import RESIDUAL, StreamedModel
from stillknows.engine.sweep import sweep
from stillknows.engine.windows import Window
from stillknows.models.reader import Checkpoint


def run_experiments(
    names: Collection[str],
    original: Checkpoint,
    unlearned: StreamedModel,
    recorded: Recording,
    windows: Sequence[Window],
    temporary: Path,
    controls: Mapping[str, Any] | None = None,
    reference: StreamedModel | None = None,
) -> dict[str, pd.DataFrame]:
    """The rows of all donors, by experiment.

    Denoising patches the original into the unlearned model (the paper, section 3), noising the
    unlearned model into the original. All experiments with one host are one sweep: each has the
    bits that it would have alone. Where the original's embedding, final norm and head are restored
    too, the host is the original with the unlearned model's layers. Whatever the host, runs are
    compared with the unlearned model as it is.

    Args:
        names: of experiments.
        recorded: the original's recording.
        temporary: a path for the recording of another model, removed afterwards.
        controls: of denoising: further donors, the layers of their windows, the noise's seed; may
            be empty.
        reference: the reference model, if it is among the controls.
    """
    device = unlearned.device
    names_by_host: dict[tuple[bool, bool], list[str]] = {}
    for name in names:
        experiment = EXPERIMENTS[name]
        names_by_host.setdefault((experiment.noising, experiment.outside_layers), []).append(name)
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in names}
    for (noising, outside_layers), members in names_by_host.items():
        host = unlearned
        if noising or outside_layers:
            layers = unlearned.checkpoint if outside_layers else original
            host = StreamedModel(original, unlearned.dtype, device, layers_from=layers)
        other = unlearned if noising else reference
        with _recording_of(other, recorded, members, temporary) as recording:
            donors: list[tuple[str, Donor]] = []
            for name in members:
                donor, other_donor = Donor(EXPERIMENTS[name], recorded, original, windows), None
                if other is not None:
                    sources = recording, other.checkpoint, windows, terms.COPY
                    other_donor = Donor(EXPERIMENTS[name], *sources)
                if noising and other_donor:
                    donors.append((name, other_donor))
                else:
                    further = controls_of(donor, reference=other_donor, **controls or {})
                    donors += [(name, of_control) for of_control in (donor, *further)]
            swept = sweep(host, [donor for _, donor in donors], recorded)
            unpatched = swept.unpatched
            if noising:
                unpatched = [
                    recorded.original_logits(text, device).score(recording.logits(text, device))
                    for text in range(len(recorded.texts))
                ]
            elif outside_layers:
                unpatched = sweep(unlearned, [], recorded).unpatched
        logprobs = recorded.logprobs(device)
        for (name, donor), patched in zip(donors, swept.patched, strict=True):
            scores = unpatched, patched, logprobs
            rows = tabulate(recorded.texts, donor.windows, *scores, noising=noising)
            tables[name].append(rows.assign(donor=donor.name))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


@contextmanager
def _recording_of(
    model: StreamedModel | None, recorded: Recording, names: Sequence[str], path: Path
) -> Iterator[Recording]:
    """A model's recording of the same texts, over the same tokens, while the block runs.

    The original's instead, for its texts, where there is no model or it gives weights only.

    Args:
        names: of the experiments.
    """
    components = {component for name in names for component in EXPERIMENTS[name].components}
    if model is None or not components:
        yield recorded
        return
    try:
        tensors = record(model, recorded.texts, residual=RESIDUAL in components)
        write_recording(path, tensors, recorded.texts, {})
        yield replace(read_recording(path), vocabulary=recorded.vocabulary)
    finally:
        path.unlink(missing_ok=True)
