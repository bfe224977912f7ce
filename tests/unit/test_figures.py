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

from dissect.analysis.collect import collect_sweeps
from dissect.analysis.scores import EVERY_SCORE
from dissect.analysis.statistics import statistics
from dissect.analysis.tables import concept_scores, curves
from dissect.errors import DissectError
from dissect.figures import style
from dissect.figures.canvas import applied, experiment_styles, save
from dissect.figures.compared import draw_scores, draw_spans
from dissect.figures.curves import BASELINE_WIDTH, draw_curves, draw_curves_by_method
from dissect.figures.heatmap import draw_heatmap
from dissect.figures.last_layer import draw_last_layer, last_layer_share
from dissect.figures.style import Style, layer_label, window_label
from dissect.figures.widths import draw_widths
from dissect.terms import CONTROLS, DENOISING, NOISING, PAPER_EXPERIMENTS, Experiment
from planted import EXPERIMENTS, flat, plant, sloped
from planted_figures import legend, study, thin_lines, words

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
        draw_curves(mean, STYLE),
        draw_curves_by_method(mean, concepts, STYLE),
        draw_heatmap(concepts, STYLE),
        draw_last_layer(concepts, STYLE),
        draw_spans(mean, concepts, STYLE),
        draw_scores(curves(every), every, STYLE),
        draw_widths(statistics(concepts), concepts, STYLE),
    ]


# ---- controls ---------------------------------------------------------------------------------


def with_baselines(
    mean: pd.DataFrame, baselines: dict[str, float], layers: Sequence[int]
) -> pd.DataFrame:
    """Curves and, at some layers, flat control baselines of one experiment."""
    known = mean[(mean["experiment"] == "attention") & mean["layer"].isin(layers)]
    return pd.concat(
        [mean, *(known.assign(donor=donor, mean=value) for donor, value in baselines.items())],
        ignore_index=True,
    )


def grey_lines(axes: Axes) -> list[tuple[list[float], list[float]]]:
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
        if line.get_linewidth() == BASELINE_WIDTH
    ]


def test_baselines_are_thin_lines_through_their_layers(tmp_path: Path) -> None:
    mean, concepts = tables_of(tmp_path, study(tmp_path))
    rows = with_baselines(mean, {"other_question": 0.1, "noise": -0.05}, [1, 3])
    expected = [([1, 3], [0.1, 0.1]), ([1, 3], [-0.05, -0.05])]
    for figure in (draw_curves(rows, STYLE), draw_curves_by_method(rows, concepts, STYLE)):
        for panel in figure.axes:
            assert grey_lines(panel) == expected
        assert legend(figure)[4:] == ["baseline: other question", "baseline: noise"]
        assert "baseline of noise: at most \N{MINUS SIGN}0.05" in words(figure)


def test_every_control_has_a_line_of_its_own(tmp_path: Path) -> None:
    mean, _ = tables_of(tmp_path, study(tmp_path))
    rows = with_baselines(mean, dict.fromkeys(CONTROLS, 0.1), [1, 3])
    figure = draw_curves(rows, STYLE)
    assert len(grey_lines(figure.axes[0])) == len(CONTROLS)
    assert len(set(legend(figure)[4:])) == len(CONTROLS)
    dashes = {
        str(line.get_linestyle()) + str(line._dash_pattern)  # type: ignore[attr-defined]
        for line in figure.axes[0].get_lines()
        if line.get_linewidth() == BASELINE_WIDTH
    }
    assert len(dashes) == len(CONTROLS)


def test_baselines_change_nothing_about_the_curves(tmp_path: Path) -> None:
    mean, _ = tables_of(tmp_path, study(tmp_path))
    plain = draw_curves(mean, STYLE).axes[0]
    beside = draw_curves(with_baselines(mean, {"noise": -9.0}, [0, 2]), STYLE)
    assert data_lines(plain) == [
        line for line in data_lines(beside.axes[0]) if line not in grey_lines(beside.axes[0])
    ]
    assert plain.get_ylim() == beside.axes[0].get_ylim()
    assert "at most \N{MINUS SIGN}9, below the axis" in words(beside)
    assert not any("baseline" in entry for entry in legend(beside))


