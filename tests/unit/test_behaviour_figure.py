"""The behaviour figures draw the table's means, and say how many stand behind them."""

from typing import Any

import pandas as pd
import pytest

from planted_answers import planted_behaviour
from stillknows.analysis.behaviour import BEHAVIOUR_COLUMNS
from stillknows.figures.behaviour import draw_behaviour, draw_behaviour_patched
from stillknows.figures.style import Style

SETS = {"target": 0.2, "unrelated": 0.8}


def row(concept: int, rouge_l: float, **more: Any) -> dict[str, Any]:
    named = {"concept": f"c{concept}", "concept_name": "C$"}
    return planted_behaviour(rouge_l, **named | more)


def plain(concepts: int) -> pd.DataFrame:
    rows = [
        row(c, value + 0.1 * (c % 2), set=name)
        for name, value in SETS.items()
        for c in range(concepts)
    ]
    return pd.DataFrame(rows, columns=BEHAVIOUR_COLUMNS)


def large(axes: Any) -> list[float]:
    """The heights of the means' marks, from left to right."""
    lines = [line for line in axes.lines if line.get_markersize() == 5 and line.get_marker()]
    return [y for _, y in sorted(point for line in lines for point in line.get_xydata().tolist())]


@pytest.mark.parametrize("concepts", [2, 6])
def test_means_of_each_set_and_score(concepts: int) -> None:
    figure = draw_behaviour(plain(concepts), style=Style(), seed=0)
    rouge, bleu = figure.axes
    assert large(rouge) == pytest.approx([0.25, 0.85])
    assert large(bleu) == pytest.approx([0.125, 0.425])
    assert [label.get_text() for label in rouge.get_xticklabels()] == [
        "questions on\nthe concept",
        "unrelated\nquestions",
    ]
    heading = figure.get_suptitle()
    assert f"n = {concepts} concepts per method" in heading
    assert ("bars: 95 % intervals" in heading) == (concepts >= 5)


def test_patches_stand_beside_the_same_questions_without_one() -> None:
    patched = pd.DataFrame(
        [
            row(0, value, experiment=experiment, first_layer=first, last_layer=first + 1)
            for first, value in ((10, 0.9), (0, 0.5))
            for experiment in ("value_vectors", "attention")
        ],
        columns=BEHAVIOUR_COLUMNS,
    )
    # The line is of the concept and the set that are patched, not of all.
    figure = draw_behaviour_patched(pd.concat([plain(2), patched]), style=Style(), seed=0)
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0–1", "10–11"]  # noqa: RUF001
    assert large(panel) == pytest.approx([0.5, 0.5, 0.9, 0.9])
    dashed = [line for line in panel.lines if list(line.get_ydata()) == [0.2, 0.2]]
    assert len(dashed) == 1
