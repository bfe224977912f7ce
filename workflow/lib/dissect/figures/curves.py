"""KRS against layer: the paper's figure, and the same per method with intervals."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.figures import canvas
from dissect.figures.names import drawn_name
from dissect.figures.style import (
    CONTROLS,
    SCORES,
    Style,
    in_order,
    label_of,
    layer_label,
    looks_of,
    signed,
)
from dissect.results.bootstrap import MIN_CONCEPTS
from dissect.results.curve_groups import ALL_METHODS, DONOR


def draw_curves(curves: pd.DataFrame, style: Style) -> Figure:
    """The paper's figure: a curve per experiment, mean over questions, concepts, then methods.

    Args:
        curves: rows of tables/curves.csv of one model, window, span and score. Origins are not
            pooled: each has a panel. Rows of other donors are drawn as control baselines.
    """
    curves, baselines = _split(curves)
    overall = curves[curves["method"] == ALL_METHODS]
    panels = {str(origin): frame for origin, frame in overall.groupby("origin", sort=True)}
    if len(panels) == 1:
        panels = {"": overall}
    with canvas.applied(style, curves):
        figure, axes = _new_figure(len(panels), style)
        for panel, frame in zip(axes, panels.values(), strict=True):
            _mean_curves(panel, frame, style)
            _draw_baselines(panel, _of_panel(baselines, frame), style)
        _label(axes, panels, overall["mean"], style)
        averaged = ["mean over questions, then concepts, then methods"]
        baselines = baselines[baselines["method"] == ALL_METHODS]
        _finish(figure, curves, averaged, overall["mean"], style, baselines)
    return figure


def draw_curves_by_method(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """A panel per method: means over concepts, with a band, or with the single concepts.

    Args:
        curves: as for `draw_curves`.
        concepts: what `concept_scores` returns, of the same selection and score; drawn as thin
            lines where a method has too few concepts for an interval.
    """
    curves, baselines = _split(curves)
    each = curves[curves["method"] != ALL_METHODS]
    panels = canvas.by_method(each)
    singles = canvas.by_method(canvas.plain(concepts))
    few = [name for name, frame in panels.items() if frame["concepts"].max() < MIN_CONCEPTS]
    shown = pd.concat([each["mean"], each["low"], *(singles[name]["value"] for name in few)])
    with canvas.applied(style, curves):
        figure, axes = _new_figure(len(panels), style)
        for panel, (name, frame) in zip(axes, panels.items(), strict=True):
            _mean_curves(panel, frame, style)
            if name in few:
                _single_concepts(panel, singles[name], style)
            else:
                _bands(panel, frame, style)
            _draw_baselines(panel, _of_panel(baselines, frame), style)
        _label(axes, panels, shown, style)
        averaged = ["mean over questions, then concepts"]
        if few:
            averaged.append("thin lines: single concepts")
        if len(few) < len(panels):
            averaged.append("bands: 95 % bootstrap intervals over concepts")
        _finish(figure, each, averaged, shown, style, baselines[baselines["method"] != ALL_METHODS])
    return figure


def _new_figure(panels: int, style: Style) -> tuple[Figure, list[Axes]]:
    """So many panels, on shared axes."""
    columns = canvas.columns_of(panels)
    rows = -(-panels // columns)
    width = style.width if columns > 1 else style.width / 2
    legend = (0.2 if columns > 1 else 0.35) * style.font_scale
    size = (width, rows * (style.panel_height + 0.15) + legend)
    figure, grid = canvas.new_figure(size, rows, columns, sharex=True, sharey=True)
    axes = list(grid.flat)
    for spare in axes[panels:]:
        spare.remove()
    return figure, axes[:panels]


def _label(
    axes: list[Axes], panels: dict[str, pd.DataFrame], shown: "pd.Series[float]", style: Style
) -> None:
    """Titles, and labels at the left of each row and under each column."""
    columns = canvas.columns_of(len(panels))
    for number, (panel, (name, frame)) in enumerate(zip(axes, panels.items(), strict=True)):
        first, lowest = frame.iloc[0], number + columns >= len(axes)
        canvas.zero_line(panel)
        canvas.layer_ticks(panel)
        panel.tick_params(labelbottom=lowest)
        panel.set_title(drawn_name(name), loc="left")
        panel.set_xlabel(layer_label(first["window"]))
        panel.xaxis.label.set_visible(lowest)
        panel.set_ylabel(
            "" if number % columns else SCORES.get(first["score"], [first["score"]])[0]
        )
        panel.set_ylim(canvas.score_floor(shown, style), canvas.TOP)


def _mean_curves(axes: Axes, frame: pd.DataFrame, style: Style) -> None:
    """One line per experiment and unbroken run, with markers."""
    _, markers, _ = looks_of(frame["experiment"])
    rows = canvas.runs(frame, ["experiment"], "mean")
    _lines(axes, rows, "mean", style, markers=markers, markeredgewidth=0.3)
    empty = frame.groupby("experiment")["mean"].count() == 0
    canvas.no_value(axes, [label_of(name) for name in in_order(empty.index[empty])])


def _split(curves: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The original's rows, and those of the controls."""
    is_original = curves["donor"] == DONOR
    return curves[is_original], curves[~is_original]


