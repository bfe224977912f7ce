"""The figure of error rates: its points are the models, its words say what is missing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from planted_figures import legend
from planted_rounds import TREATMENTS, planted_rounds, steady
from stillknows.analysis.calibration.scores import SCORES, ScoreSpec
from stillknows.analysis.calibration.table import calibration_table
from stillknows.figures.calibration import draw_calibration
from stillknows.figures.style import Style
from stillknows.terms import NEVER

STYLE = Style()
UDS, RELEARNED = (
    replace(spec, primary=False) for spec in SCORES if spec.name in ("uds", "relearned")
)


def planted(rounds: int) -> pd.DataFrame:
    return planted_rounds(rounds, uds=steady(0.2, 0.8, 0.2), relearned=steady(np.nan, np.nan))


def drawn(
    rounds: pd.DataFrame, scores: Sequence[str] = ("uds",), specs: Sequence[ScoreSpec] = ()
) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the table that it is made from."""
    table = calibration_table(rounds, scores=specs or (UDS, RELEARNED))
    return draw_calibration(rounds, table, STYLE, scores), table


def points(axes: Axes, markers: str) -> list[tuple[float, float, bool]]:
    """x, row and whether it is filled, of all points with one of the markers."""
    return [
        (float(x), round(float(y)), line.get_markerfacecolor() != "none")
        for line in axes.get_lines()
        if line.get_marker() in tuple(markers)
        for x, y in line.get_xydata()
    ]


def test_every_model_is_a_point_in_the_row_of_its_treatment_and_in_the_pooled_one() -> None:
    rounds = planted(6)
    is_wrong = (rounds["round"] == "3") & (rounds["state"] == NEVER)
    rounds.loc[is_wrong, "as_intended"] = False
    figure, _ = drawn(rounds)
    labels = [one.get_text() for one in figure.axes[0].get_yticklabels()]
    assert labels == [*sorted(TREATMENTS), "all without unlearning", "all pooled"]
    for state, marker in {"taught": "o", "never": "D"}.items():
        of_state = rounds[rounds["state"] == state]
        rows = of_state["treatment"].map(sorted(TREATMENTS).index)
        expected = list(zip(of_state["uds"], rows, of_state["as_intended"], strict=True))
        expected += [
            (value, len(TREATMENTS) + group, filled)
            for group in range(2)
            for value, _, filled in expected
        ]
        assert sorted(points(figure.axes[0], marker)) == sorted(expected)
    assert "hollow: state not confirmed" in legend(figure)
