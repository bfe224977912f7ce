"""Figures: their lines are the table's numbers, their words are right, their bytes reproduce."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from planted import EXPERIMENTS, flat, plant, sloped
from planted_figures import study, thin_lines, words
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.statistics import statistics
from stillknows.analysis.tables import EVERY_SCORE, concept_scores, curves
from stillknows.figures import style
from stillknows.figures.canvas import applied, save
from stillknows.figures.compared import draw_scores, draw_spans
from stillknows.figures.curves import draw_curves, draw_curves_by_method
from stillknows.figures.heatmap import draw_heatmap
from stillknows.figures.last_layer import draw_last_layer, last_layer_share
from stillknows.figures.style import Style
from stillknows.figures.widths import draw_widths
from stillknows.terms import DENOISING, NOISING, Experiment

STYLE = Style()


def tables_of(tmp_path: Path, sweeps: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The curves and the concepts' scores, score krs."""
    collect_sweeps(sweeps, tmp_path / "krs.parquet")
    concepts = concept_scores(tmp_path / "krs.parquet", "krs")
    return curves(concepts), concepts


def data_lines(axes: Axes) -> list[tuple[list[float], list[float]]]:
    """The data of the lines with markers: the mean curves."""
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
        if line.get_marker() not in (None, "None", "")
    ]


def drawn(tmp_path: Path, sweeps: Sequence[Path]) -> list[Figure]:
    """All figures that tables of the sweeps' rows are drawn as."""
    mean, concepts = tables_of(tmp_path, sweeps)
    every = concept_scores(tmp_path / "krs.parquet", EVERY_SCORE)
    return [
        draw_curves(mean, style=STYLE),
        draw_curves_by_method(mean, concepts, style=STYLE),
        draw_heatmap(concepts, style=STYLE),
        draw_last_layer(concepts, style=STYLE),
        draw_spans(mean, concepts, style=STYLE),
        draw_scores(curves(every), every, style=STYLE),
        draw_widths(statistics(concepts), concepts, style=STYLE),
    ]


# ---- curves -----------------------------------------------------------------------------------


def test_the_papers_figure_has_four_curves_which_are_the_tables(tmp_path: Path) -> None:
    mean, _ = tables_of(tmp_path, study(tmp_path))
    figure = draw_curves(mean, style=STYLE)
    (panel,) = figure.axes
    lines = data_lines(panel)
    assert len(lines) == 4
    for (layers, values), experiment in zip(lines, EXPERIMENTS, strict=True):
        rows = mean[(mean["method"] == "all") & (mean["experiment"] == experiment)]
        assert layers == [0, 1, 2, 3]
        assert values == rows.sort_values("layer")["mean"].tolist()


def test_no_line_bridges_a_layer_without_a_value(tmp_path: Path) -> None:
    values = flat(0.5, layers=6)
    mean, _ = tables_of(tmp_path, [plant(tmp_path, [*values[:3], [np.inf, np.inf], *values[4:]])])
    (panel,) = draw_curves(mean, style=STYLE).axes
    ((layers, drawn_values),) = data_lines(panel)
    assert layers == [0, 1, 2, 3, 4, 5]
    assert [np.isnan(value) for value in drawn_values] == [False] * 3 + [True] + [False] * 2


# ---- curves by method -------------------------------------------------------------------------


def test_five_concepts_have_a_band_which_is_the_tables(tmp_path: Path) -> None:
    mean, concepts = tables_of(tmp_path, study(tmp_path, concepts=5))
    figure = draw_curves_by_method(mean, concepts, style=STYLE)
    for panel in figure.axes:
        assert len(panel.collections) == 4
        assert thin_lines(panel) == 0
        rows = mean[
            (mean["method"] == panel.get_title("left")) & (mean["experiment"] == EXPERIMENTS[0])
        ]
        heights = panel.collections[0].get_paths()[0].vertices[:, 1]
        assert heights.max() == pytest.approx(rows["high"].max())
    assert "bands: 95 % intervals" in words(figure)


