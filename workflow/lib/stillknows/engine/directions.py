"""The sweeps of one unlearned model, in both directions, as rows of the parquet contract."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stillknows import terms
from stillknows.engine.patches import EXPERIMENTS, Donor, controls_of
from stillknows.engine.recording import (
    Array,
    Recording,
    Scores,
    read_recording,
    record,
    write_recording,
)
from stillknows.engine.streamed_model import RESIDUAL, StreamedModel
from stillknows.engine.sweep import sweep
from stillknows.engine.windows import LayerRange, Window
from stillknows.models.reader import Checkpoint
from stillknows.terms import SPANS
from stillknows.texts.spans import Text

# By the beginning of the columns' names, the score whose mean they have.
COLUMNS = {"loss": "squared_error", "kl": "kl", "top1": "agrees", "answer_logprob": "logprob"}


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
    unlearned model into the original. All experiments with one host are one sweep, with the bits
    that each would have alone. Where the original's embedding, final norm and head are restored
    too, the host is the original with the unlearned model's layers. Runs are always compared with
    the unlearned model as it is.

    Args:
        temporary: a path for the recording of another model, removed afterwards.
        controls: the arguments `names`, `layers` and `seed` of `controls_of`; may be empty.
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
                experiment, other_donor = EXPERIMENTS[name], None
                donor = Donor(experiment, recorded, original, windows)
                if other is not None:
                    other_donor = Donor(experiment, recording, other.checkpoint, windows)
                if noising and other_donor:
                    donors.append((name, replace(other_donor, name=terms.COPY)))
                else:
                    further = controls_of(donor, reference=other_donor, **controls or {})
                    donors += [(name, sweep_donor) for sweep_donor in (donor, *further)]
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
    """A model's recording of the same texts while the block runs; without one, the original's."""
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


def tabulate(
    texts: Sequence[Text],
    windows: Sequence[Window],
    unlearned: Sequence[Scores],
    patched: Mapping[LayerRange, Sequence[Scores]],
    original_logprobs: Sequence[Array],
    *,
    noising: bool = False,
) -> pd.DataFrame:
    """One row per question x span x window: the means over the span's positions.

    unlearned: per text, as it is, in both directions. patched: per window's layers and text.
    original_logprobs: per text, (positions,), nats. noising: then a noising ratio and no KRS.
    """
    parts = []
    for question, text in enumerate(texts):
        runs = [unlearned[question], *(patched[w.first, w.last][question] for w in windows)]
        for span in SPANS:
            positions = text.span(span)
            if positions is None:
                continue
            start = text.compared.start
            within = slice(positions.start - start, positions.stop - start)
            part: dict[str, Any] = {
                "window": [window.name for window in windows],
                "layer": [window.layer for window in windows],
                "first_layer": [window.first for window in windows],
                "last_layer": [window.last for window in windows],
                "question": question,
                "span": span,
                "positions": len(positions),
            }
            for column, score in COLUMNS.items():
                values = np.stack([getattr(run, score) for run in runs])[:, within].mean(axis=1)
                part |= {f"{column}_unlearned": values[0], f"{column}_patched": values[1:]}
            part["answer_logprob_original"] = original_logprobs[question][within].mean()
            if positions.stop > text.answer.stop:
                # The last position, which is the notebook's span's, predicts no token of the text.
                part |= {name: np.nan for name in part if name.startswith("answer_logprob")}
            parts.append(pd.DataFrame(part))
    rows = pd.concat(parts, ignore_index=True)
    # Where the unlearned model's loss is 0, there is nothing to recover. In noising, a
    # patched loss of 0 is a ratio of 0.
    ratio = rows["loss_patched"] / rows["loss_unlearned"].where(rows["loss_unlearned"] != 0)
    noising_ratio = ratio.where(rows["loss_patched"] != 0, 0.0)
    return rows.assign(
        krs=np.nan if noising else 1 - ratio, noising_ratio=noising_ratio if noising else np.nan
    )
