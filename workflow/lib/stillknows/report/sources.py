"""What the page is made from: the study's tables and texts, and which part of them it shows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stillknows.analysis.tables import concept_scores
from stillknows.csv_files import read_csv
from stillknows.errors import StudyError
from stillknows.parquet_files import read_metadata
from stillknows.report.formatting import number
from stillknows.terms import REFERENCE


@dataclass(frozen=True)
class Sources:
    """What the page is made from.

    tables: by file name; only those that the study has.
    metadata: of tables/krs.parquet: what all sweeps share, and under `sweeps` what they do not.
    scores: what `concept_scores` returns, of the windows, spans and scores that are shown.
    texts: (model, concept) -> the concept's JSON, with the original's answers.
    rounds: model -> a row per model trained from it whose state is known, with every score.
    recall: model -> rows of RECALL_SCHEMA, of these models, the original and the reference.
    """

    tables: Mapping[str, pd.DataFrame]
    metadata: Mapping[str, Any]
    scores: pd.DataFrame
    texts: Mapping[tuple[str, str], Mapping[str, Any]]
    rounds: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    recall: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame | None:
        """A table that has rows, or None."""
        frame = self.tables.get(name)
        return None if frame is None or frame.empty else frame

    @property
    def has_reference(self) -> bool:
        """Whether there is a reference model."""
        return bool((self.scores["origin"] == REFERENCE).any())

    def references(self, model: str) -> list[str]:
        """The methods of a model's reference models: one, or none."""
        is_one = (self.scores["model"] == model) & (self.scores["origin"] == REFERENCE)
        return sorted(set(self.scores.loc[is_one, "method"]))


@dataclass(frozen=True)
class Shown:
    """What of all that was computed the figures show, and so the page; the first of each leads."""

    windows: Sequence[str]
    spans: Sequence[str]
    scores: Sequence[str]

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of these windows, spans and scores."""
        chosen = frame["window"].isin(self.windows) & frame["span"].isin(self.spans)
        return frame[chosen & frame["score"].isin(self.scores)]

    def in_order(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The same rows, what leads first; those of spans and windows that are not shown last."""
        for column, names in {"span": self.spans, "window": self.windows}.items():
            if column in frame:  # a name that is not shown has no rank, and so goes last
                ranks = {name: rank for rank, name in enumerate(names)}
                frame = frame.sort_values(column, key=lambda one: one.map(ranks), kind="stable")
        return frame

    def leading(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of the first window, span and score."""
        return Shown(self.windows[:1], self.spans[:1], self.scores[:1]).of(frame)


def read_sources(
    tables: Iterable[Path],
    texts: Iterable[Path],
    shown: Shown,
    rounds: Iterable[Path] = (),
    recall: Iterable[Path] = (),
) -> Sources:
    """Read all that the page shows.

    Args:
        tables: files of <results>/tables; krs.parquet, curves.csv, coverage.csv and claims.csv
            must be among them.
        texts: {model}/{concept}.json each.
        rounds: {model}.csv each, of <results>/rounds.
        recall: {model}/{method}/{concept}.parquet each, of <results>/recall.

    Raises:
        StudyError: for a table that is needed and not given, or cannot be read; if
            nothing of what is shown was computed.
    """
    paths = {path.name: path for path in tables}
    absent = {"krs.parquet", "curves.csv", "coverage.csv", "claims.csv"} - set(paths)
    if absent:
        raise StudyError(f"the report needs tables/{sorted(absent)[0]}; it was not given")
    krs = paths.pop("krs.parquet")
    scores = _without_categories(shown.of(concept_scores(krs)))
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
    return Sources(
        tables={name: read_table(path) for name, path in paths.items()},
        metadata=metadata,
        scores=scores,
        texts={
            (path.parts[-2], path.stem): json.loads(path.read_text(encoding="utf-8"))
            for path in texts
        },
        rounds={path.stem: read_table(path) for path in rounds},
        recall=_by_model(read_table(path) for path in recall),
    )


def read_table(path: Path) -> pd.DataFrame:
    """A table of the study: names as text, numbers as numbers, empty fields as null.

    Raises:
        StudyError: if the file cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return _without_categories(pq.read_table(path).to_pandas())
        return read_csv(path)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise StudyError(f"{path} cannot be read: delete it and run again") from error


def distinct_names(scores: pd.DataFrame) -> "pd.Series[str]":
    """Each row's concept_name, and behind it the id where a model has several of that name."""
    names, ids = scores["concept_name"], scores["concept"]
    count = scores.groupby(["model", "concept_name"])["concept"].transform("nunique")
    return names.where(count == 1, names + " (" + ids + ")")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, each as column -> value."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def highest(scores: pd.DataFrame, value: str, by: list[str]) -> pd.DataFrame:
    """Of each group, the row with the highest value; of equals, that of the lowest layer.

    The column `where` says the value and its layer in words.
    """
    rows = scores.dropna(subset=value).sort_values("layer")
    best = rows.loc[rows.groupby(by)[value].idxmax()]
    pairs = zip(best[value], best["layer"], strict=True)
    return best.assign(where=[f"{number(top)} at layer {layer}" for top, layer in pairs])


def _by_model(tables: Iterable[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Model -> its rows in all tables."""
    frames = list(tables)
    if not frames:
        return {}
    return {str(model): rows for model, rows in pd.concat(frames).groupby("model")}


def _without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    keys = frame.select_dtypes("category").columns
    # object, not text: a null stays a null.
    return frame.astype(dict.fromkeys(keys, object)).reset_index(drop=True)
