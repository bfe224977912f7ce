"""Scores against direct arithmetic, and the rows made of them."""

import numpy as np
import pytest
import torch

from dissect.engine.scores import Reference, Scores
from dissect.engine.table import recovery, tabulate
from dissect.study.windows import Window
from dissect.texts.spans import Text

TEXT = Text(ids=(3, 1, 4, 2, 0, 4), notebook=range(3, 6), answer=range(2, 5))


@pytest.fixture
def logits() -> torch.Tensor:
    """(rows, positions, vocabulary); row 0 is the original's."""
    return 3 * torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_scores_are_what_they_say(logits: torch.Tensor) -> None:
    scores = Reference(logits[0], TEXT).score(logits)
    logprobs = logits.log_softmax(-1)
    mse = torch.nn.functional.mse_loss(logits, logits[:1].expand_as(logits), reduction="none")
    np.testing.assert_allclose(scores.squared_error, mse.mean(-1), rtol=1e-6)
    kl = (logprobs[0].exp() * (logprobs[0] - logprobs)).sum(-1)
    np.testing.assert_allclose(scores.kl, kl, atol=1e-6)
    np.testing.assert_array_equal(scores.agrees, logits.argmax(-1) == logits[0].argmax(-1))
    # Compared positions are 2 to 5; what follows them in the text is 2, 0, 4 and nothing.
    following = [logprobs[:, place, token] for place, token in enumerate((2, 0, 4))]
    np.testing.assert_allclose(scores.logprob[:, :3], torch.stack(following, 1), atol=1e-6)
    np.testing.assert_allclose(
        Reference(logits[0], TEXT).logprob()[:3], scores.logprob[0, :3], atol=1e-6
    )


def test_equal_logits_score_exactly_nothing(logits: torch.Tensor) -> None:
    scores = Reference(logits[0], TEXT).score(logits[:1])
    assert (scores.squared_error == 0).all()
    assert (scores.kl == 0).all()
    assert (scores.agrees == 1).all()


def test_bf16_logits_are_compared_in_float32(logits: torch.Tensor) -> None:
    rounded = logits.bfloat16()
    ours = Reference(rounded[0], TEXT).score(rounded)
    theirs = Reference(rounded[0].float(), TEXT).score(rounded.float())
    np.testing.assert_array_equal(ours.squared_error, theirs.squared_error)


def test_parts_are_joined_in_order(logits: torch.Tensor) -> None:
    reference = Reference(logits[0], TEXT)
    joined = Scores.joined([reference.score(logits[:1]), reference.score(logits[1:])])
    np.testing.assert_allclose(joined.kl, reference.score(logits).kl, atol=1e-6)


def test_rows_of_a_table(logits: torch.Tensor) -> None:
    reference = Reference(logits[0], TEXT)
    places = [("sliding_1", 0), ("suffix", 0), ("sliding_1", 1)]
    windows = [Window(name, layer, layer, layer) for name, layer in places]
    # Row 0: unpatched; the two patched rows are layers 0..0 and 1..1.
    scores = reference.score(logits[[1, 2, 0]])
    rows = tabulate([TEXT], windows, [(0, 0), (1, 1)], [scores], [reference.logprob()])
    assert len(rows) == 3 * 2
    notebook = rows[rows["span"] == "notebook"].reset_index()
    assert (notebook["positions"] == 3).all()
    mse = (logits - logits[0]).square().mean(-1)
    np.testing.assert_allclose(notebook["loss_unlearned"], mse[1, 1:].mean(), rtol=1e-6)
    np.testing.assert_allclose(notebook["loss_patched"][0], mse[2, 1:].mean(), rtol=1e-6)
    assert notebook["loss_patched"][0] == notebook["loss_patched"][1]
    assert notebook["krs"][2] == 1
    assert notebook["answer_logprob_patched"].isna().all()
    answer = rows[rows["span"] == "answer"].reset_index()
    logprobs = logits.log_softmax(-1)
    expected = np.mean([logprobs[2, place, token] for place, token in enumerate((2, 0, 4))])
    np.testing.assert_allclose(answer["answer_logprob_patched"][0], expected, atol=1e-6)
    np.testing.assert_allclose(answer["loss_patched"][0], mse[2, :3].mean(), rtol=1e-6)


def test_recovery_is_null_where_nothing_was_lost() -> None:
    assert np.isnan(recovery(0.0, np.array([0.0, 1.0]))).all()
    np.testing.assert_allclose(recovery(2.0, np.array([1.0, 3.0, 0.0])), [0.5, -0.5, 1.0])
