"""What the page is made from, which part of it is shown, and how numbers and names are written."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.analysis.tables import concept_scores
from stillknows.csv_files import read_csv
from stillknows.errors import StudyError
from stillknows.figures.style import EXPERIMENTS, SHORT_SCORES, SPANS, window_label
from stillknows.files import read_json
from stillknows.parquet_files import read_metadata, without_categories
from stillknows.terms import REFERENCE

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
NONE = DASH  # where there is no number


def number(value: float, decimals: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return NONE
    text = f"{value:.{decimals}f}"
    zero = not text.strip("-0.")
    return text.lstrip("-") if zero else text.replace("-", MINUS)


def with_interval(row: Mapping[str, Any], name: str = "value") -> str:
    """A number of a table and its interval, if it has one: value, low, high or x, x_low, x_high."""
    prefix = "" if name == "value" else f"{name}_"
    low, high = (row.get(f"{prefix}{end}", math.nan) for end in ("low", "high"))
    if math.isnan(low) or math.isnan(high):
        return number(row[name])
    return f"{number(row[name])} [{number(low)}, {number(high)}]"


def share(row: Mapping[str, Any], count: str, total: str) -> str:
    """k of n, from two columns; empty where it is not defined."""
    return "" if math.isnan(row[count]) else f"{row[count]:g} of {row[total]:g}"


def listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: float, one: str, many: str = "") -> str:
    return f"{count:g} {one if count == 1 else many or one + 's'}"


def name_of(value: Any) -> str:
    """What the page calls an experiment, a span or a score; other names stay as they are."""
    if value in EXPERIMENTS:
        return EXPERIMENTS[value].label
    return str(SPANS.get(value) or SHORT_SCORES.get(value, value))


def setting(window: str | None, span: str | None, score: str | None) -> str:
    """What a figure or a chart shows, in words; what does not apply is left out."""
    parts = [
        window and window_label(window),
        span and f"loss over {SPANS[span]}",
        score and SHORT_SCORES[score],
    ]
    return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Sources:
    """What the page is made from.

    tables: by file name; only those that the study has. metadata: of tables/krs.parquet: what all
    sweeps share, and under `sweeps` what they do not. scores: what `concept_scores` returns, of
    what is shown. texts: (model, concept) -> the concept's JSON, with the original's answers.
    rounds: model -> a row per model trained from it whose state is known, with every score. recall:
    model -> rows of RECALL_SCHEMA, of these models, the original and the reference.
    """

    tables: Mapping[str, pd.DataFrame]
    metadata: Mapping[str, Any]
    scores: pd.DataFrame
    texts: Mapping[tuple[str, str], Mapping[str, Any]]
    rounds: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    recall: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame | None:
        frame = self.tables.get(name)
        return None if frame is None or frame.empty else frame


@dataclass(frozen=True)
class Shown:
    """The windows, spans and scores that figures and page show; the first of each leads."""

    windows: Sequence[str]
    spans: Sequence[str]
    scores: Sequence[str]

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        is_shown = frame["window"].isin(self.windows) & frame["span"].isin(self.spans)
        return frame[is_shown & frame["score"].isin(self.scores)]

    def leading(self, frame: pd.DataFrame) -> pd.DataFrame:
        return Shown(self.windows[:1], self.spans[:1], self.scores[:1]).rows(frame)

    def in_order(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The same rows, what leads first; those of spans and windows that are not shown last."""
        for column, names in {"span": self.spans, "window": self.windows}.items():
            if column in frame:  # a name that is not shown has no rank, and so goes last
                ranks = {name: rank for rank, name in enumerate(names)}
                frame = frame.sort_values(column, key=lambda key: key.map(ranks), kind="stable")
        return frame


def read_sources(
    tables: Iterable[Path],
    texts: Iterable[Path],
    shown: Shown,
    rounds: Iterable[Path] = (),
    recall: Iterable[Path] = (),
) -> Sources:
    """Read all that the page shows; a StudyError if nothing of that was computed."""
    paths = {path.name: path for path in tables}
    krs = paths.pop("krs.parquet")
    scores = without_categories(shown.rows(concept_scores(krs)))
    if scores.empty:
        raise StudyError(
            f"{krs} has no rows for the windows {', '.join(shown.windows)} and spans "
            f"{', '.join(shown.spans)}: under figures in the config, select windows and spans that "
            "were computed"
        )
    scores["concept_name"] = distinct_names(scores)
    metadata: dict[str, Any] = read_metadata(krs)
    for name in metadata.keys() & {"sweeps", "packages"}:
        metadata[name] = json.loads(metadata[name])
    by_model: dict[str, list[pd.DataFrame]] = {}
    for path in recall:
        by_model.setdefault(path.parts[-3], []).append(_read_table(path))
    return Sources(
        tables={name: _read_table(path) for name, path in paths.items()},
        metadata=metadata,
        scores=scores,
        texts={(path.parent.name, path.stem): read_json(path) for path in texts},
        rounds={path.stem: _read_table(path) for path in rounds},
        recall={model: pd.concat(frames) for model, frames in by_model.items()},
    )


def _read_table(path: Path) -> pd.DataFrame:
    is_parquet = path.suffix == ".parquet"
    return without_categories(pd.read_parquet(path)) if is_parquet else read_csv(path)


def distinct_names(scores: pd.DataFrame) -> "pd.Series[str]":
    """Each row's concept_name, and behind it the id where a model has several of that name."""
    names, ids = scores["concept_name"], scores["concept"]
    count = scores.groupby(["model", "concept_name"])["concept"].transform("nunique")
    return names.where(count == 1, names + " (" + ids + ")")


def reference_methods(scores: pd.DataFrame) -> list[str]:
    """The methods of the reference models in rows of `concept_scores`: one, or none."""
    return sorted(set(scores.loc[scores["origin"] == REFERENCE, "method"]))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def highest(scores: pd.DataFrame, value: str, by: list[str]) -> pd.DataFrame:
    """Of each group, the row with the highest value, at the lowest layer; `where` in words."""
    rows = scores.dropna(subset=value).sort_values("layer")
    best = rows.loc[rows.groupby(by)[value].idxmax()]
    return best.assign(where=best[value].map(number) + " at layer " + best["layer"].astype(str))
