"""From the rows of all sweeps to curves: means over questions, concepts and methods."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillknows.analysis.bootstrap import mean_and_interval
from stillknows.analysis.curve_groups import ALL_METHODS, DONOR, WINDOW_COLUMNS, curve_groups
from stillknows.analysis.scores import MEASURES, OTHERS, PER_QUESTION
from stillknows.csv_files import no_such_row
from stillknows.terms import KRS, NOISING, NOISING_RATIO, SCORES

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
    """Each concept's scores over its questions (`analysis.scores`).

    krs is the mean of the questions' KRS, of which those that are null (the unpatched loss is 0) or
    not finite are left out and counted; so is the noising ratio, the only score of the noising
    experiments. The other scores are ratios of means.

    Args:
        table: tables/krs.parquet.
        score: of EVERY_SCORE and NOISING_RATIO.
        only: columns and the value that they must have, such as model="olmo-7b".

    Returns:
        CONCEPT_POINT (categories) and score; value (null if there is none), questions (how many are
        in the value) and null (how many had to be left out).

    Raises:
        StudyError: if there is no such row.
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
    """The rows of tables/krs.parquet that have the given values: CONCEPT_POINT and `columns`.

    Raises:
        StudyError: if there is no such row.
    """
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
    """Curves against layer: the mean over concepts, per method and, as "all", over methods.

    "all" is the mean over methods of their means over concepts, as the paper averages. Origins
    are never pooled. low and high are each layer's own (`analysis.bootstrap`).

    Args:
        scores: what `concept_scores` returns.
        seed: of the bootstrap; every curve starts from it afresh.

    Returns:
        CURVE_COLUMNS, sorted by all their keys; questions and null count questions of all
        concepts (and, in "all", of all methods), concepts counts each concept once.
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

    The score is KRS, in noising the noising ratio; a row has one of them at most.

    Args:
        table: tables/krs.parquet.
        missing: per sweep that has no result: model, method, concept, experiment, reason, and the
            origin that its checkpoint would have.
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
    """The AT_MOST questions of each curve on which KRS and another score differ most.

    A question is listed once, at the layer and beside the score that KRS is furthest from. Scores
    are cut at 0 (nothing is back) and 1 (all is) before they are compared: none has a lower bound,
    and of two numbers far below 0 both say the same.

    Args:
        table: tables/krs.parquet; of its rows, those whose donor is the original.

    Returns:
        DISAGREEMENT_COLUMNS, the largest difference first: rank from 1; other, the other score's
        name; difference, KRS less the other score, both cut; then all scores of the question at
        that layer, uncut, and what they were made of.
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
