"""The figure of error rates: its points are the models, its words say what is missing."""

from matplotlib.axes import Axes

from planted_figures import legend
from planted_rounds import TREATMENTS, planted_rounds, steady
from stillknows.analysis.calibration.scores import SCORES
from stillknows.analysis.calibration.table import calibration_table
from stillknows.figures.calibration import draw_calibration
from stillknows.figures.style import Style
from stillknows.terms import NEVER

UDS = [spec for spec in SCORES if spec.name == "uds"]


def points(axes: Axes, markers: str) -> list[tuple[float, float, bool]]:
    """x, row and whether it is filled, of all points with one of the markers."""
    return [
        (float(x), round(float(y)), line.get_markerfacecolor() != "none")
        for line in axes.get_lines()
        if line.get_marker() in tuple(markers)
        for x, y in line.get_xydata()
    ]


def test_every_model_is_a_point_in_the_row_of_its_treatment_and_in_the_pooled_one() -> None:
    rounds = planted_rounds(6, uds=steady(0.2, 0.8, 0.2))
    is_wrong = (rounds["round"] == "3") & (rounds["state"] == NEVER)
    rounds.loc[is_wrong, "as_intended"] = False
    figure = draw_calibration(rounds, calibration_table(rounds, scores=UDS), style=Style())
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
