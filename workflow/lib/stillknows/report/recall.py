"""Which facts the models say, and say again after they have relearned others."""

import pandas as pd

from stillknows.answers.recall_settings import HELD_OUT, QUESTION
from stillknows.report.formatting import number
from stillknows.report.sources import Sources, records
from stillknows.terms import ORIGINAL

_WORDINGS = {QUESTION: "question", HELD_OUT: "held-out wording"}


def recall_rows(sources: Sources) -> pd.DataFrame:
    """tables/recall.csv for a reader, the originals first; no rows without it."""
    table = sources.table("recall.csv")
    if table is None:
        return pd.DataFrame()
    asked = [name for name in _WORDINGS if table[f"recall_{name}"].notna().any()]
    was_relearned = table["facts_not_taught"].notna().any()
    table = table.assign(is_copy=table["method"] != ORIGINAL)
    rows = records(table.sort_values(["model", "concept", "is_copy", "method"]))
    return pd.DataFrame(
        [
            {
                "model": row["model"],
                "method": row["method"],
                "concept": row["concept_name"],
                "facts": number(row["facts"], 0),
                **{f"recall, {_WORDINGS[one]}": number(row[f"recall_{one}"]) for one in asked},
                **(_relearned(row, asked) if was_relearned else {}),
            }
            for row in rows
        ]
    )


def _relearned(row: dict[str, float], asked: list[str]) -> dict[str, str]:
    """What relearning did: its steps, and recall of the facts that it did not teach."""
    return {
        "steps": number(row["steps"], 0),
        "loss of the taught answers": number(row["taught_nll"]),
        "facts not taught": number(row["facts_not_taught"], 0),
        **{
            f"recall of these, {_WORDINGS[one]}": f"{number(row[f'before_{one}'])} to "
            f"{number(row[f'after_{one}'])}"
            for one in asked
        },
    }