def _of_panel(baselines: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The controls of a panel's curves."""
    keys = ["method", "origin"]
    return baselines.merge(frame[keys].drop_duplicates(), on=keys)


def _draw_baselines(axes: Axes, baselines: pd.DataFrame, style: Style) -> None:
    """A thin grey line per donor and experiment through the layers where it is known.

    The dashes say which donor, the small markers which experiment.
    """
    _, markers, _ = looks_of(baselines["experiment"])
    palette = canvas.colours(baselines["experiment"], style)
    finite = baselines[baselines["mean"].notna()]
    for key, points in finite.groupby(["donor", "experiment"], sort=False):
        donor, experiment = map(str, key)
        line = points.sort_values("layer")
        axes.plot(
            line["layer"],
            line["mean"],
            color=canvas.GREY,
            linewidth=canvas.FLOOR_WIDTH,
            dashes=CONTROLS[donor][2],
            marker=markers[experiment],
            markersize=2.2,
            markerfacecolor=palette[experiment],
            markeredgewidth=0,
            zorder=1.7,
        )


def _single_concepts(axes: Axes, concepts: pd.DataFrame, style: Style) -> None:
    """One thin line per experiment, concept and unbroken run."""
    rows = canvas.runs(concepts, ["experiment", "concept"], "value")
    _lines(axes, rows, "value", style, linewidth=0.5, alpha=0.6, zorder=1.5)


def _lines(axes: Axes, rows: pd.DataFrame, value: str, style: Style, **more: Any) -> None:
    if rows.empty:
        return
    experiments = in_order(rows["experiment"])
    _, _, dashes = looks_of(experiments)
    sns.lineplot(
        rows,
        x="layer",
        y=value,
        hue="experiment",
        style="experiment",
        hue_order=experiments,
        style_order=experiments,
        palette=canvas.colours(experiments, style),
        dashes=dashes,
        units="run",
        estimator=None,
        legend=False,
        ax=axes,
        **more,
    )


def _bands(axes: Axes, frame: pd.DataFrame, style: Style) -> None:
    palette = canvas.colours(frame["experiment"], style)
    for experiment in in_order(frame["experiment"]):
        curve = frame[frame["experiment"] == experiment].sort_values("layer")
        axes.fill_between(
            curve["layer"],
            curve["low"],
            curve["high"],
            color=palette[experiment],
            alpha=0.2,
            linewidth=0,
        )


def _finish(
    figure: Figure,
    curves: pd.DataFrame,
    averaged: list[str],
    shown: "pd.Series[float]",
    style: Style,
    baselines: pd.DataFrame,
) -> None:
    """What is shown, averaged over how many, and one legend."""
    first = curves.iloc[0]
    end = canvas.score_floor(shown, style)
    phrases = [
        *canvas.setting(first["window"], first["span"]),
        *averaged,
        *canvas.counted(curves),
        canvas.cut_note(shown, style),
        *_baseline_notes(baselines, end),
    ]
    canvas.title(figure, first["model"], phrases, style)
    columns = 4 if figure.get_figwidth() > style.width / 2 else 2
    seen = [donor for donor, values in _by_donor(baselines).items() if (values >= end).any()]
    canvas.legend_below(figure, in_order(curves["experiment"]), style, columns, seen)


def _baseline_notes(baselines: pd.DataFrame, end: float) -> list[str]:
    """Words on each control: the most that it gives back anywhere, wherever the axis ends."""
    notes = []
    for donor, values in _by_donor(baselines).items():
        hidden = "" if (values >= end).any() else ", below the axis"
        highest = signed(round(values.max(), 2))
        notes.append(f"floor with {CONTROLS[donor][0]}: at most {highest}{hidden}")
    return notes


def _by_donor(baselines: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """Donor -> its values, in the order of the legend."""
    means = {
        donor: baselines.loc[baselines["donor"] == donor, "mean"].dropna() for donor in CONTROLS
    }
    return {donor: values for donor, values in means.items() if len(values)}
