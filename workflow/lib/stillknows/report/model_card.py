"""Sections for the model cards of audited copies, and their entries of evaluation results."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from stillknows.analysis.verdict import CANNOT_TELL
from stillknows.report.sources import records
from stillknows.report.verdicts import details, sentence
from stillknows.terms import REFERENCE

HEADING = "What this model still knows of the facts it was to unlearn"
TASK = "unlearning_audit"


def model_cards(verdicts: pd.DataFrame, dataset: str | None = None) -> str:
    """Markdown to paste, a part per copy: a section for readers, and an entry for the Hub.

    Args:
        verdicts: tables/verdicts.csv. The positive control and the reference get no part.
        dataset: of the Hub, with the questions (owner/name). Without it there is no entry.
    """
    is_copy = ~verdicts["is_control"].astype(bool) & (verdicts["method"] != REFERENCE)
    return "\n".join(_card(row, dataset) for row in records(verdicts[is_copy]))


def _card(row: Mapping[str, Any], dataset: str | None) -> str:
    sure = f"Confidence: {row['confidence']:.0%}. No verdict says that a fact was erased."
    lines = [f"<!-- {row['method']} -->", f"## {HEADING}", "", f"**{sentence(row)}**", ""]
    lines += [f"- {line}" for line in [*details(row), sure]]
    if dataset and row["verdict"] != CANNOT_TELL:
        lines += ["", f"The file `.eval_results/{TASK}.yaml` of its repository:", ""]
        lines += ["```yaml", _entry(row, dataset).rstrip(), "```"]
    return "\n".join([*lines, ""])


def _entry(row: Mapping[str, Any], dataset: str) -> str:
    """The share of facts that are known at least, in the form in which the Hub shows results."""
    value = float(max(row["says"], row["knows"]) / row["facts"])
    entry = EvalResultEntry(dataset, TASK, value, notes=sentence(row))
    return str(yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, width=1000))
