"""tables/recall.csv: which facts each model says, and says again after relearning others."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from stillknows.answers.recall_settings import HELD_OUT, QUESTION
from stillknows.parquet_files import RECALL_SCHEMA, read_metadata, read_table
from stillknows.terms import AS_IT_IS, RELEARNED

RECALL_COLUMNS = [
    *("model", "origin", "method", "concept", "concept_name"),
    "facts",
    *("recall_question", "recall_held_out"),
    *("steps", "taught_nll", "facts_not_taught"),
    *("before_question", "before_held_out", "after_question", "after_held_out"),
]


def recall_scores(recall: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """The scores `recalled` and `relearned`, 0 to 1, by method.

    Args:
        recall: rows of RECALL_SCHEMA.

    Returns:
        recalled: the share of held-out questions whose answers have the fact; relearned: the same
        after relearning, of the questions that were not relearned.
    """
    held_out = recall[recall["wording"] == HELD_OUT]
    as_it_is = held_out[held_out["stage"] == AS_IT_IS]
    relearned = held_out[(held_out["stage"] == RELEARNED) & ~held_out["relearned"]]
    return {
        "recalled": as_it_is.groupby("method")["has_fact"].mean(),
        "relearned": relearned.groupby("method")["has_fact"].mean(),
    }


def recall_table(files: Iterable[Path], origins: dict[str, str]) -> pd.DataFrame:
    """One row per model, method and concept; null where something was not asked or not taught.

    Args:
        files: .../{model}/{method}/{concept}.parquet of RECALL_SCHEMA.
        origins: Study.origins_in_tables.

    Returns:
        RECALL_COLUMNS. facts: how many were asked for. recall_..: the share of answers that have
        their fact, by wording. steps, taught_nll: optimizer steps of the relearning, and the NLL of
        the taught answers after it, nats per token. facts_not_taught: how many facts it left out;
        before_.., after_..: recall of these before and after it.
    """
    table = pd.DataFrame([_row(path) for path in files], columns=RECALL_COLUMNS)
    table = with_origins(table, origins)
    return table.sort_values(RECALL_COLUMNS[:4], ignore_index=True)


def with_origins(table: pd.DataFrame, origins: Mapping[str, str]) -> pd.DataFrame:
    """A table of models with the origins that collected tables change (Study.origins_in_tables)."""
    names = table["model"] + "/" + table["method"] + "/" + table["concept"]
    return table.assign(origin=names.map(origins).fillna(table["origin"]))


def _row(path: Path) -> dict[str, object]:
    rows = read_table(path, RECALL_SCHEMA).to_pandas().astype({"wording": str, "stage": str})
    metadata = read_metadata(path)
    as_it_is, again = (rows[rows["stage"] == stage] for stage in (AS_IT_IS, RELEARNED))
    not_taught = as_it_is[~as_it_is["relearned"]]
    row: dict[str, object] = {name: str(rows[name].iloc[0]) for name in RECALL_COLUMNS[:5]}
    row["facts"] = as_it_is["question"].nunique()
    groups = {"recall": as_it_is}
    if not again.empty:
        row["steps"] = metadata.get("relearning_steps")
        row["taught_nll"] = metadata.get("relearning_nll")
        row["facts_not_taught"] = not_taught["question"].nunique()
        groups |= {"before": not_taught, "after": again[~again["relearned"]]}
    for name, group in groups.items():
        shares = group.groupby("wording")["has_fact"].mean()
        row |= {f"{name}_{wording}": shares.get(wording) for wording in (QUESTION, HELD_OUT)}
    return row
