"""All answers in one table, and how like the original's they are on average."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dissect.errors import DissectError
from dissect.files import atomic_path
from dissect.results.answers import SCHEMA_VERSION, read_answers
from dissect.results.collect import PER_RUN, shared_and_own
from dissect.results.csv_files import read_csv
from dissect.results.schema import read_metadata

BEHAVIOUR_KEYS = [
    "model",
    "origin",
    "method",
    "concept",
    "concept_name",
    "set",
    "experiment",
    "first_layer",
    "last_layer",
]
BEHAVIOUR_COLUMNS = [*BEHAVIOUR_KEYS, "questions", "bleu", "rouge_l"]


def collect_answers(files: Iterable[Path], output: Path) -> None:
    """Write the answers of all unlearned models to one file of the same schema.

    Files stand in the order of their paths' model, method and concept, unpatched answers first,
    whatever order they are given in. Metadata as in tables/krs.parquet: what all files share under
    its own key, what differs under `files`, as JSON {model/method/concept: {key: value}}.

    Raises:
        DissectError: if one is unreadable or of another schema.
    """
    ordered = sorted(files, key=_name_of)
    tables = [read_answers(path).replace_schema_metadata(None) for path in ordered]
    shared, own = shared_and_own({_name_of(path): _metadata_of(path) for path in ordered})
    metadata = {**shared, "schema_version": SCHEMA_VERSION, "files": json.dumps(own)}
    whole = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    with atomic_path(output) as partial:
        pq.write_table(whole.replace_schema_metadata(metadata), partial)


def _name_of(path: Path) -> str:
    return "/".join((*path.parts[-3:-1], path.stem))


def _metadata_of(path: Path) -> dict[str, str]:
    drop = {*PER_RUN, "schema_version", "ARROW:schema"}
    return {key: value for key, value in read_metadata(path).items() if key not in drop}


def summarise_behaviour(answers: pa.Table) -> pd.DataFrame:
    """Each concept's scores: the mean over its questions, per set and patch.

    Returns:
        BEHAVIOUR_COLUMNS, sorted by the keys; experiment and layers are null where nothing was
        patched; questions counts those that have a score, which are all but those that the
        original answers with nothing.
    """
    columns = [*BEHAVIOUR_KEYS, "bleu", "rouge_l"]
    frame: pd.DataFrame = answers.select(columns).to_pandas()
    keys = [name for name in BEHAVIOUR_KEYS if not name.endswith("_layer")]
    layers = ["first_layer", "last_layer"]
    frame = frame.astype(dict.fromkeys(keys, object) | dict.fromkeys(layers, "Int64"))
    grouped = frame.groupby(BEHAVIOUR_KEYS, dropna=False, sort=True)
    means: pd.DataFrame = grouped.agg(
        questions=("rouge_l", "count"), bleu=("bleu", "mean"), rouge_l=("rouge_l", "mean")
    ).reset_index()
    ordered: pd.DataFrame = means[BEHAVIOUR_COLUMNS]
    return ordered


def read_behaviour(path: Path, **only: str) -> pd.DataFrame:
    """Read tables/behaviour.csv, or its rows with the given values; experiment is "" unpatched.

    Raises:
        DissectError: if there is no such row.
    """
    numbers = ["first_layer", "last_layer", "bleu", "rouge_l"]
    rows = read_csv(path, numbers, whole=["questions"])
    for column, value in only.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        selection = ", ".join(f"{column} {value}" for column, value in only.items())
        raise DissectError(
            f"{path} has no row with {selection}: ask for what the concept files have, see "
            "behaviour in the config"
        )
    return rows.reset_index(drop=True)


def gap_closed(behaviour: pd.DataFrame) -> pd.DataFrame:
    """How much of what the answers lost came back under each patch, by ROUGE-L.

    share = (patched - unpatched) / (1 - unpatched), of questions on the unlearned concept; both are
    means over the same concepts, then methods. 1 is the original's answers, word for word.

    Args:
        behaviour: tables/behaviour.csv, experiment empty or null where nothing was patched.

    Returns:
        model, origin, experiment, first_layer, last_layer, unpatched, patched, share; a row per
        patch; share is null where the unpatched answers are the original's.
    """
    study, patch = ["model", "origin"], ["experiment", "first_layer", "last_layer"]
    asked = behaviour[behaviour["set"] == "target"].rename(columns={"rouge_l": "patched"})
    bare = asked["experiment"].fillna("") == ""
    same = [*study, "method", "concept"]
    unpatched = asked.loc[bare, [*same, "patched"]].rename(columns={"patched": "unpatched"})
    pairs = asked[~bare].astype(dict.fromkeys(patch[1:], int)).merge(unpatched, on=same)
    each = pairs.groupby([*study, "method", *patch])[["unpatched", "patched"]].mean()
    means = each.groupby([*study, *patch]).mean().reset_index()
    open_gap = (1 - means["unpatched"]).where(lambda gap: gap > 0)
    return means.assign(share=(means["patched"] - means["unpatched"]) / open_gap)


def unrelated_scores(behaviour: Path) -> pd.DataFrame:
    """How like the original's the unpatched answers to unrelated questions are, by ROUGE-L.

    Returns:
        model, origin, method, concept, value; no row where no concept has such questions.
    """
    rows = read_csv(behaviour, ["rouge_l"])
    of_unrelated = rows[(rows["set"] == "unrelated") & (rows["experiment"] == "")]
    return of_unrelated.rename(columns={"rouge_l": "value"})[
        ["model", "origin", "method", "concept", "value"]
    ]
