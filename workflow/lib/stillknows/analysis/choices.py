"""Multiple-choice items: how often the right choice is the most probable one."""

from collections.abc import Sequence

import pandas as pd
from scipy.stats import binomtest

from stillknows.terms import ORIGINAL
from stillknows.texts.decoys import GIVEN

ITEM = ["model", "concept", "question"]
COLUMNS = [
    *("model", "concept", "method", "items", "right", "accuracy", "low", "high", "chance"),
    *("lost", "gained", "p_original"),
]


def choice_accuracy(facts: pd.DataFrame) -> pd.DataFrame:
    """Per copy, the share of items of which the right choice is the most probable one.

    The choices are not shown to the model: each is scored by its mean log-probability per token
    after the question (as lm-evaluation-harness does for the cloze form, but for its division by
    characters). A wrong choice may be easy to tell by its words alone, so that more than `chance`
    is no proof of knowledge; how much more, a model shows that never learned the topic.

    Args:
        facts: tables/facts.csv; items are the questions with given decoys.

    Returns:
        COLUMNS, the original first. low, high: the exact 95 % interval of accuracy (Clopper and
        Pearson); chance: the mean of 1 / choices; lost, gained: items that the original has right
        and the copy wrong, and the other way round; p_original: of the exact test that both are
        equally frequent (McNemar). Null for the original.
    """
    items = facts[(facts["exposure_rule"] == GIVEN) & facts["exposure_rank"].notna()]
    items = items.assign(is_right=items["exposure_rank"] == 1)
    originals = items[items["method"] == ORIGINAL].set_index(ITEM)["is_right"]
    rows = []
    for (model, concept, method), copy in items.groupby(["model", "concept", "method"], sort=False):
        right, total = int(copy["is_right"].sum()), len(copy)
        low, high = binomtest(right, total).proportion_ci(method="exact")
        row = {"model": model, "concept": concept, "method": method, "items": total, "right": right}
        row |= {"accuracy": right / total, "low": low, "high": high}
        row["chance"] = (1 / copy["exposure_of"]).mean()
        if method != ORIGINAL:
            row |= _changed(copy.set_index(ITEM)["is_right"], originals)
        rows.append(row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    is_copy = table["method"] != ORIGINAL
    return table.assign(is_copy=is_copy).sort_values(
        ["model", "concept", "is_copy"], kind="stable", ignore_index=True
    )[COLUMNS]


def _changed(copy: "pd.Series[bool]", originals: "pd.Series[bool]") -> dict[str, float]:
    original = originals.reindex(copy.index)
    lost, gained = int((original & ~copy).sum()), int((~original & copy).sum())
    p = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    return {"lost": lost, "gained": gained, "p_original": p}


def as_text(table: pd.DataFrame, columns: Sequence[str] = COLUMNS) -> str:
    """A table of `choice_accuracy` for the terminal."""
    shown = table[[*columns]].copy()
    shown["p_original"] = [f"{p:.2g}" if p == p else "" for p in shown["p_original"]]
    for name in ("lost", "gained"):
        shown[name] = shown[name].astype("Int64")
    return shown.round(3).to_string(index=False, na_rep="")
