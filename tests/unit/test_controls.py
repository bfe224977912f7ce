"""tables/controls.csv with planted control baselines, which change nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planted import collected, flat, plant, sloped
from stillknows.analysis.bootstrap import INTERVAL, RESAMPLES, draws
from stillknows.analysis.claims import claims
from stillknows.analysis.comparisons import CONTROL_COLUMNS, controls
from stillknows.analysis.statistics import statistics
from stillknows.analysis.tables import concept_scores, curves
from stillknows.parquet_files import write_rows

LAYERS = [1, 3]  # layers of the controls' windows


def with_baseline(
    sweep: Path,
    baseline: float | Sequence[float],
    donor: str = "noise",
    layers: Sequence[int] = LAYERS,
) -> Path:
    """Add a control's rows to a planted sweep: at some layers, a KRS per layer."""
    rows = pd.read_parquet(sweep)
    values = [baseline] * len(layers) if isinstance(baseline, float) else baseline
    control = rows[(rows["donor"] == "original") & rows["layer"].isin(layers)].copy()
    control["krs"] = control["layer"].map(dict(zip(layers, values, strict=True)))
    control["loss_patched"] = control["loss_unlearned"] * (1 - control["krs"])
    both = pd.concat([rows, control.assign(donor=donor)], ignore_index=True)
    write_rows(sweep, both, {"device": "cpu"})
    return sweep


def scores_of(tmp_path: Path, sweeps: Sequence[Path]) -> pd.DataFrame:
    return concept_scores(collected(tmp_path, sweeps))


def study(tmp_path: Path, concepts: int, baselines: bool = True) -> list[Path]:
    """Concept c rises to 0.9 - c/100; its control baseline is -0.5 + c/10 for noise and
    half of it for another question."""
    sweeps = []
    for method in ("dpo", "grad_diff"):
        for c in range(concepts):
            sweep = plant(tmp_path, sloped(0.9 - c / 100), method=method, concept=f"c{c}")
            if baselines:
                with_baseline(sweep, -0.5 + c / 10)
                with_baseline(sweep, (-0.5 + c / 10) / 2, "other_question")
            sweeps.append(sweep)
    return sweeps


def test_control_baselines_are_compared_with_the_original(tmp_path: Path) -> None:
    found = controls(scores_of(tmp_path, study(tmp_path, 6)))
    assert list(found) == CONTROL_COLUMNS
    assert len(found) == 3 * 2 * 2 * 2  # methods and all, donors, layers, scores
    where = (found["method"] == "dpo") & (found["donor"] == "noise") & (found["score"] == "krs")
    points = found[where]
    assert points["layer"].tolist() == LAYERS
    assert points["mean"].tolist() == pytest.approx([-0.25, -0.25])
    original = np.mean([0.9 - c / 100 for c in range(6)])
    assert points["original"].tolist() == pytest.approx([original / 3, original])
    assert points["difference"].tolist() == pytest.approx([original / 3 + 0.25, original + 0.25])
    assert (points["n_concepts"] == 6).all()
    # The same draws for both donors: the difference's interval is that of the concepts' own.
    own = np.array([0.9 - c / 100 - (-0.5 + c / 10) for c in range(6)])
    means = draws(6, 0) @ own / 6
    assert len(means) == RESAMPLES
    limits = np.percentile(means, INTERVAL, method="inverted_cdf")
    last = points.iloc[1]
    assert [last["difference_low"], last["difference_high"]] == pytest.approx(list(limits))
    assert last["low"] < last["mean"] < last["high"]


def test_the_difference_is_of_the_concepts_that_both_have(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, flat(0.8), concept="a"), plant(tmp_path, flat(0.2), concept="b")]
    with_baseline(sweeps[0], 0.1)
    found = controls(scores_of(tmp_path, sweeps))
    assert found["original"].tolist() == pytest.approx([0.8] * len(found))
    assert found["difference"].tolist() == pytest.approx([0.7] * len(found))
    assert (found["n_concepts"] == 1).all()
    assert found["low"].isna().all() and found["difference_low"].isna().all()


def test_no_control_reaches_claims_statistics_or_the_originals_curves(tmp_path: Path) -> None:
    windows = ["sliding_1"]
    plain, beside = tmp_path / "plain", tmp_path / "beside"
    without = scores_of(plain, study(plain, 6, baselines=False))
    with_them = scores_of(beside, study(beside, 6))
    assert set(with_them["donor"]) == {"original", "noise", "other_question"}
    for table in (statistics, lambda scores: claims(scores[scores["score"] == "krs"], windows, 0)):
        pd.testing.assert_frame_equal(table(with_them), table(without))
    every = curves(with_them)
    mine = every[every["donor"] == "original"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, curves(without))
    assert set(every.loc[every["donor"] == "noise", "layer"]) == set(LAYERS)
