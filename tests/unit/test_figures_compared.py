"""Figures that lay spans, scores and widths over one another: their lines are the tables'."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.analysis.collect import collect_sweeps
from dissect.analysis.scores import EVERY_SCORE, OTHERS
from dissect.analysis.statistics import statistics
from dissect.analysis.tables import concept_scores, curves
from dissect.figures import compared, widths
from dissect.figures.compared import draw_scores, draw_spans
from dissect.figures.style import Style
from dissect.figures.widths import draw_widths, single_concepts
from planted import EXPERIMENTS, Values, flat, plant
from planted_figures import legend, study, thin_lines, words

STYLE = Style()
WINDOWS = ["sliding_5", "prefix", "suffix", "sliding_1"]


def collected(root: Path, sweeps: Sequence[Path]) -> Path:
    collect_sweeps(sweeps, root / "krs.parquet")
    return root / "krs.parquet"


def scores_figure(root: Path, sweeps: Sequence[Path]) -> tuple[Figure, pd.DataFrame]:
    concepts = concept_scores(collected(root, sweeps), EVERY_SCORE)
    found = curves(concepts)
    return draw_scores(found, concepts, STYLE), found


def widths_figure(root: Path, sweeps: Sequence[Path]) -> tuple[Figure, pd.DataFrame]:
    concepts = concept_scores(collected(root, sweeps), "krs")
    found = statistics(concepts)
    return draw_widths(found, concepts, STYLE), found


def lines(axes: Axes, marker: str) -> list[list[float]]:
    """The heights of the lines with such a marker."""
    found = [line for line in axes.get_lines() if line.get_marker() == marker]
    return [list(line.get_ydata()) for line in found if len(line.get_ydata())]


# ---- spans ------------------------------------------------------------------------------------


def spans_figure(root: Path, sweeps: Sequence[Path]) -> tuple[Figure, pd.DataFrame]:
    """Both spans, of which the answer's gives 0.1 less in everything."""
    concepts = concept_scores(collected(root, sweeps), "krs")
    concepts.loc[concepts["span"] == "answer", "value"] -= 0.1
    found = curves(concepts)
    return draw_spans(found, concepts, STYLE), found


BOTH = {"span": ["notebook", "answer"]}


def test_both_spans_are_in_each_panel(tmp_path: Path) -> None:
    figure, found = spans_figure(tmp_path, study(tmp_path, layers=6, **BOTH))
    assert len(figure.axes) == 2 * 4
    first = figure.axes[0]
    for span, marker in (("notebook", "o"), ("answer", "s")):
        here = found[(found["span"] == span) & (found["method"] == "dpo")]
        here = here[here["experiment"] == EXPERIMENTS[0]].sort_values("layer")
        assert lines(first, marker) == [here["mean"].tolist()]
    assert lines(first, "o")[0][5] - lines(first, "s")[0][5] == pytest.approx(0.1)
    assert legend(figure) == ["the notebook's span, as published", "the answer's span"]
    assert [panel.get_title("left") for panel in figure.axes[:4]] == [
        "MLP coefficients",
        "attention output",
        "coefficients + attention",
        "value vectors",
    ]
    labels = [figure.axes[number].get_ylabel() for number in (0, 4)]
    assert labels == ["dpo\nKRS", "grad_diff\nKRS"]


def test_few_concepts_are_thin_lines_and_five_are_a_band(tmp_path: Path) -> None:
    figure, _ = spans_figure(tmp_path, study(tmp_path, concepts=3, layers=6, **BOTH))
    assert {thin_lines(panel) for panel in figure.axes} == {2 * 3}
    assert not any(panel.collections for panel in figure.axes)
    assert "thin lines: single concepts" in words(figure) and "bands" not in words(figure)
    figure, found = spans_figure(tmp_path, study(tmp_path, concepts=5, layers=6, **BOTH))
    assert {thin_lines(panel) for panel in figure.axes} == {0}
    assert {len(panel.collections) for panel in figure.axes} == {2}
    here = found[(found["span"] == "answer") & (found["method"] == "dpo")]
    here = here[here["experiment"] == EXPERIMENTS[0]]
    heights = figure.axes[0].collections[1].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(here["high"].max())
    assert "n = 2 methods, 5 concepts, 10 questions each; bands: 95 % intervals" in words(figure)


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


