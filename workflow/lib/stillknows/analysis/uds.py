"""UDS, the unlearning depth score (arXiv 2605.24614), and the profile over layers behind it.

The *fact loss* by a donor after a layer is how many nats per token a fact loses when the donor's
residual stream is patched into the original there. The fact loss by the copy is compared with that
by a reference model, which never learned the concept: a ratio of 0 says that the fact is untouched
in the copy up to that layer, 1 that it is as absent as in the reference.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from stillknows.analysis.depth_schema import DEPTH_SCHEMA, DONOR_SCHEMA
from stillknows.csv_files import no_such_row
from stillknows.parquet_files import read_table

# Layers with less fact loss by the reference itself are left out, as published.
LEAST_FACT_LOSS = 0.05
# A fact survives in a copy if its UDS is at most this: it loses at most half of what it loses with
# the reference model. Exploratory: chosen after results were seen (docs/explanation/depth.md).
SURVIVES_UP_TO = 0.5
_OF_CONCEPT = ["model", "concept", "form"]
_SHARED = [*_OF_CONCEPT, "question", "layer"]
_OF_COPY = ["model", "method", "origin", "concept", "concept_name", "form"]


def read_depths(paths: Iterable[Path]) -> pd.DataFrame:
    """The rows of all donors' files, keys as text."""
    tables = pa.concat_tables(read_table(path, DONOR_SCHEMA) for path in paths)
    rows: pd.DataFrame = tables.unify_dictionaries().to_pandas()
    return rows.astype(dict.fromkeys(_OF_COPY, str))


def with_reference(copies: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Each copy's scores beside the reference's, per question and layer.

    Args:
        copies, references: rows of depth files; those of a reference are of its model and concept.

    Returns:
        Rows of DEPTH_SCHEMA. `ratio` is the fact loss by the copy divided by that by the reference,
        not clipped; null where the latter is at most LEAST_FACT_LOSS.
    """
    of_reference = references[[*_SHARED, "logprob_patched"]]
    of_reference = of_reference.rename(columns={"logprob_patched": "logprob_reference"})
    rows = copies.rename(columns={"logprob_patched": "logprob_copy"})
    rows = rows.merge(of_reference, on=_SHARED, validate="many_to_one")
    by_reference = rows["logprob_original"] - rows["logprob_reference"]
    by_copy = rows["logprob_original"] - rows["logprob_copy"]
    rows["ratio"] = (by_copy / by_reference).where(by_reference > LEAST_FACT_LOSS)
    columns: list[str] = DEPTH_SCHEMA.names
    rows = rows[columns]
    return rows.sort_values([*_OF_COPY, "question", "layer"], ignore_index=True)


def read_depth(path: Path, **only: str) -> pd.DataFrame:
    """The rows of tables/depth.parquet with the given values.

    Raises:
        StudyError: if there is no such row.
    """
    rows: pd.DataFrame = read_table(path, DEPTH_SCHEMA).to_pandas()
    for column, value in only.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        raise no_such_row(path, only)
    return rows.astype(dict.fromkeys(_OF_COPY, str))


def uds(depth: pd.DataFrame) -> pd.DataFrame:
    """UDS of each question, and their mean per model, method, concept and form.

    Per question: the mean over layers of the ratio, clipped to 0..1 and weighted by the fact loss
    by the reference. It is null where no layer has a ratio; such a question is not in the mean.

    Args:
        depth: rows of DEPTH_SCHEMA.

    Returns:
        model, method, origin, concept, concept_name, form, question, uds; `question` is null in the
        rows of means.
    """
    of_question = [*_OF_COPY, "question"]
    weight = depth["logprob_original"] - depth["logprob_reference"]
    counted = depth.assign(weight=weight, weighted=weight * depth["ratio"].clip(0, 1))
    counted = counted.dropna(subset="ratio")
    sums = counted.groupby(of_question, observed=True)[["weighted", "weight"]].sum()
    questions = depth[of_question].drop_duplicates().set_index(of_question)
    questions["uds"] = sums["weighted"] / sums["weight"]
    means = questions.groupby(level=_OF_COPY, observed=True)["uds"].mean()
    rows = pd.concat([means.reset_index(), questions.reset_index()], ignore_index=True)
    rows = rows.astype({"question": "Int64"})[[*of_question, "uds"]]
    return rows.sort_values(of_question, ignore_index=True, na_position="first")


def surviving_facts(scores: pd.DataFrame) -> pd.DataFrame:
    """Which facts survive in a copy, each decided on its own.

    Args:
        scores: rows of what `uds` returns; means are left out.

    Returns:
        The rows of single questions that have a UDS, with a column `survives` (true or false).
    """
    facts = scores.dropna(subset=["question", "uds"])
    return facts.assign(survives=facts["uds"] <= SURVIVES_UP_TO)
