"""From the rows of all sweeps to curves: means over questions, concepts and methods."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillknows.analysis.bootstrap import Array, mean_and_interval
from stillknows.csv_files import no_such_row
from stillknows.terms import (
    KNOWN_STATE,
    KRS,
    KRS_OF_MEANS,
    NOISING,
    NOISING_RATIO,
    ORIGINAL,
    SCORES,
)


@dataclass(frozen=True)
class Measure:
    """Something that is measured of the unlearned model, patched and not."""

    patched: str  # the columns of the sweeps that hold it
    unlearned: str
    original: float | str  # what the original has: a number, or the column that holds it
    rises: bool  # whether more of it is nearer to the original
    least: float = 0.0  # how much must have been lost to be told from rounding

    @property
    def columns(self) -> list[str]:
        columns = (self.patched, self.unlearned, self.original)
        return [name for name in columns if isinstance(name, str)]

    def recovered(self, frame: pd.DataFrame) -> "pd.Series[float]":
        """1 - (original - patched) / (original - unlearned); null if unlearning took at most
        `least`.
        """
        original = frame[self.original] if isinstance(self.original, str) else self.original
        gap = original - frame[self.unlearned]
        loss = gap if self.rises else -gap
        ratio = 1 - (original - frame[self.patched]) / gap.where(loss > self.least)
        return ratio.where(np.isfinite(ratio))


# Nats: differences of logarithms of float32 sums over a vocabulary, of some 1e-6 each.
_ROUNDING = 1e-4

KL_RECOVERED, LOGPROB_RECOVERED = "kl_recovered", "logprob_recovered"
MEASURES = {
    KRS_OF_MEANS: Measure("loss_patched", "loss_unlearned", 0.0, rises=False),
    KL_RECOVERED: Measure("kl_patched", "kl_unlearned", 0.0, rises=False, least=_ROUNDING),
    "top1_recovered": Measure("top1_patched", "top1_unlearned", 1.0, rises=True),
    LOGPROB_RECOVERED: Measure(
        "answer_logprob_patched",
        "answer_logprob_unlearned",
        "answer_logprob_original",
        rises=True,
        least=_ROUNDING,
    ),
}
OTHERS = [name for name in MEASURES if name != KRS_OF_MEANS]
EVERY_SCORE = [*SCORES, *OTHERS]
# The mean of the questions' own scores, as the sweeps have them; the others are of mean losses.
PER_QUESTION = (KRS, NOISING_RATIO)


ALL_METHODS = "all"
DONOR = ORIGINAL  # the donor of the recovery curves; all others are controls
GROUP_COLUMNS = ["model", "origin", "window", "span", "donor", "score"]
WINDOW_COLUMNS = ["layer", "first_layer", "last_layer"]


@dataclass(frozen=True)
class CurveGroup:
    """All curves of one model, origin, window, span, donor and score."""

    key: dict[str, str]  # by GROUP_COLUMNS
    experiments: list[str]
    methods: list[str]
    concepts: list[str]
    windows: pd.DataFrame  # WINDOW_COLUMNS, one row per point of a curve, sorted by layer
    values: Array  # (experiments, methods, concepts, layers), NaN where there is no value

    @property
    def curves(self) -> list[tuple[str, str]]:
        """The experiment and method of each curve; the mean over methods last, if it is defined."""
        overall = [] if self.key["origin"] == KNOWN_STATE else [ALL_METHODS]
        return list(product(self.experiments, [*self.methods, *overall]))

    def curve(self, experiment: str, method: str = ALL_METHODS) -> Array:
        chosen = slice(None) if method == ALL_METHODS else [self.methods.index(method)]
        values: Array = self.values[self.experiments.index(experiment)][chosen]
        return values


def curve_groups(scores: pd.DataFrame) -> Iterator[CurveGroup]:
    """Arrange the rows of `concept_scores`, in the order of their keys."""
    for key, group in scores.groupby(GROUP_COLUMNS, observed=True, sort=True):
        windows = group[WINDOW_COLUMNS].drop_duplicates().sort_values("layer", ignore_index=True)
        (experiments, experiment), (methods, method), (concepts, concept) = (
            np.unique(group[column].astype(str), return_inverse=True)
            for column in ("experiment", "method", "concept")
        )
        layer = np.searchsorted(windows["layer"], group["layer"])
        values = np.full((len(experiments), len(methods), len(concepts), len(windows)), np.nan)
        values[experiment, method, concept, layer] = group["value"]
        yield CurveGroup(
            dict(zip(GROUP_COLUMNS, map(str, key), strict=True)),
            experiments.tolist(),
            methods.tolist(),
            concepts.tolist(),
            windows,
            values,
        )


_POINT = ["window", "span", "donor", *WINDOW_COLUMNS]
CONCEPT_POINT = ["model", "origin", "method", "experiment", "concept", "concept_name", *_POINT]
CURVE_KEYS = ["model", "origin", "method", "experiment", *_POINT, "score"]
CURVE_COLUMNS = [*CURVE_KEYS, "mean", "low", "high", "concepts", "questions", "null"]

SWEEP_KEYS = ["model", "method", "concept", "experiment"]
COVERAGE_COLUMNS = [*SWEEP_KEYS, "status", "reason", "origin", "rows", "null_krs"]

AT_MOST = 10  # questions per curve in disagreements.csv
_CURVE = ["model", "origin", "method", "experiment", "window", "span"]
_BEHIND = ["positions", "loss_unlearned", "loss_patched"]
_BEHIND += [column for name in OTHERS for column in MEASURES[name].columns]
DISAGREEMENT_COLUMNS = [
    *(*_CURVE, "rank", "concept", "concept_name", "question", *WINDOW_COLUMNS),
    *("other", "difference", KRS, *OTHERS, *_BEHIND),
]


def concept_scores(
    table: Path, score: str | Sequence[str] = (*SCORES, NOISING_RATIO), **only: str
) -> pd.DataFrame:
    """CONCEPT_POINT and score; value, questions (in the value) and null (questions left out).

    krs is the mean of the questions' KRS, of which those that are null (the unpatched loss is 0) or
    not finite are left out; so is the noising ratio, the only score of the noising experiments. The
    other scores are ratios of means.

    Args:
        table: tables/krs.parquet.
        score: of EVERY_SCORE and NOISING_RATIO.
        only: columns and the value that they must have; a StudyError if there is no such row.
    """
    wanted = [score] if isinstance(score, str) else list(score)
    measured = [column for name in wanted if name in MEASURES for column in MEASURES[name].columns]
    columns = list(dict.fromkeys([*PER_QUESTION, *measured]))
    parts = [_over_questions(rows, columns) for rows in row_groups(table, columns, **only)]
    wide = pa.concat_tables(parts).unify_dictionaries().to_pandas()
    means: pd.DataFrame = wide.rename(columns={f"{name}_mean": name for name in columns})
    is_noising, scored = means["experiment"].isin(NOISING), []
    for name in wanted:
        rows = means[is_noising == (name == NOISING_RATIO)]
        if name in PER_QUESTION:  # leaves out single questions; a ratio of means takes all or none
            value, questions = rows[name], rows[f"{name}_count"]
        else:
            value = MEASURES[name].recovered(rows)
            questions = rows["count_all"].where(value.notna(), 0)
        scored.append(
            rows[CONCEPT_POINT].assign(
                score=name, value=value, questions=questions, null=rows["count_all"] - questions
            )
        )
    return pd.concat(scored, ignore_index=True)


def row_groups(table: Path, columns: Sequence[str], **only: str) -> Iterator[pa.Table]:
    """CONCEPT_POINT and `columns` of the rows with the given values; a StudyError if none."""
    file, rows_read = pq.ParquetFile(table), 0
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=[*CONCEPT_POINT, *columns], use_threads=False)
        for column, value in only.items():
            rows = rows.filter(pc.equal(rows[column], value))
        if rows.num_rows:
            yield rows
        rows_read += rows.num_rows
    if not rows_read:
        raise no_such_row(table, only)


def _over_questions(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    for name in PER_QUESTION:
        values = rows[name]
        finite = pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
        rows = rows.set_column(rows.schema.get_field_index(name), name, finite)
    means = [(name, "mean") for name in columns]
    counts = [(name, "count") for name in PER_QUESTION]
    return rows.group_by(CONCEPT_POINT, use_threads=False).aggregate(
        [*means, *counts, ([], "count_all")]
    )


def curves(scores: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """CURVE_COLUMNS: the mean over concepts against layer, per method and, as "all", over methods.

    "all" is the mean over methods of their means over concepts, as the paper averages. Origins are
    never pooled. low and high are each layer's own (`analysis.bootstrap`); questions and null count
    those of all concepts (and methods), concepts counts each concept once.
    """
    means = pd.concat(
        [
            group.windows.assign(
                **group.key,
                experiment=experiment,
                method=method,
                **mean_and_interval(group.curve(experiment, method), seed),
            )
            for group in curve_groups(scores)
            for experiment, method in group.curves
        ],
        ignore_index=True,
    ).rename(columns={"value": "mean", "n": "concepts"})
    both = pd.concat([scores.astype({"method": str}), scores.assign(method=ALL_METHODS)])
    by_point = both.groupby(CURVE_KEYS, as_index=False, observed=True)
    counts = by_point[["questions", "null"]].sum()
    return means.merge(counts)[CURVE_COLUMNS].sort_values(CURVE_KEYS, ignore_index=True)


def coverage(table: Path, missing: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """One row per selected sweep: how many rows it has and how many without a score, or why none.

    The score is KRS, in noising the noising ratio. `missing` has, per sweep without a result, its
    keys, the reason and the origin it would have.
    """
    keys = [*SWEEP_KEYS, "origin"]
    counts = [
        rows.append_column("valid", pc.is_finite(pc.coalesce(rows["krs"], rows["noising_ratio"])))
        .group_by(keys, use_threads=False)
        .aggregate([("valid", "sum"), ([], "count_all")])
        for rows in row_groups(table, ["krs", "noising_ratio"])
    ]
    done = pa.concat_tables(counts).unify_dictionaries().to_pandas()
    done = done.astype(dict.fromkeys(keys, str)).assign(status="done", rows=done["count_all"])
    done["null_krs"] = done["rows"] - done["valid_sum"].fillna(0).astype(int)
    absent = pd.DataFrame(list(missing)).assign(status="missing", rows=0, null_krs=0)
    parts: list[pd.DataFrame] = [part for part in (done, absent) if len(part)]
    both = pd.concat(parts, ignore_index=True).reindex(columns=COVERAGE_COLUMNS)
    return both.sort_values(SWEEP_KEYS, ignore_index=True)


def disagreements(table: Path) -> pd.DataFrame:
    """DISAGREEMENT_COLUMNS: the AT_MOST questions of each curve on which KRS differs most.

    A question is listed once, at the layer and beside the score that KRS is furthest from, both cut
    at 0 (nothing is back) and 1 (all is) for the difference, since none has a lower bound. Of the
    rows of tables/krs.parquet, those whose donor is the original.
    """
    groups = row_groups(table, [KRS, "question", *_BEHIND], donor=DONOR)
    rows = pd.concat([_furthest(group) for group in groups])
    keys = [*_CURVE, "size", "concept", "question"]
    rising = [name != "size" for name in keys]
    rows = rows.sort_values(keys, ascending=rising, ignore_index=True)
    rows["rank"] = rows.groupby(_CURVE).cumcount() + 1
    return rows.loc[rows["rank"] <= AT_MOST, DISAGREEMENT_COLUMNS].reset_index(drop=True)


def _furthest(table: pa.Table) -> pd.DataFrame:
    """Of each question the row and the other score that KRS is furthest from, if there is one."""
    rows: pd.DataFrame = table.to_pandas()
    rows = rows.astype(dict.fromkeys(rows.select_dtypes("category"), str))
    rows = rows.assign(**{name: MEASURES[name].recovered(rows) for name in OTHERS})
    cut = rows[[KRS, *OTHERS]].clip(0, 1)
    differences = pd.DataFrame({name: cut[KRS] - cut[name] for name in OTHERS}).melt(
        var_name="other", value_name="difference", ignore_index=False
    )
    joined = rows.join(differences.dropna(), how="inner")
    joined["size"] = joined["difference"].abs()
    joined = joined.sort_values(["size", "layer"], ascending=[False, True], kind="stable")
    return joined.drop_duplicates([*_CURVE, "concept", "question"])
