"""A section for a copy's model card: its verdict, for readers and for a model hub."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from stillknows.report.sources import records
from stillknows.report.verdicts import details, sentence
from stillknows.terms import REFERENCE

# Of tables/verdicts.csv, and what the Hub shows as the metric's name.
METRICS = {
    "verdict": "Verdict",
    "facts": "Facts tested",
    "says": "Facts in free answers",
    "knows": "Facts known, at least",
    "at_most": "Share of facts known, at most",
}
HEADING = "What this model still knows of the facts it was to unlearn"


def model_cards(verdicts: pd.DataFrame) -> str:
    """Markdown to paste, a part per copy: the Hub's metadata, and a section for readers.

    Args:
        verdicts: tables/verdicts.csv. The positive control and the reference get no part.
    """
    is_copy = ~verdicts["is_control"].astype(bool) & (verdicts["method"] != REFERENCE)
    return "\n".join(_card(row) for row in records(verdicts[is_copy]))


def _card(row: Mapping[str, Any]) -> str:
    sure = f"Confidence: {row['confidence']:.0%}. No verdict says that a fact was erased."
    text = [f"**{sentence(row)}**", "", *(f"- {line}" for line in [*details(row), sure])]
    return "\n".join(["---", _metadata(row), "---", "", f"## {HEADING}", "", *text, ""])


def _metadata(row: Mapping[str, Any]) -> str:
    """The evaluation results, in the form in which the Hub reads them from a card's YAML."""
    results = [
        EvalResult(
            task_type="question-answering",
            dataset_type="audit",
            dataset_name="Questions of the audit",
            metric_type=name,
            metric_value=row[name],
            metric_name=shown,
        )
        for name, shown in METRICS.items()
        if pd.notna(row[name])
    ]
    return str(ModelCardData(model_name=row["method"], eval_results=results).to_yaml())
