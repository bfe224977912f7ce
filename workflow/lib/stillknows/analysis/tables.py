"""From all rows to curves: means over questions, concepts and methods, with intervals."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillknows.analysis.bootstrap import mean_and_interval
from stillknows.analysis.curve_groups import ALL_METHODS, WINDOW_COLUMNS, curve_groups
from stillknows.analysis.scores import PER_QUESTION, columns_of, of_concept
from stillknows.csv_files import no_such_row
from stillknows.terms import NOISING, NOISING_RATIO, SCORES

_POINT = ["window", "span", "donor", *WINDOW_COLUMNS]
CONCEPT_POINT = ["model", "origin", "method", "experiment", "concept", "concept_name", *_POINT]
CURVE_KEYS = ["model", "origin", "method", "experiment", *_POINT, "score"]
CURVE_COLUMNS = [*CURVE_KEYS, "mean", "low", "high", "concepts", "questions", "null"]


def concept_scores(
    table: Path, score: str | Sequence[str] = (*SCORES, NOISING_RATIO), **only: str
) -> pd.DataFrame:
    """Each concept's scores over its questions (`analysis.scores`).

    krs is the mean of the questions' KRS, of which those that are null (the unpatched loss is 0) or
    not finite are left out and counted; so is the noising ratio, the only score of the noising
    experiments. The other scores are ratios of means.

    Args:
        table: tables/krs.parquet.
        score: one or several of EVERY_SCORE and NOISING_RATIO.
        only: columns and the value that they must have, such as model="olmo-7b".

    Returns:
        one row per model, origin, method, experiment, concept, window, span, donor, layer and
        score, with value (null if there is none), questions (how many are in the value) and null
        (how many had to be left out); keys are pandas categories.

    Raises:
        StudyError: if there is no such row.
    """
    wanted = [score] if isinstance(score, str) else list(score)
    columns = columns_of(wanted)
    parts = [_over_questions(rows, columns) for rows in row_groups(table, columns, **only)]
    wide = pa.concat_tables(parts).unify_dictionaries().to_pandas()
    means: pd.DataFrame = wide.rename(columns={f"{name}_mean": name for name in columns})
    is_noising, parts_of = means["experiment"].isin(NOISING), []
    for name in wanted:
        rows = means[is_noising == (name == NOISING_RATIO)]
        parts_of.append(rows[CONCEPT_POINT].assign(score=name).join(of_concept(name, rows)))
    return pd.concat(parts_of, ignore_index=True)


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
