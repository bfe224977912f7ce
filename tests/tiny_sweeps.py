"""Recordings and sweeps of tiny checkpoints."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from stillknows.engine.patches import Donor
from stillknows.engine.recording import Recording, Scores, read_recording, record, write_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.sweep import Swept, sweep
from stillknows.engine.windows import Window, windows_of
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.reader import Checkpoint
from stillknows.texts.spans import Text, read_texts
from tiny import LAYERS, tiny_concept

CPU = torch.device("cpu")
WINDOWS = windows_of(["sliding_1", "sliding_3", "sliding_5", "suffix", "prefix"], LAYERS)


def model_of(folder: Path, dtype: torch.dtype = torch.float32) -> StreamedModel:
    return StreamedModel(Checkpoint(folder), dtype, CPU)


def texts_of(folder: Path, questions: int = 4) -> list[Text]:
    return read_texts(tiny_concept(questions=questions), "paper", load_tokenizer(folder))


def recording_of(
    folder: Path, texts: Sequence[Text], path: Path, dtype: torch.dtype = torch.float32
) -> Recording:
    write_recording(path, record(model_of(folder, dtype), texts, residual=True), texts, {})
    return read_recording(path)


def sweep_of(host: StreamedModel, donor: Donor, windows: Sequence[Window]) -> Swept:
    """The sweep of a single donor."""
    return sweep(host, [replace(donor, windows=windows)], donor.recording)


def loss_of(scores: Sequence[Scores]) -> np.ndarray:
    """Per text, the mean squared error over its compared positions."""
    return np.array([of_text.squared_error.mean() for of_text in scores])


def runs_of(swept: Swept) -> dict[tuple[int, int] | None, list[Scores]]:
    """The scores of the unpatched run, None, and of the first donor's runs, by their windows."""
    return {None: swept.unpatched, **swept.patched[0]}
