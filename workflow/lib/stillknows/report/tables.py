"""Tables that sort and filter: their first rows as HTML, all rows as compact JSON."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stillknows.report.formatting import DASH, label_of, name_of, number

FIRST_ROWS = 25
MANY_ROWS = 8  # from here on a table can be filtered
MOST_ROWS = 5000
_WORD = 42  # characters that are kept on one line


@dataclass(frozen=True)
class Column:
    """One column, as it is shown: the cells' texts, each once, and per row which of them it has.

    kind: number, word (kept on one line), text (may be long) or hash.
    """

    label: str
    kind: str
    texts: list[str]
    codes: list[int]


@dataclass(frozen=True)
class PageTable:
    """A table on the page.

    same: what all rows share, said once instead of in a column each.
    total: how many rows the file has, of which `rows` are embedded.
    """

    id: str
    caption: str
    file: str
    same: dict[str, str]
    total: int
    rows: int
    columns: list[Column]

    @property
    def many(self) -> bool:
        """Whether there is something to filter."""
        return self.rows >= MANY_ROWS

    @property
    def first(self) -> list[list[str]]:
        """The first rows."""
        rows = range(min(FIRST_ROWS, self.rows))
        return [[column.texts[column.codes[row]] for column in self.columns] for row in rows]

    def json(self) -> str:
        """All rows, column by column."""
        return compact_json([vars(column) for column in self.columns])


def page_table(
    name: str, frame: pd.DataFrame, caption: str, *, file: str = "", total: int | None = None
) -> PageTable:
    """Make a table of the page from one of the study.

    Args:
        file: where the whole table lies, as the page says it.
        total: how many rows the whole table has; those of `frame` if left out.
    """
    kept = frame.head(MOST_ROWS)
    columns = [_column(str(label), kept[label]) for label in kept]
    same = {}
    if len(kept) >= MANY_ROWS:
        same = {c.label: c.texts[0] for c in columns if c.kind != "number" and len(c.texts) == 1}
    return PageTable(
        id=name,
        caption=caption,
        file=file,
        same={label: text for label, text in same.items() if text},
        total=len(frame) if total is None else total,
        rows=len(kept),
        columns=[column for column in columns if column.label not in same],
    )


def narrowed(frame: pd.DataFrame) -> pd.DataFrame:
    """The table in fewer columns: concepts by name, layers first-last in one, nothing empty.

    The first and last layer are one column `layers`, or `layer range` if another has that name.
    """
    kept = frame.dropna(axis="columns", how="all")
    if {"concept", "concept_name"} <= set(kept):
        kept = kept.drop(columns="concept").rename(columns={"concept_name": "concept"})
    if {"first_layer", "last_layer"} <= set(kept):
        ends = zip(kept["first_layer"], kept.pop("last_layer"), strict=True)
        layers = ["" if pd.isna(first) else f"{first:g}{DASH}{last:g}" for first, last in ends]
        name = "layer range" if "layers" in kept else "layers"
        kept = kept.assign(first_layer=layers).rename(columns={"first_layer": name})
    return kept


def compact_json(value: Any) -> str:
    """JSON that can stand inside a script element of a page."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _column(name: str, values: "pd.Series[Any]") -> Column:
    if pd.api.types.is_numeric_dtype(values):
        kind, decimals = "number", _decimals(values.to_numpy(dtype=float))
        finite = values.astype(float).where(np.isfinite)
        cells = [number(value, decimals) for value in finite]
    else:
        cells = [name_of(text) for text in values.astype(object).where(values.notna(), "")]
        kind = "text" if max(map(len, cells), default=0) > _WORD else "word"
        kind = "hash" if name.endswith("sha256") else kind
    codes, texts = pd.factorize(np.array(cells, dtype=object))
    return Column(label_of(name), kind, texts.tolist(), codes.tolist())


def _decimals(values: "np.ndarray[Any, Any]") -> int:
    """The same for a whole column, so that points stand below each other: three digits, usually."""
    seen = np.abs(values[np.isfinite(values)])
    if not (seen % 1).any():
        return 0
    middle = float(np.median(seen[seen > 0]))
    return min(max(2 - math.floor(math.log10(middle)), 2), 6)
