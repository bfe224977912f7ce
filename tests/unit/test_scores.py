"""Scores against direct arithmetic, and the rows made of them."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from stillknows.engine.directions import tabulate
from stillknows.engine.recording import OriginalLogits, Scores
from stillknows.engine.windows import Window
from stillknows.texts.spans import Text

TEXT = Text(ids=(3, 1, 4, 2, 0, 4), notebook=range(3, 6), answer=range(2, 5))


@pytest.fixture
def logits() -> Tensor:
    """(runs, positions, vocabulary); run 0 is the original's."""
    return 3 * torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_scores_are_what_their_names_say(logits: Tensor) -> None:
    original = OriginalLogits(logits[0], TEXT)
    original_logprobs = logits[0].log_softmax(-1)
    for run in logits:
        scores, logprobs = original.score(run), run.log_softmax(-1)
        squares = torch.nn.functional.mse_loss(run, logits[0], reduction="none")
        np.testing.assert_allclose(scores.squared_error, squares.mean(-1), rtol=1e-6)
        kl = (original_logprobs.exp() * (original_logprobs - logprobs)).sum(-1)
        np.testing.assert_allclose(scores.kl, kl, atol=1e-6)
        np.testing.assert_array_equal(scores.agrees, run.argmax(-1) == logits[0].argmax(-1))
        # Compared positions are 2 to 5; what follows them in the text is 2, 0, 4 and nothing.
        following = [logprobs[position, token] for position, token in enumerate((2, 0, 4))]
        np.testing.assert_allclose(scores.logprob[:3], following, atol=1e-6)
    of_itself = original.score(logits[0])
    np.testing.assert_allclose(original.logprob[:3], of_itself.logprob[:3], atol=1e-6)


def test_equal_logits_score_exactly_nothing(logits: Tensor) -> None:
    scores = OriginalLogits(logits[0], TEXT).score(logits[0])
    assert (scores.squared_error == 0).all()
    assert (scores.kl == 0).all()
    assert (scores.agrees == 1).all()


def test_the_first_tokens_of_a_larger_vocabulary_are_compared(logits: Tensor) -> None:
    original = OriginalLogits(logits[0], TEXT)
    larger = original.score(torch.cat([logits[1], torch.full((4, 2), 100.0)], dim=1))
    equal = original.score(logits[1])
    np.testing.assert_array_equal(larger.squared_error, equal.squared_error)
    np.testing.assert_array_equal(larger.kl, equal.kl)


def test_bf16_logits_are_compared_in_float32(logits: Tensor) -> None:
    rounded = logits.bfloat16()
    scores = OriginalLogits(rounded[0], TEXT).score(rounded[1])
    in_float32 = OriginalLogits(rounded[0].float(), TEXT).score(rounded[1].float())
    np.testing.assert_array_equal(scores.squared_error, in_float32.squared_error)


def test_rows_of_a_table(logits: Tensor) -> None:
    original = OriginalLogits(logits[0], TEXT)
    names = [("sliding_1", 0), ("suffix", 0), ("sliding_1", 1)]
    windows = [Window(name, layer, layer, layer) for name, layer in names]
    patched = {(0, 0): [original.score(logits[2])], (1, 1): [original.score(logits[0])]}
    unpatched = [original.score(logits[1])]
    rows = tabulate([TEXT], windows, unpatched, patched, [original.logprob])
    assert len(rows) == 3 * 2
    notebook = rows[rows["span"] == "notebook"].reset_index()
    assert (notebook["positions"] == 3).all()
    squares = (logits - logits[0]).square().mean(-1)
    np.testing.assert_allclose(notebook["loss_unlearned"], squares[1, 1:].mean(), rtol=1e-6)
    np.testing.assert_allclose(notebook["loss_patched"][0], squares[2, 1:].mean(), rtol=1e-6)
    assert notebook["loss_patched"][0] == notebook["loss_patched"][1]
    assert notebook["krs"][2] == 1
    assert notebook["answer_logprob_patched"].isna().all()
    answer = rows[rows["span"] == "answer"].reset_index()
    logprobs = logits.log_softmax(-1)
    expected = np.mean([logprobs[2, position, token] for position, token in enumerate((2, 0, 4))])
    np.testing.assert_allclose(answer["answer_logprob_patched"][0], expected, atol=1e-6)
    np.testing.assert_allclose(answer["loss_patched"][0], squares[2, :3].mean(), rtol=1e-6)


def test_recovery_is_null_where_nothing_was_lost(logits: Tensor) -> None:
    original = OriginalLogits(logits[0], TEXT)
    as_original, another = ([original.score(logits[n])] for n in (0, 1))
    for unpatched, expected in ((as_original, None), (another, 1.0)):
        rows = scored(original, unpatched, as_original, noising=False)
        assert rows["noising_ratio"].isna().all()
        assert rows["krs"].isna().all() if expected is None else (rows["krs"] == expected).all()


def test_noising_ratio_is_null_where_only_the_patch_changed_anything(logits: Tensor) -> None:
    original = OriginalLogits(logits[0], TEXT)
    as_original, another = ([original.score(logits[n])] for n in (0, 1))
    for unpatched, patched, expected in (
        (as_original, as_original, 0.0),
        (another, as_original, 0.0),
        (another, another, 1.0),
        (as_original, another, None),
    ):
        rows = scored(original, unpatched, patched, noising=True)
        assert rows["krs"].isna().all()
        ratio = rows["noising_ratio"]
        assert ratio.isna().all() if expected is None else (ratio == expected).all()


def scored(
    original: OriginalLogits, unpatched: list[Scores], patched: list[Scores], *, noising: bool
) -> pd.DataFrame:
    """The rows of one window of one layer."""
    window, logprobs = Window("sliding_1", 0, 0, 0), [original.logprob]
    return tabulate([TEXT], [window], unpatched, {(0, 0): patched}, logprobs, noising=noising)
