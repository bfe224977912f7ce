"""How like the original's the answers are on average, and what of them comes back."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from stillknows.csv_files import read_csv
from stillknows.terms import KNOWN_STATE, TARGET, UNRELATED

_LAYERS = ["first_layer", "last_layer"]
_NAMES = ["model", "origin", "method", "concept", "concept_name", "set", "experiment"]
_KEYS = [*_NAMES, *_LAYERS]
BEHAVIOUR_COLUMNS = [*_KEYS, "questions", "bleu", "rouge_l"]


def summarise_behaviour(answers: pa.Table) -> pd.DataFrame:
    """BEHAVIOUR_COLUMNS: per concept, set and patch, the mean over the questions that have a score.

    A question has none where the original's answer is empty. experiment and layers are null where
    nothing was patched.
    """
    frame: pd.DataFrame = answers.select([*_KEYS, "bleu", "rouge_l"]).to_pandas()
    frame = frame.astype(dict.fromkeys(_NAMES, object) | dict.fromkeys(_LAYERS, "Int64"))
    means: pd.DataFrame = frame.groupby(_KEYS, dropna=False, sort=True).agg(
        questions=("rouge_l", "count"), bleu=("bleu", "mean"), rouge_l=("rouge_l", "mean")
    )
    return means.reset_index()


def gap_closed(behaviour: pd.DataFrame) -> pd.DataFrame:
    """How much of what the answers lost came back under each patch, by ROUGE-L; 1 is all of it.

    share = (patched - unpatched) / (1 - unpatched), of questions on the unlearned concept; both are
    means over the same concepts, then methods, without models of known state. Null where the
    unpatched answers are the original's.
    """
    study, patch = ["model", "origin"], ["experiment", *_LAYERS]
    copy = [*study, "method", "concept"]
    rows = behaviour[(behaviour["origin"] != KNOWN_STATE) & (behaviour["set"] == TARGET)]
    is_patched = rows["experiment"] != ""
    unpatched = rows.loc[~is_patched, [*copy, "rouge_l"]].rename(columns={"rouge_l": "unpatched"})
    patched = rows[is_patched].rename(columns={"rouge_l": "patched"})
    pairs = patched.astype(dict.fromkeys(_LAYERS, int)).merge(unpatched, on=copy)
    by_method = pairs.groupby([*study, "method", *patch])[["unpatched", "patched"]].mean()
    means = by_method.groupby([*study, *patch]).mean().reset_index()
    open_gap = (1 - means["unpatched"]).where(lambda gap: gap > 0)
    return means.assign(share=(means["patched"] - means["unpatched"]) / open_gap)


def unrelated_scores(behaviour: Path) -> pd.DataFrame:
    """model, origin, method, concept, value: answers to unrelated questions, by ROUGE-L."""
    rows = read_csv(behaviour).rename(columns={"rouge_l": "value"})
    rows = rows[(rows["set"] == UNRELATED) & (rows["experiment"] == "")]
    return rows[["model", "origin", "method", "concept", "value"]]
