"""Figures that lay spans, scores and widths over one another: their lines are the tables'."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from planted import EXPERIMENTS, Values, collected, flat, plant
from planted_figures import legend, study, words
from stillknows.analysis.statistics import statistics
from stillknows.analysis.tables import EVERY_SCORE, OTHERS, concept_scores, curves
from stillknows.figures.compared import draw_scores
from stillknows.figures.style import Style
from stillknows.figures.widths import draw_widths, single_concepts

STYLE = Style()
WINDOWS = ["sliding_5", "prefix", "suffix", "sliding_1"]


def scores_figure(root: Path, sweeps: Sequence[Path]) -> tuple[Figure, pd.DataFrame]:
    concepts = concept_scores(collected(root, sweeps), EVERY_SCORE)
    found = curves(concepts)
    return draw_scores(found, concepts, style=STYLE), found


def widths_figure(root: Path, sweeps: Sequence[Path]) -> tuple[Figure, pd.DataFrame]:
    concepts = concept_scores(collected(root, sweeps), "krs")
    found = statistics(concepts)
    return draw_widths(found, concepts, style=STYLE), found


def lines(axes: Axes, marker: str) -> list[list[float]]:
    """The heights of the lines with such a marker."""
    found = [line for line in axes.get_lines() if line.get_marker() == marker]
    return [list(line.get_ydata()) for line in found if len(line.get_ydata())]


# ---- scores -----------------------------------------------------------------------------------


def planted_scores(kl: float, top1: float, logprob: float) -> dict[str, Values]:
    return dict(zip(OTHERS, (flat(value, 6) for value in (kl, top1, logprob)), strict=True))


def test_scores_lie_over_one_another_and_are_the_tables(tmp_path: Path) -> None:
    sweeps = study(tmp_path, layers=6, others=planted_scores(0.3, 0.6, 0.9), span="answer")
    figure, _ = scores_figure(tmp_path, sweeps)
    assert len(figure.axes) == 8
    for panel in figure.axes:
        for marker, value in (("^", 0.3), ("s", 0.6), ("D", 0.9)):
            (line,) = lines(panel, marker)
            assert line == pytest.approx([value] * 6)
    assert lines(figure.axes[0], "o")[0] == pytest.approx(np.linspace(0, 0.205, 6))
    assert "krs_of_means" not in words(figure) and len(legend(figure)) == 4
    assert "over the answer's span" in words(figure)


# ---- widths -----------------------------------------------------------------------------------


def test_recovery_against_width_is_the_statistics(tmp_path: Path) -> None:
    figure, found = widths_figure(tmp_path, study(tmp_path, layers=6, window=WINDOWS))
    assert len(figure.axes) == 8
    here = found[(found["method"] == "dpo") & (found["experiment"] == EXPERIMENTS[0])]
    number = here.set_index(["statistic", "window"])["value"]
    first = figure.axes[0]
    for marker, statistic in (
        ("o", "peak"),
        ("^", "best_without_final_layer"),
        ("s", "final_window"),
    ):
        sliding, suffix, prefix = lines(first, marker)
        assert sliding == [number[statistic, "sliding_1"], number[statistic, "sliding_5"]]
        if statistic in ("peak", "final_window"):
            assert suffix == [number[statistic, "suffix"]]
        else:
            assert np.isnan(suffix).all()  # every suffix covers the last layer
        assert prefix == [number[statistic, "prefix"]]
    labels = [label.get_text() for label in figure.axes[4].get_xticklabels()]
    assert labels == ["1", "5", "suffix", "prefix"]


def test_single_concepts_are_read_where_the_mean_is_highest(tmp_path: Path) -> None:
    # Means 0.15, 0.55, 0.40, 0.70; concept b alone would choose another.
    sweeps = [
        plant(tmp_path, [[0.1], [0.9], [0.1], [0.6]], concept="a"),
        plant(tmp_path, [[0.2], [0.2], [0.7], [0.8]], concept="b"),
    ]
    found = single_concepts(concept_scores(collected(tmp_path, sweeps), "krs"))
    value = found.set_index(["statistic", "concept"])["value"]
    assert value["peak"].to_dict() == pytest.approx({"a": 0.6, "b": 0.8})
    assert value["best_without_final_layer"].to_dict() == pytest.approx({"a": 0.9, "b": 0.2})
    assert value["final_window"].to_dict() == pytest.approx({"a": 0.6, "b": 0.8})
