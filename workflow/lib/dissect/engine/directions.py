"""Both directions of a sweep, as rows: the original into the copy (denoising), and the reverse."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dissect.checkpoints.reader import Checkpoint
from dissect.engine.donors import Copy, Reference, controls_of
from dissect.engine.patches import EXPERIMENTS, Donor, DonorWindows, Experiment
from dissect.engine.record import record
from dissect.engine.recording import Recording, read_recording, write_recording
from dissect.engine.scores import Scores
from dissect.engine.streamed_model import StreamedModel
from dissect.engine.sweep import Swept, sweep
from dissect.engine.table import tabulate
from dissect.inputs.windows import Window


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
    experiments = _experiments(names, noising=False)
    if not experiments:
        return {}
    of_copy: dict[str, list[DonorWindows]] = {}
    of_other_host: dict[str, list[DonorWindows]] = {}
    rows: dict[str, pd.DataFrame] = {}
    with _recording_of(reference, recorded, experiments, temporary) as of_reference:
        for name, experiment in experiments.items():
            from_original = Donor(experiment, recorded, original)
            donors = [DonorWindows(from_original, windows)]
            if controls:
                of_experiment = _reference_donor(experiment, of_reference, reference)
                donors += controls_of(
                    from_original, windows=windows, reference=of_experiment, **controls
                )
            (of_other_host if experiment.outside_layers else of_copy)[name] = donors
        if of_copy:
            swept = sweep(unlearned, [*chain(*of_copy.values())], recorded)
            rows |= _rows_of(of_copy, swept, swept.unpatched, recorded, unlearned.device)
        if of_other_host:
            layers = unlearned.checkpoint
            host = StreamedModel(original, unlearned.dtype, unlearned.device, layers_from=layers)
            swept = sweep(host, [*chain(*of_other_host.values())], recorded)
            unpatched = _unpatched(unlearned, recorded)
            rows |= _rows_of(of_other_host, swept, unpatched, recorded, unlearned.device)
    return rows


def _rows_of(
    donors: Mapping[str, Sequence[DonorWindows]],
    swept: Swept,
    unpatched: Sequence[Scores],
    recorded: Recording,
    device: torch.device,
) -> dict[str, pd.DataFrame]:
    """The rows of a sweep by experiment, those of all its donors.

    Args:
        donors: of each experiment, in the order in which they were swept.
        unpatched: the scores of the unlearned model as it is.
    """
    patched, logprobs = iter(swept.patched), recorded.logprobs(device)
    rows = {}
    for name, of_experiment in donors.items():
        tables = {
            one.donor.name: tabulate(
                recorded.texts, one.windows, unpatched, next(patched), logprobs
            )
            for one in of_experiment
        }
        rows[name] = pd.concat(tables, names=["donor"]).reset_index("donor")
    return rows


def _unpatched(model: StreamedModel, recorded: Recording) -> list[Scores]:
    """The scores of a model as it is: a sweep of no window."""
    no_donor = Donor(Experiment(), recorded, model.checkpoint)
    return sweep(model, [DonorWindows(no_donor, [])], recorded).unpatched


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
    experiments = _experiments(names, noising=True)
    if not experiments:
        return {}
    host = StreamedModel(original, unlearned.dtype, unlearned.device)
    with _recording_of(unlearned, recorded, experiments, temporary) as of_copy:
        donors = [Copy(one, of_copy, unlearned.checkpoint) for one in experiments.values()]
        swept = sweep(host, [DonorWindows(donor, windows) for donor in donors], recorded)
        unpatched = of_copy.scores(recorded, host.device)
    logprobs, rows = recorded.logprobs(host.device), {}
    for name, patched in zip(experiments, swept.patched, strict=True):
        table = tabulate(recorded.texts, windows, unpatched, patched, logprobs, noising=True)
        rows[name] = table.assign(donor=Copy.name)
    return rows


def _reference_donor(
    experiment: Experiment, recording: Recording, model: StreamedModel | None
) -> Reference | None:
    return Reference(experiment, recording, model.checkpoint) if model else None


def _experiments(names: Collection[str], *, noising: bool) -> dict[str, Experiment]:
    """The experiments of one direction, in the order of the names."""
    return {name: EXPERIMENTS[name] for name in names if EXPERIMENTS[name].noising == noising}


@contextmanager
def _recording_of(
    model: StreamedModel | None,
    recorded: Recording,
    experiments: Mapping[str, Experiment],
    path: Path,
) -> Iterator[Recording]:
    """A model's recording of the same texts, over the same tokens, while the block runs.

    The original's instead, for its texts, where there is no model or it gives weights only.
    """
    if model is None or not any(one.has_activations for one in experiments.values()):
        yield recorded
        return
    residual = any(one.residual for one in experiments.values())
    try:
        write_recording(path, record(model, recorded.texts, residual=residual), recorded.texts, {})
        yield replace(read_recording(path), vocabulary=recorded.vocabulary)
    finally:
        path.unlink(missing_ok=True)
