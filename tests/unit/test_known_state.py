"""Models of known state stand beside the unlearned ones: no mean over methods includes them."""

from pathlib import Path

import pandas as pd
import pytest

from planted import flat, plant
from stillknows.analysis.behaviour import BEHAVIOUR_COLUMNS, gap_closed
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.statistics import statistics
from stillknows.analysis.tables import concept_scores, curves
from stillknows.terms import KNOWN_STATE, PAPER_EXPERIMENTS

MEANS = {"grad_diff": 0.5, "hide": 0.9, "never": 0.1}
APART = {f"tiny/{method}/tea": KNOWN_STATE for method in ("hide", "never")}


@pytest.fixture
def scores(tmp_path: Path) -> pd.DataFrame:
    sweeps = [
        plant(tmp_path, flat(mean), method=method, experiment=experiment)
        for method, mean in MEANS.items()
        for experiment in PAPER_EXPERIMENTS
    ]
    collect_sweeps(sweeps, tmp_path / "krs.parquet", APART)
    return concept_scores(tmp_path / "krs.parquet", "krs")


def test_each_has_its_curve_and_the_mean_is_of_the_unlearned_ones(scores: pd.DataFrame) -> None:
    means = curves(scores).groupby(["origin", "method"])["mean"].unique()
    assert {key: [*value] for key, value in means.items()} == {
        ("own", "all"): [0.5],
        ("own", "grad_diff"): [0.5],
        (KNOWN_STATE, "hide"): [0.9],
        (KNOWN_STATE, "never"): [0.1],
    }
    of = statistics(scores)
    assert set(of.loc[of["method"] == "all", "origin"]) == {"own"}


def test_what_returns_of_answers_is_the_mean_of_the_unlearned_ones() -> None:
    rows = [
        {"model": "tiny", "origin": origin, "method": method, "concept": "tea", "set": "target"}
        | {"experiment": experiment, "first_layer": first, "last_layer": first, "rouge_l": rouge}
        for origin, method, patched in (("own", "npo", 0.5), (KNOWN_STATE, "hide", 1.0))
        for experiment, first, rouge in (("", None, 0.0), ("attention", 3, patched))
    ]
    returned = gap_closed(pd.DataFrame(rows, columns=BEHAVIOUR_COLUMNS))
    assert returned[["origin", "share"]].to_numpy().tolist() == [["own", 0.5]]
