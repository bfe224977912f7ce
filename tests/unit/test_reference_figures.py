"""The reference model's curves in the panels of unlearned models."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from planted import EXPERIMENTS, flat, plant
from planted_figures import legend, study
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.tables import concept_scores, curves
from stillknows.figures.curves import REFERENCE_LINE, draw_curves, draw_curves_by_method
from stillknows.figures.style import Style
from stillknows.terms import REFERENCE

STYLE, RETAIN = Style(), "retain"
NAME = REFERENCE_LINE["label"]


def tables_of(tmp_path: Path, sweeps: list[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The curves and the concepts' scores, of krs and of the noising ratio."""
    origins = {f"tiny/{RETAIN}/{sweep.parent.name}": REFERENCE for sweep in sweeps}
    collect_sweeps(sweeps, tmp_path / "krs.parquet", origins)
    concepts = concept_scores(tmp_path / "krs.parquet", ["krs", "noising_ratio"])
    return curves(concepts), concepts


def with_retain(tmp_path: Path) -> list[Path]:
    """Two copies and a reference model, whose curves are 0.05, 0.1, 0.15 and 0.2 throughout."""
    return study(tmp_path) + [
        plant(tmp_path, flat(0.05 * (i + 1)), concept=concept, method=RETAIN, experiment=name)
        for concept in ("c0", "c1")
        for i, name in enumerate(EXPERIMENTS)
    ]


def grey_lines(axes: Axes) -> list[list[float]]:
    """The heights of the reference model's lines."""
    return [
        list(line.get_ydata())
        for line in axes.get_lines()
        if line.get_color() == REFERENCE_LINE["color"] and line.get_linestyle() == "--"
    ]


def of_krs(draw: Callable[..., Figure], tmp_path: Path) -> Figure:
    mean, concepts = tables_of(tmp_path, with_retain(tmp_path))
    mean, concepts = (table[table["score"] == "krs"] for table in (mean, concepts))
    if draw is draw_curves:
        return draw(mean, style=STYLE)
    return draw(mean, concepts, style=STYLE)


@pytest.mark.parametrize("draw", [draw_curves, draw_curves_by_method])
def test_the_reference_is_in_the_copies_panels(draw: Callable[..., Figure], tmp_path: Path) -> None:
    figure = of_krs(draw, tmp_path)
    for panel in figure.axes:
        heights = grey_lines(panel)
        if panel.get_title("left").endswith("reference"):
            assert heights == []
        else:
            expected = [[0.05 * (i + 1)] * 4 for i in range(4)]
            np.testing.assert_allclose(sorted(heights), expected)
    assert legend(figure).count(NAME) == 1
    (entry,) = [one for one in figure.legends[0].get_lines() if one.get_label() == NAME]
    assert entry.get_color() == REFERENCE_LINE["color"] and entry.get_linestyle() == "--"
