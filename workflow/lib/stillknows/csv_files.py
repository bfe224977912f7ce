"""Tables as CSV files: how each is written and read, whatever it holds."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.errors import StudyError
from stillknows.files import atomic_path, refuse_special

# Columns that are text even where they look like numbers, as the paper's concepts: 16, 18, ...
TEXTS = {
    *("model", "origin", "method", "concept", "concept_name", "experiment", "versus", "component"),
    *("window", "span", "score", "donor", "set", "id", "status", "reason", "note", "verdict"),
    *("claim", "family", "statistic", "bound", "prompt", "answer", "answer_original"),
    *("form", "layers", "unit", "surviving_questions", "outcome"),
    *("question_text", "subject", "fact", "exposure_rule", "association_rule", "reasons"),
    *("round", "state", "treatment", "why_not", "code", "versions", "included", "definition"),
}
# A text that a spreadsheet would compute, or one that `write_csv` could have made of it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table whole or not at all; numbers to ten digits, null as an empty field.

    A text that begins with = + - @ has a ' before it, so that a spreadsheet takes it for a text.
    """
    written = frame.copy(deep=False)
    for name, values in frame.select_dtypes(exclude=["number", "bool"]).items():
        if any(map(_is_formula, values)):
            written[name] = [f"'{value}" if _is_formula(value) else value for value in values]
    with atomic_path(path) as partial:
        written.to_csv(partial, index=False, float_format="%.10g", lineterminator="\n")


def _is_formula(value: Any) -> bool:
    return isinstance(value, str) and _FORMULA.match(value) is not None


def read_csv(path: Path, **only: str) -> pd.DataFrame:
    """Read a table, or its rows with the values in `only`; an empty field is "" in TEXTS, else
    null.
    """
    refuse_special(path)  # a finished round is a user's file
    texts = dict.fromkeys(TEXTS, str)
    # A model may be called NA: only an empty field is null.
    table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
    table = table.fillna({name: "" for name in table if name in TEXTS})
    for name, values in table.select_dtypes(include=["str"]).items():
        table[name] = values.str.replace(rf"^'(?={_FORMULA.pattern})", "", regex=True)
    for column, value in only.items():
        table = table[table[column] == value]
    if only and table.empty:
        raise no_such_row(path, only)
    return table.reset_index(drop=True)


def no_such_row(table: Path, only: Mapping[str, str]) -> StudyError:
    selection = ", ".join(f"{column} {value}" for column, value in only.items())
    return StudyError(
        f"{table} has no row with {selection}: only what the config asks for is computed; "
        "see windows, figures and behaviour there"
    )