def test_a_score_without_a_value_is_named_and_not_drawn(tmp_path: Path) -> None:
    others = planted_scores(0.3, 0.6, 0.9)
    del others["logprob_recovered"]
    figure, _ = scores_figure(tmp_path, study(tmp_path, layers=6, others=others))
    assert len(legend(figure)) == 3
    assert not any(lines(panel, "D") for panel in figure.axes)
    assert "no value over this span: log-probability of the answer" in words(figure)


def test_what_lies_above_the_original_is_shown_and_cut_only_far_above(tmp_path: Path) -> None:
    figure, _ = scores_figure(
        tmp_path, study(tmp_path, layers=6, others=planted_scores(0.3, 0.6, 1.4))
    )
    assert figure.axes[0].get_ylim()[1] == pytest.approx(1.44)
    assert "above the axis" not in words(figure)
    figure, _ = scores_figure(
        tmp_path, study(tmp_path, layers=6, others=planted_scores(0.3, 0.6, 7.0))
    )
    assert figure.axes[0].get_ylim()[1] == 1 - STYLE.krs_minimum
    assert "above the axis, the highest at 7" in words(figure)


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
        sliding, prefix, suffix = lines(first, marker)
        assert sliding == [number[statistic, "sliding_1"], number[statistic, "sliding_5"]]
        if statistic in ("peak", "final_window"):
            assert suffix == [number[statistic, "suffix"]]
        else:
            assert np.isnan(suffix).all()  # every suffix covers the last layer
        assert prefix == [number[statistic, "prefix"]]
    labels = [label.get_text() for label in figure.axes[4].get_xticklabels()]
    assert labels == ["1", "5", "suffix", "prefix"]
    assert "prefix: each layer and all before it" in words(figure)


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


def test_single_concepts_average_to_what_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sweeps = [
        plant(tmp_path, rng.normal(0.4, 0.3, (6, 2)).tolist(), concept=f"c{c}", window=WINDOWS)
        for c in range(4)
    ]
    concepts = concept_scores(collected(tmp_path, sweeps), "krs")
    each = single_concepts(concepts).groupby(["window", "statistic"])["value"].mean()
    found = statistics(concepts)
    found = found[found["method"] == "dpo"].set_index(["window", "statistic"])["value"]
    assert len(each) == 4 + 3 + 4
    for keys, value in each.items():
        assert value == pytest.approx(found[keys])


def test_intervals_are_bars_from_five_concepts_on(tmp_path: Path) -> None:
    figure, found = widths_figure(tmp_path, study(tmp_path, concepts=6, layers=6, window=WINDOWS))
    here = found[(found["method"] == "dpo") & (found["experiment"] == EXPERIMENTS[0])]
    peaks = here[here["statistic"] == "peak"].set_index("window")
    bars = figure.axes[0].collections[0].get_segments()
    assert [tuple(bar[:, 1]) for bar in bars] == [
        tuple(peaks.loc[window, ["low", "high"]]) for window in ("sliding_1", "sliding_5")
    ]
    assert "n = 2 methods, 6 concepts; bars: 95 % intervals" in words(figure)


# ---- what may come ----------------------------------------------------------------------------


def test_colours_are_none_of_the_experiments() -> None:
    readings = [*compared._SPANS.values(), *compared._SCORES.values(), *widths.READINGS.values()]
    assert {reading.colour for reading in readings} <= {None, 4, 5, 9}


def test_origins_have_rows_of_their_own(tmp_path: Path) -> None:
    sweeps = study(tmp_path, layers=6, origin="published", **BOTH)
    sweeps += [plant(tmp_path, flat(0.7, 6), concept="new", origin="trained_here", **BOTH)]
    figure, _ = spans_figure(tmp_path, sweeps)
    assert len(figure.axes) == 3 * 4
    assert figure.axes[4].get_ylabel() == "dpo, trained_here\nKRS"
    assert [text.get_text() for text in figure.axes[5].texts] == []
    assert [text.get_text() for text in figure.axes[4].texts] == ["no value"]