# ---- last layer -------------------------------------------------------------------------------


def test_last_layer_beside_the_best_and_the_mean_of_the_others(tmp_path: Path) -> None:
    # Means over concepts: 0.15, 0.55, 0.40, 0.70; concept b alone would choose layer 2.
    sweeps = [
        plant(tmp_path, [[0.1], [0.9], [0.1], [0.6]], concept="a"),
        plant(tmp_path, [[0.2], [0.2], [0.7], [0.8]], concept="b"),
    ]
    share = last_layer_share(tables_of(tmp_path, sweeps)[1]).set_index(["role", "concept"])
    assert share.loc[("last", "a"), "value"] == pytest.approx(0.6)
    assert share.loc[("best", "b"), "value"] == pytest.approx(0.2)
    assert (share.loc["best", "layer"] == 1).all() and (share.loc["last", "layer"] == 3).all()
    assert share.loc[("others", "b"), "value"] == pytest.approx(1.1 / 3)


# ---- what may come ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["one of all", "nulls only", "one layer", "part missing"])
def test_small_and_empty_studies_are_drawn(tmp_path: Path, case: str) -> None:
    if case == "one of all":
        sweeps = [plant(tmp_path, sloped(0.5))]
    elif case == "nulls only":
        sweeps = [plant(tmp_path, flat(None))]
    elif case == "one layer":
        sweeps = [plant(tmp_path, flat(0.5, layers=1))]
    else:
        sweeps = study(tmp_path, concepts=3)[:-5]
    for number, figure in enumerate(drawn(tmp_path, sweeps)):
        save(figure, [tmp_path / f"{number}.png"], STYLE)
        if case == "nulls only":
            assert "no value" in words(figure)


def test_no_text_leaves_the_sheet_or_lies_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An axis also holds labels that it never draws: only those that are drawn are looked at.
    drawn_texts: list[Text] = []
    draw = Text.draw

    def recording(text: Text, *given: Any, **named: Any) -> None:
        drawn_texts.append(text)
        draw(text, *given, **named)

    sweeps = study(tmp_path, concepts=10, layers=32, window="sliding_5")
    for figure in drawn(tmp_path, sweeps):
        with applied(STYLE), monkeypatch.context() as patched:
            figure.draw_without_rendering()
            drawn_texts.clear()
            patched.setattr(Text, "draw", recording)
            figure.draw_without_rendering()
        texts = [text for text in dict.fromkeys(drawn_texts) if text.get_visible()]
        boxes = [text.get_window_extent() for text in texts if text.get_text().strip()]
        assert len(boxes) > 10
        for i, box in enumerate(boxes):
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
            assert box.y0 >= 0 and box.y1 <= figure.bbox.y1
            assert not any(_overlap(box, other) for other in boxes[i + 1 :])


def _overlap(one: Any, two: Any) -> bool:
    width = min(one.x1, two.x1) - max(one.x0, two.x0)
    height = min(one.y1, two.y1) - max(one.y0, two.y0)
    return bool(width > 1 and height > 1)


def test_files_have_the_same_bytes_twice_and_no_date(tmp_path: Path) -> None:
    sweeps = study(tmp_path)
    for turn in ("a", "b"):
        for number, figure in enumerate(drawn(tmp_path, sweeps)):
            names = [tmp_path / f"{turn}{number}{kind}" for kind in (".png", ".pdf")]
            save(figure, names, STYLE)
    for first in sorted(tmp_path.glob("a*.p*")):
        found = first.read_bytes()
        assert found == first.with_name("b" + first.name[1:]).read_bytes()
        assert b"CreationDate" not in found and b"Software" not in found
        assert first.suffix == ".png" or b"FontFile2" in found  # embedded TrueType


# ---- style ------------------------------------------------------------------------------------


def test_every_experiment_of_the_config_has_a_look() -> None:
    assert tuple(style.EXPERIMENTS) == get_args(Experiment)
    for names in (DENOISING, NOISING):
        assert len({style.EXPERIMENTS[name].marker for name in names}) == len(names)
