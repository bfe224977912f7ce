"""tables/statistics.csv of planted sweeps: differences, peaks, missing sweeps, one concept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planted import collected, flat, plant, sloped
from stillknows.analysis.statistics import STATISTIC_COLUMNS, statistics
from stillknows.analysis.tables import concept_scores, curves

CONCEPTS = [f"c{i}" for i in range(6)]


def scores_of(root: Path, sweeps: Sequence[Path]) -> pd.DataFrame:
    return concept_scores(collected(root, sweeps))


def statistics_of(root: Path, sweeps: Sequence[Path]) -> pd.DataFrame:
    return statistics(scores_of(root, sweeps), seed=0)


def row(frame: pd.DataFrame, statistic: str, layer: int | None = None, **only: str) -> pd.Series:
    for column, value in {"score": "krs", "statistic": statistic, **only}.items():
        frame = frame[frame[column] == value]
    frame = frame[frame["layer"].isna() if layer is None else frame["layer"] == layer]
    assert len(frame) == 1, f"{len(frame)} rows {statistic} {layer} {only}"
    return frame.iloc[0]


def test_experiments_are_compared_within_concepts(tmp_path: Path) -> None:
    """Concepts differ by far more than the experiments do: unpaired, 0.1 would drown."""
    sweeps = [
        plant(tmp_path, flat(i / 6 + more), concept=name, experiment=experiment)
        for i, name in enumerate(CONCEPTS)
        for experiment, more in (("attention", 0.0), ("value_vectors", -0.1))
    ]
    found = statistics_of(tmp_path, sweeps)
    assert list(found.columns) == STATISTIC_COLUMNS
    pair = {"method": "all", "experiment": "attention", "versus": "value_vectors"}
    for layer in range(4):
        here = row(found, "experiment_difference", layer, **pair)
        assert (here["value"], here["low"], here["high"]) == pytest.approx((0.1, 0.1, 0.1))
        assert here["n"] == 6
    peaks = row(found, "experiment_difference_of_peaks", **pair)
    assert (peaks["value"], peaks["low"], peaks["high"]) == pytest.approx((0.1, 0.1, 0.1))


def test_methods_are_compared_on_the_concepts_that_both_have(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, sloped(0.8), concept=name, method="dpo") for name in CONCEPTS]
    sweeps += [plant(tmp_path, sloped(0.6), concept=name, method="npo") for name in CONCEPTS[1:]]
    sweeps += [plant(tmp_path, flat(-9.0), concept="only_npo", method="npo")]
    found = statistics_of(tmp_path, sweeps)
    pair = {"method": "dpo", "experiment": "attention", "versus": "npo"}
    here = row(found, "method_difference", 3, **pair)
    assert (here["value"], here["low"], here["high"]) == pytest.approx((0.2, 0.2, 0.2))
    assert here["n"] == 5
    peaks = row(found, "method_difference_of_peaks", **pair)
    assert (peaks["value"], peaks["n"]) == (pytest.approx(0.2), 5)


def test_peaks_may_lie_at_different_layers(tmp_path: Path) -> None:
    low_late = {"attention": [[0.2], [0.9], [0.1]], "value_vectors": [[0.0], [0.1], [0.4]]}
    sweeps = [
        plant(tmp_path, values, concept=name, experiment=experiment)
        for name in CONCEPTS
        for experiment, values in low_late.items()
    ]
    found = statistics_of(tmp_path, sweeps)
    pair = {"method": "dpo", "experiment": "attention", "versus": "value_vectors"}
    assert row(found, "experiment_difference_of_peaks", **pair)["value"] == pytest.approx(0.5)
    assert row(found, "experiment_difference", 1, **pair)["value"] == pytest.approx(0.8)
    mine = {"method": "dpo", "experiment": "attention"}
    assert row(found, "peak", **mine)["value"] == pytest.approx(0.9)
    assert row(found, "peak_layer", **mine)["value"] == 1
    assert row(found, "final_layer_lead", **mine)["value"] == pytest.approx(-0.8)
    assert row(found, "final_layer_share", **mine)["value"] == pytest.approx(-0.8 / 0.9)
    assert row(found, "monotonicity", **mine)["value"] == pytest.approx(-0.5)


def test_the_best_with_and_without_the_last_layer_are_numbers_of_their_own(tmp_path: Path) -> None:
    # Of width 3 and 5 layers, the windows at 3 and 4 cover the last layer.
    values = [[0.1], [0.3], [0.5], [0.9], [0.7]]
    sweeps = [plant(tmp_path, values, concept=name, window="sliding_3") for name in CONCEPTS]
    found = statistics_of(tmp_path, sweeps)
    expected = {
        "best_with_final_layer": 0.9,
        "best_without_final_layer": 0.5,
        "final_layer_lead": 0.4,
        "final_window": 0.7,
    }
    for statistic, value in expected.items():
        here = row(found, statistic, method="dpo")
        assert (here["value"], here["low"], here["high"]) == pytest.approx((value,) * 3)
        assert here["n"] == 6
    assert not found["statistic"].str.startswith("layers_for").any()


def test_suffixes_say_how_many_last_layers_it_takes(tmp_path: Path) -> None:
    # Half of the concepts have all in the last layer, half need three.
    early, late = [[0.8]] * 4, [[0.8], [0.8], [0.3], [0.2]]
    sweeps = [
        plant(tmp_path, early if i < 3 else late, concept=name, window="suffix")
        for i, name in enumerate(CONCEPTS)
    ]
    found = statistics_of(tmp_path, sweeps)
    half, most = (row(found, f"layers_for_{name}", method="dpo") for name in ("half", "most"))
    assert (half["value"], half["low"], half["high"]) == (1, 1, 3)
    assert (most["value"], most["n"]) == (3, 6)
    assert row(found, "final_window", method="dpo")["value"] == pytest.approx(0.5)
    assert row(found, "final_layer_share", method="dpo")["value"] == pytest.approx(0.5 / 0.8)
    assert not found["statistic"].str.startswith("best_with").any()


def test_a_peaks_interval_is_its_points_in_the_curves(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sweeps = [plant(tmp_path, rng.random((4, 3)).tolist(), concept=name) for name in CONCEPTS]
    scores = scores_of(tmp_path, sweeps)
    peak = row(statistics(scores, 3), "peak", method="all")
    points = curves(scores, 3)
    points = points[(points["method"] == "all") & (points["score"] == "krs")]
    highest = points.loc[points["mean"].idxmax()]
    for mine, theirs in (("value", "mean"), ("low", "low"), ("high", "high")):
        assert peak[mine] == pytest.approx(highest[theirs])


def test_monotonicity_is_of_each_concept_before_it_is_averaged(tmp_path: Path) -> None:
    """Two thirds rise and a third falls, though the mean curve rises throughout."""
    sweeps = [
        plant(tmp_path, sloped(0.9 if i < 4 else -0.3), concept=name)
        for i, name in enumerate(CONCEPTS)
    ]
    found = row(statistics_of(tmp_path, sweeps), "monotonicity", method="dpo")
    assert found["value"] == pytest.approx(1 / 3)
    assert found["low"] < 1 / 3 < found["high"]


def test_controls_origins_and_spans_are_never_compared(tmp_path: Path) -> None:
    sweeps = [
        plant(tmp_path, flat(0.5), concept="a", span=["notebook", "answer"]),
        plant(tmp_path, flat(0.1), concept="b", donor="noise"),
        plant(tmp_path, flat(0.9), concept="c", origin="published", method="npo"),
    ]
    found = statistics_of(tmp_path, sweeps)
    assert set(found["donor"]) == {"original"}
    assert not found["statistic"].str.startswith("method_difference").any()
    assert row(found, "peak", method="all", origin="own", span="answer")["value"] == 0.5
    assert row(found, "peak", method="all", origin="published")["value"] == 0.9
