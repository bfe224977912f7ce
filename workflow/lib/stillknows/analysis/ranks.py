"""Per-fact ranks and p-values of exposure and association."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from stillknows.terms import ASSOCIATION

RANK_COLUMNS = [
    *("question", "score", "rule", "fact", "m", "rank", "p", "p_suppressed", "tokens", "logprob"),
    *("best_other", "logprob_best_other"),
]


def rank_p(true: float, others: Iterable[float]) -> tuple[int, float]:
    """The rank of a true value among others, 1 for the highest, and p = rank / (others + 1).

    If true and other values are exchangeable, p is at most alpha with a probability of at most
    alpha. Ties count against the true value, as do values that are no numbers.
    """
    is_below = np.array([*others], float) < true
    rank = 1 + int((~is_below).sum())
    return rank, rank / (len(is_below) + 1)


def rank_table(candidates: pd.DataFrame) -> pd.DataFrame:
    """Ranks from the table of `engine.exposure.measure`.

    Returns:
        RANK_COLUMNS, one row per question and score. m: how many others there are; p: small where
        the true one is more probable than the others; p_suppressed: of association only, small
        where it is less probable (the other tail); best_other: the most probable of the others.
    """
    rows = []
    for (question, score), group in candidates.groupby(["question", "score"], sort=False):
        true, others = group[group["is_true"]].iloc[0], group[~group["is_true"]]
        rank, p = rank_p(true["logprob"], others["logprob"])
        best = others.sort_values("logprob", ascending=False, kind="stable").head(1)
        row = {"question": question, "score": score, "m": len(others), "rank": rank, "p": p}
        row |= {name: true[name] for name in ("rule", "fact", "tokens", "logprob")}
        if score == ASSOCIATION:
            row["p_suppressed"] = rank_p(-true["logprob"], -others["logprob"])[1]
        for name, value in (("best_other", "candidate"), ("logprob_best_other", "logprob")):
            row[name] = next(iter(best[value]), None)
        rows.append(row)
    return pd.DataFrame(rows, columns=RANK_COLUMNS)


def facts_found(candidates: pd.DataFrame, alpha: float = 0.05) -> str:
    """Of how many facts each score's p is at most alpha, in words; candidates: of `rank_table`."""
    p = rank_table(candidates).groupby("score", sort=False)["p"]
    counts = [f"{score} for {(p <= alpha).sum()} of {len(p)} facts" for score, p in p]
    return f"p of at most {alpha:g} by {', by '.join(counts)}"