# ---- curves -----------------------------------------------------------------------------------


def test_the_papers_figure_has_four_curves_which_are_the_tables(tmp_path: Path) -> None:
    mean, _ = tables_of(tmp_path, study(tmp_path))
    figure = draw_curves(mean, STYLE)
    (panel,) = figure.axes
    lines = data_lines(panel)
    assert len(lines) == 4
    for (layers, values), experiment in zip(lines, EXPERIMENTS, strict=True):
        rows = mean[(mean["method"] == "all") & (mean["experiment"] == experiment)]
        assert layers == [0, 1, 2, 3]
        assert values == rows.sort_values("layer")["mean"].tolist()


def test_the_papers_figure_says_what_it_shows(tmp_path: Path) -> None:
    mean, _ = tables_of(tmp_path, study(tmp_path))
    figure = draw_curves(mean, STYLE)
    (panel,) = figure.axes
    assert panel.get_ylabel() == "Knowledge Recovery Score"
    assert panel.get_xlabel() == "layer (from 0)"
    said = words(figure)
    for phrase in ("tiny", "single layers", "notebook's span", "n = 2 methods, 2 concepts, 4 "):
        assert phrase in said
    zero = [line for line in panel.get_lines() if list(line.get_ydata()) == [0, 0]]
    assert len(zero) == 1
    assert legend(figure) == [
        "MLP coefficients",
        "attention output",
        "coefficients + attention",
        "value vectors",
    ]
    assert len({handle.get_marker() for handle in figure.legends[0].get_lines()}) == 4


def test_origins_have_panels_of_their_own(tmp_path: Path) -> None:
    sweeps = study(tmp_path, origin="published")
    sweeps += [plant(tmp_path, flat(0.7), concept="new", origin="trained_here")]
    figure = draw_curves(tables_of(tmp_path, sweeps)[0], STYLE)
    assert [panel.get_title("left") for panel in figure.axes] == ["published", "trained_here"]
    assert "published: n = 2 methods, 2 concepts, 4 questions" in words(figure)
    assert "trained_here: n = 1 method, 1 concept, 2 questions" in words(figure)
    assert data_lines(figure.axes[1])[0][1] == pytest.approx([0.7] * 4)


def test_no_line_bridges_a_layer_without_a_value(tmp_path: Path) -> None:
    values = flat(0.5, layers=6)
    mean, _ = tables_of(tmp_path, [plant(tmp_path, [*values[:3], [np.inf, np.inf], *values[4:]])])
    (panel,) = draw_curves(mean, STYLE).axes
    ((layers, drawn_values),) = data_lines(panel)
    assert layers == [0, 1, 2, 3, 4, 5]
    assert [np.isnan(value) for value in drawn_values] == [False] * 3 + [True] + [False] * 2


def test_missing_sweeps_show_in_the_n(tmp_path: Path) -> None:
    overall, _ = tables_of(tmp_path, study(tmp_path)[:-1])
    assert "n = 2 methods, 1\N{EN DASH}2 concepts" in words(draw_curves(overall, STYLE))


def test_a_curve_without_any_value_is_named_and_not_drawn(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, flat(0.5)), plant(tmp_path, flat(None), experiment="value_vectors")]
    figure = draw_curves(tables_of(tmp_path, sweeps)[0], STYLE)
    assert len(data_lines(figure.axes[0])) == 1
    assert "no value (unpatched loss 0): value vectors" in words(figure)
    assert "2 questions without a value" in words(figure)


def test_values_below_the_axis_are_announced(tmp_path: Path) -> None:
    figure = draw_curves(tables_of(tmp_path, [plant(tmp_path, sloped(-7.0))])[0], STYLE)
    assert figure.axes[0].get_ylim()[0] == STYLE.krs_minimum
    assert "axis cut at −1: 3 values lie below, the lowest at −7" in words(figure)  # noqa: RUF001


