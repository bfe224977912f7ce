"""A finished round of facts: a row per copy and fact, and a row per copy."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from stillknows.analysis.audit import VERDICT_COLUMNS
from stillknows.analysis.calibration.trainings import OUTCOMES, Trainings, outcomes
from stillknows.terms import EXPOSURE

_COPY = ["method", "host", "dose", "treatment", "recipe"]
FACT_ROW_COLUMNS = [
    *_COPY,
    *("question", "taught", "original_says", "says", "found"),
    *("association_p", "exposure_p", "suppressed_p", "relearned", "uds"),
    *("logprob", "logprob_lowest", "logprob_decoys", "logprob_lens"),
]
COPY_ROW_COLUMNS = [
    *_COPY,
    *VERDICT_COLUMNS[VERDICT_COLUMNS.index("verdict") :],
    *(*OUTCOMES, "weight_change"),
]


def taught_facts(asked: Mapping[str, Any], learned: Iterable[Mapping[str, Any]]) -> list[bool]:
    """Which facts of a concept are in one of the learned ones, with the same question.

    Args:
        asked, learned: entries of a concept file.
    """
    pairs = {
        pair for entry in learned for pair in zip(entry["QA"], entry["answer_facts"], strict=True)
    }
    return [pair in pairs for pair in zip(asked["QA"], asked["answer_facts"], strict=True)]


def copy_table(
    copies: Sequence[Mapping[str, Any]], taught: Mapping[str, Sequence[bool]]
) -> pd.DataFrame:
    """What each copy is; dose: the share of the facts that its host was taught, 0 to 1.

    Args:
        copies: Study.copies_of_facts of one model.
        taught: by method, which facts its host was taught.
    """
    table = pd.DataFrame(copies).drop(columns="learned")
    doses = {method: sum(known) / len(known) for method, known in taught.items()}
    return table.assign(dose=table["method"].map(doses))


def fact_rows(
    copies: pd.DataFrame,
    taught: Mapping[str, Sequence[bool]],
    facts: pd.DataFrame,
    exposure: pd.DataFrame,
    depth: pd.DataFrame,
) -> pd.DataFrame:
    """FACT_ROW_COLUMNS: of each fact in each copy its truth, and all that the tests say.

    Args:
        copies: from `copy_table`.
        taught: as in `copy_table`.
        facts: rows of tables/facts.csv.
        exposure: rows of EXPOSURE_SCHEMA.
        depth: rows of DEPTH_SCHEMA.

    Returns:
        taught: whether the host was taught this fact; logprob: that of the fact after its own
        question, nats per token; logprob_lowest: of its least likely token; logprob_decoys: the
        mean of its decoys; logprob_lens: the highest that the logit lens reads after any layer.
    """
    key = ["method", "question"]
    rows = exposure[exposure["score"] == EXPOSURE]
    own = rows[rows["is_true"]].set_index(key)[["logprob", "logprob_lowest"]]
    decoys = rows[~rows["is_true"]].groupby(key)["logprob"].mean().rename("logprob_decoys")
    lens = depth.groupby(key, observed=True)["logprob_lens"].max()
    table = copies.merge(facts, on="method", how="inner")
    for scores in (own, decoys, lens):
        table = table.join(scores, on=key)
    names = zip(table["method"], table["question"], strict=True)
    table["taught"] = [taught[method][question] for method, question in names]
    return table[FACT_ROW_COLUMNS]


def copy_rows(
    copies: pd.DataFrame, verdicts: pd.DataFrame, changes: pd.DataFrame, trainings: Trainings
) -> pd.DataFrame:
    """COPY_ROW_COLUMNS: each copy's verdict, its training, and how far its weights moved.

    Args:
        copies: from `copy_table`.
        verdicts, changes: rows of tables/verdicts.csv and tables/weight_changes.csv.
        trainings: by method, what the manifest says of the training.
    """
    weights = changes.groupby("method")["relative_change"].mean().rename("weight_change")
    table = copies.merge(verdicts, on="method", how="inner")
    table = table.join(outcomes(trainings), on="method")
    return table.join(weights, on="method")[COPY_ROW_COLUMNS]
