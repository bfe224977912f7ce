"""docs/explanation/scores.md: its worked example is the engine's, its columns are the tables'."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from dissect.analysis.disagreements import AT_MOST, DISAGREEMENT_COLUMNS
from dissect.analysis.scores import EVERY_SCORE, MEASURES
from dissect.engine.scores import OriginalLogits
from dissect.texts.spans import Text

PAGE = (Path(__file__).parents[2] / "docs/explanation/scores.md").read_text(encoding="utf-8")
ORIGINAL, ANSWER = [5.0, 3.0, 0.0, 0.0, 0.0, 0.0], 0


def worked_rows() -> list[tuple[list[float], list[str]]]:
    """The logits and the numbers of the table under "One position, by hand"."""
    table = PAGE.split("## One position, by hand")[1].split("\n\n")[2]
    rows = []
    for line in table.splitlines()[2:]:
        logits, *numbers = (cell.strip() for cell in line.strip("|").split("|"))
        rows.append(([float(x) for x in re.findall(r"-?[\d.]+", logits)], numbers))
    return rows


def test_the_worked_example_is_what_the_engine_computes() -> None:
    rows = worked_rows()
    assert len(rows) == 3
    text = Text(ids=(3, ANSWER), notebook=range(1), answer=range(1))
    original = OriginalLogits(torch.tensor([ORIGINAL]), text)
    scores = [original.score(torch.tensor([logits])) for logits, _ in rows]
    frame = pd.DataFrame(
        {
            "loss_patched": [of_run.squared_error[0] for of_run in scores],
            "kl_patched": [of_run.kl[0] for of_run in scores],
            "top1_patched": [of_run.agrees[0] for of_run in scores],
            "answer_logprob_patched": [of_run.logprob[0] for of_run in scores],
            "answer_logprob_original": original.logprob[0],
        }
    )
    for name in ("loss", "kl", "top1", "answer_logprob"):
        frame[f"{name}_unlearned"] = frame[f"{name}_patched"].iloc[0]
    recovered = {name: measure.recovered(frame) for name, measure in MEASURES.items()}
    for row, (_, told) in enumerate(rows):
        numbers = [
            frame["loss_patched"][row],
            recovered["krs_of_means"][row],  # of one question, the same as krs
            frame["kl_patched"][row],
            recovered["kl_recovered"][row],
            frame["top1_patched"][row],
            recovered["logprob_recovered"][row],
        ]
        for number, word in zip(numbers, told, strict=True):
            digits = len(word.partition(".")[2])
            assert float(word) == pytest.approx(number, abs=0.5 * 10**-digits + 1e-6)


def test_the_loss_is_the_shift_squared_and_the_variance() -> None:
    difference = torch.tensor([3.0, 5.0, 0.0, 0.0, 1.0, 0.0]) - torch.tensor(ORIGINAL)
    whole = difference.mean() ** 2 + difference.var(correction=0)
    assert whole.item() == pytest.approx((difference**2).mean().item())


def test_every_score_and_column_is_explained() -> None:
    for name in EVERY_SCORE:
        assert f"| `{name}` |" in PAGE
    explained = PAGE.split("## tables/disagreements.csv")[1]
    for column in ("rank", "question", "layer", "other", "difference", *EVERY_SCORE):
        if column in DISAGREEMENT_COLUMNS:
            assert column in explained
    assert AT_MOST == 10 and "the ten questions" in explained