# ---- curves by method -------------------------------------------------------------------------


def test_few_concepts_are_drawn_singly(tmp_path: Path) -> None:
    mean, concepts = tables_of(tmp_path, study(tmp_path, concepts=3))
    figure = draw_curves_by_method(mean, concepts, STYLE)
    assert [panel.get_title("left") for panel in figure.axes] == ["dpo", "grad_diff"]
    for panel in figure.axes:
        assert len(data_lines(panel)) == 4
        assert thin_lines(panel) == 4 * 3
        assert not panel.collections
    assert "thin lines: single concepts" in words(figure)
    assert "bands" not in words(figure)


def test_five_concepts_have_a_band_which_is_the_tables(tmp_path: Path) -> None:
    mean, concepts = tables_of(tmp_path, study(tmp_path, concepts=5))
    figure = draw_curves_by_method(mean, concepts, STYLE)
    for panel in figure.axes:
        assert len(panel.collections) == 4
        assert thin_lines(panel) == 0
        rows = mean[
            (mean["method"] == panel.get_title("left")) & (mean["experiment"] == EXPERIMENTS[0])
        ]
        heights = panel.collections[0].get_paths()[0].vertices[:, 1]
        assert heights.max() == pytest.approx(rows["high"].max())
    assert "bands: 95 % intervals" in words(figure)


def test_panels_share_their_axes(tmp_path: Path) -> None:
    mean, concepts = tables_of(tmp_path, study(tmp_path))
    left, right = draw_curves_by_method(mean, concepts, STYLE).axes
    assert left.get_ylim() == right.get_ylim()
    assert right.get_ylabel() == ""


# ---- heat map ---------------------------------------------------------------------------------


def test_heat_map_cells_are_the_concepts_means(tmp_path: Path) -> None:
    sweeps = [
        plant(tmp_path, [[0.1, 0.3], [0.5, 0.5]], concept="a"),
        plant(tmp_path, [[-5.0, -5.0], [None, None]], concept="b"),
    ]
    figure = draw_heatmap(tables_of(tmp_path, sweeps)[1], STYLE)
    panel, _bar = figure.axes
    mesh = panel.collections[0]
    shown = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(2, 2)
    np.testing.assert_allclose(shown, [[0.2, 0.5], [-5.0, np.nan]])
    assert mesh.get_clim() == (-1.0, 1.0)
    assert mesh.cmap(mesh.norm(0.0)) == pytest.approx(mesh.cmap(0.5), abs=0.01)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["A", "B"]
    assert len(panel.collections[1].get_offsets()) == 1  # the dash of what is negative
    said = words(figure)
    assert "colours cut at −1: 1 value lies below, the lowest at −5" in said  # noqa: RUF001
    assert "grey: no value" in said


def test_heat_map_has_a_panel_per_experiment_and_method(tmp_path: Path) -> None:
    figure = draw_heatmap(tables_of(tmp_path, study(tmp_path))[1], STYLE)
    titles = [panel.get_title("left") for panel in figure.axes[:-1]]
    assert titles[:4] == ["dpo\nMLP coefficients", "grad_diff\n", "attention output", ""]
    assert len(titles) == 8


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


def test_last_layer_figure_shows_means_and_single_concepts(tmp_path: Path) -> None:
    mean, concepts = tables_of(tmp_path, study(tmp_path, concepts=3))
    figure = draw_last_layer(concepts, STYLE)
    assert len(figure.axes) == 2
    for panel in figure.axes:
        rows = mean[(mean["method"] == panel.get_title("left")) & (mean["layer"] == 3)]
        expected = [rows[rows["experiment"] == name]["mean"].item() for name in EXPERIMENTS]
        diamonds = [
            value
            for line in panel.get_lines()
            if line.get_marker() == "D"
            for value in line.get_xdata()
        ]
        assert diamonds == pytest.approx(expected)
        points = sum(len(group.get_offsets()) for group in panel.collections)
        assert points == 4 * 3 * 3  # experiments x roles x concepts
    assert "n = 3 concepts per method" in words(figure)


