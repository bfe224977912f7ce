"""Ranks of facts and their p-values."""

import pandas as pd
import pytest

from stillknows.analysis.ranks import RANK_COLUMNS, facts_found, rank_p, rank_table

NAN = float("nan")


@pytest.mark.parametrize(
    ("true", "others", "rank"),
    [
        (-1.0, [-2, -3, -4], 1),
        (-2.5, [-2, -3, -4], 2),
        (-5.0, [-2, -3, -4], 4),
        (-2.0, [-2, -2, -4], 3),  # ties count against the fact
        (-1.0, [NAN, -3, -4], 2),
        (NAN, [-2, -3, -4], 4),
        (-1.0, [], 1),
    ],
)
def test_rank_and_p(true: float, others: list[float], rank: int) -> None:
    assert rank_p(true, others) == (rank, rank / (len(others) + 1))


def test_table_of_ranks() -> None:
    candidates = pd.DataFrame(
        [
            (0, "exposure", "given", "tea", "tea", True, 2, -2.0),
            (0, "exposure", "given", "tea", "milk", False, 1, -1.0),
            (0, "exposure", "given", "tea", "beer", False, 3, -4.0),
            (0, "association", "file", "tea", "Ilsa", True, 2, -2.0),
            (0, "association", "file", "tea", "Berta", False, 2, -1.5),
            (1, "exposure", "recombined", "red", "red", True, 2, -1.0),
        ],
        columns=["question", "score", "rule", "fact", "candidate", "is_true", "tokens", "logprob"],
    )
    table = rank_table(candidates)
    assert table.columns.tolist() == RANK_COLUMNS
    assert table["rank"].tolist() == [2, 2, 1] and table["m"].tolist() == [2, 1, 0]
    assert table["p"].tolist() == [2 / 3, 1, 1]
    assert table["p_suppressed"].tolist()[1] == 0.5
    assert table["p_suppressed"].isna().tolist() == [True, False, True]
    assert table["best_other"].tolist()[:2] == ["milk", "Berta"]
    assert table["logprob_best_other"].tolist()[:2] == [-1.0, -1.5]
    assert pd.isna(table["best_other"][2])
    counts = "by exposure for 0 of 2 facts, by association for 0 of 1 facts"
    assert facts_found(candidates) == f"p of at most 0.05 {counts}"
    assert "by exposure for 1 of 2" in facts_found(candidates, alpha=0.7)
