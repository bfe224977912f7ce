"""The figure of error rates: its points are the models, its words say what is missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.calibration.scores import SCORES, ScoreSpec
from dissect.calibration.table import ALL, ALL_MODELS, INTACT, calibration_table
from dissect.errors import DissectError
from dissect.figures.calibration import draw_calibration
from dissect.figures.canvas import save
from dissect.figures.style import Style
from dissect.terms import NEVER
from planted_figures import legend, words
from planted_rounds import TREATMENTS, planted_rounds, row_of, steady

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


def test_areas_and_intervals_are_the_tables() -> None:
    figure, table = drawn(planted(6))
    for row, treatment in enumerate([*sorted(TREATMENTS), INTACT, ALL]):
        numbers = row_of(table, score="uds", treatment=treatment, included=ALL_MODELS)
        at_row = [line for line in figure.axes[1].get_lines() if line.get_xydata()[0, 1] == row]
        shown = [x for line in at_row if line.get_marker() in ("o", "s") for x in line.get_xdata()]
        assert shown == [numbers["auc"]]
        ends = [str(list(line.get_xdata())) for line in at_row if len(line.get_xdata()) == 2]
        assert str([numbers["auc_low"], numbers["auc_high"]]) in ends
    assert "n = 6 rounds" in words(figure) and "bars: 95 % intervals" in words(figure)
    assert 'lower: "taught"' in words(figure)
    assert legend(figure) == ["taught the facts", "never taught them", "threshold from all rounds"]


def test_two_rounds_have_no_intervals_and_say_so() -> None:
    figure, _ = drawn(planted(2))
    assert "fewer than 5 rounds" in words(figure)
    assert "bars" not in words(figure) and "n = 2 rounds" in words(figure)
    assert "n = 1 round" in words(drawn(planted(1))[0])


def test_a_score_without_values_is_an_empty_panel_that_says_so() -> None:
    figure, _ = drawn(planted(6), ["relearned"])
    assert "no model has a value" in words(figure) and "no AUC" in words(figure)
    assert legend(figure) == ["taught the facts", "never taught them"]


def test_the_primary_scores_are_drawn_where_none_is_named() -> None:
    figure, _ = drawn(planted(6), (), (replace(UDS, primary=True), RELEARNED))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["uds", ""]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ((), "0 scores were chosen"),
        (("uds",) * 5, "5 scores were chosen"),
        (("usd",), "did you mean uds"),
    ],
)
def test_none_too_many_and_unknown_scores_are_refused(scores: Sequence[str], message: str) -> None:
    with pytest.raises(DissectError, match=message):
        drawn(planted(2), scores)


def test_the_same_rounds_give_the_same_bytes(tmp_path: Path) -> None:
    pictures = []
    for name in ("a.png", "b.png"):
        save(drawn(planted(5), ["uds", "relearned"])[0], [tmp_path / name], STYLE)
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