def test_last_layer_of_suffixes_is_worded_as_such(tmp_path: Path) -> None:
    sweeps = study(tmp_path, window="suffix")
    figure = draw_last_layer(tables_of(tmp_path, sweeps)[1], STYLE)
    assert "last layer alone" in words(figure)


def test_last_layer_of_prefixes_is_worded_as_such(tmp_path: Path) -> None:
    figure = draw_last_layer(tables_of(tmp_path, study(tmp_path, window="prefix"))[1], STYLE)
    assert legend(figure) == [
        "all layers",
        "best shorter prefix (its last layer at the right)",
        "mean of all shorter prefixes",
    ]


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


@pytest.mark.parametrize("count", [5, 8])
def test_further_experiments_are_drawn_beside_the_papers(tmp_path: Path, count: int) -> None:
    sweeps = [
        plant(tmp_path, sloped(0.1 * (i + 1)), method=method, experiment=experiment)
        for i, experiment in enumerate(DENOISING[:count])
        for method in ("dpo", "grad_diff")
    ]
    figures = drawn(tmp_path, sweeps)
    labels = [style.EXPERIMENTS[name].label for name in DENOISING[:count]]
    for figure in figures[:2]:
        assert legend(figure) == labels
        assert {len(data_lines(axes)) for axes in figure.axes} == {count}
    for figure in figures[4:]:  # a panel per method and experiment, four side by side
        assert [axes.get_title("left") for axes in figure.axes] == labels * 2
        named = [axes.get_title("left") for axes in figure.axes if axes.get_xlabel()]
        assert sorted(named) == sorted(labels[-4:])
    for number, figure in enumerate(figures):
        save(figure, [tmp_path / f"{number}.png"], STYLE)


@pytest.mark.parametrize("palette", ["colorblind", "viridis"])
def test_further_experiments_leave_the_papers_lines_as_they_are(palette: str) -> None:
    chosen = Style(palette=palette)
    every = experiment_styles(chosen, DENOISING)
    assert experiment_styles(chosen, PAPER_EXPERIMENTS) == {
        name: every[name] for name in PAPER_EXPERIMENTS
    }
    assert list(every) == list(DENOISING)


def test_many_methods_find_their_place(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, sloped(0.5), method=f"m{i}") for i in range(7)]
    sweeps += [plant(tmp_path, sloped(0.3), method="m0", experiment="value_vectors")]
    mean, concepts = tables_of(tmp_path, sweeps)
    assert len(draw_last_layer(concepts, STYLE).axes) == 7
    assert len(draw_heatmap(concepts, STYLE).axes) == 7 * 2 + 1  # experiments and a colour bar
    figure = draw_curves_by_method(mean, concepts, STYLE)
    assert len(figure.axes) == 7
    assert len(data_lines(figure.axes[0])) == 2
    save(figure, [tmp_path / "many.png"], STYLE)


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


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match=r"written as \.png or \.pdf"):
        save(Figure(), [tmp_path / "figure.gif"], STYLE)
    assert not list(tmp_path.iterdir())


def test_text_is_at_least_seven_points(tmp_path: Path) -> None:
    for figure in drawn(tmp_path, study(tmp_path)):
        sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()}
        assert min(sizes) >= 7


# ---- style ------------------------------------------------------------------------------------


def test_every_experiment_of_the_config_has_a_look() -> None:
    assert tuple(style.EXPERIMENTS) == get_args(Experiment)
    for names in (DENOISING, NOISING):
        assert len({style.EXPERIMENTS[name].marker for name in names}) == len(names)


def test_windows_in_words() -> None:
    assert window_label("sliding_5") == "windows of 5 layers patched"
    assert window_label("suffix") == "each layer and all after it patched"
    assert window_label("prefix") == "each layer and all before it patched"
    assert layer_label("prefix") == "last layer patched (from 0)"
