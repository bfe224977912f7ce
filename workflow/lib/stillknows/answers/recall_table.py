"""tables/recall.csv: which facts each model says, and says again after relearning others."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from stillknows.answers.recall_schema import RECALL_SCHEMA
from stillknows.answers.recall_settings import HELD_OUT, QUESTION
from stillknows.parquet_files import read_metadata, read_table
from stillknows.terms import AS_IT_IS, RELEARNED

RECALL_COLUMNS = [
    *("model", "origin", "method", "concept", "concept_name"),
    "facts",
    *("recall_question", "recall_held_out"),
    *("steps", "taught_nll", "facts_not_taught"),
    *("before_question", "before_held_out", "after_question", "after_held_out"),
]


def recall_table(files: Iterable[Path], origins: dict[str, str]) -> pd.DataFrame:
    """One row per model, method and concept; null where something was not asked or not taught.

    Args:
        files: .../{model}/{method}/{concept}.parquet of RECALL_SCHEMA.
        origins: Study.origins_apart.

    Returns:
        RECALL_COLUMNS. facts: how many were asked for. recall_..: the share of answers that have
        their fact, by wording. steps, taught_nll: optimizer steps of the relearning, and the NLL of
        the taught answers after it, nats per token. facts_not_taught: how many facts it left out;
        before_.., after_..: recall of these before and after it.
    """
    table = pd.DataFrame([_row(path) for path in files], columns=RECALL_COLUMNS)
    names = table["model"] + "/" + table["method"] + "/" + table["concept"]
    table["origin"] = names.map(origins).fillna(table["origin"])
    return table.sort_values(RECALL_COLUMNS[:4], ignore_index=True)


def _row(path: Path) -> dict[str, object]:
    rows = read_table(path, RECALL_SCHEMA).to_pandas().astype({"wording": str, "stage": str})
    training = read_metadata(path)
    as_it_is, again = (rows[rows["stage"] == stage] for stage in (AS_IT_IS, RELEARNED))
    was_relearned = not again.empty
    not_taught = as_it_is[~as_it_is["relearned"]]
    shares = {
        "recall": as_it_is,
        "before": not_taught if was_relearned else again,
        "after": again[~again["relearned"]],
    }
    return {
        **{name: str(rows[name].iloc[0]) for name in RECALL_COLUMNS[:5]},
        "facts": as_it_is["question"].nunique(),
        "steps": training.get("relearning_steps") if was_relearned else None,
        "taught_nll": training.get("relearning_nll") if was_relearned else None,
        "facts_not_taught": not_taught["question"].nunique() if was_relearned else None,
        **{
            f"{name}_{wording}": chosen.loc[chosen["wording"] == wording, "has_fact"].mean()
            for name, chosen in shares.items()
            for wording in (QUESTION, HELD_OUT)
        },
    }
