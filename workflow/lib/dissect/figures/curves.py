"""KRS against layer: the paper's figure, and the same per method with intervals."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissect.figures import canvas
from dissect.figures.style import SCORES, Style, in_order, label_of, layer_label, literal, looks_of
from dissect.results.tables import ALL_METHODS, MIN_CONCEPTS


def draw_curves(curves: pd.DataFrame, style: Style) -> Figure:
    """The paper's figure: a curve per experiment, mean over questions, concepts, then methods.

    Args:
        curves: rows of tables/curves.csv of one model, window, span, donor and score. Origins are
            not pooled: each has a panel.
    """
    overall = curves[curves["method"] == ALL_METHODS]
    panels = {str(origin): frame for origin, frame in overall.groupby("origin", sort=True)}
    if len(panels) == 1:
        panels = {"": overall}
    with canvas.applied(style):
        figure, _ = _sheet(panels, overall["mean"], style)
        averaged = ["mean over questions, then concepts, then methods"]
        _finish(figure, curves, averaged, overall["mean"], style)
    return figure


def draw_curves_by_method(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """A panel per method: means over concepts, with a band, or with the single concepts.

    Args:
        curves: as for `draw_curves`.
        concepts: what `concept_scores` returns, of the same selection and score; drawn as thin
            lines where a method has too few concepts for an interval.
    """
    each = curves[curves["method"] != ALL_METHODS]
    panels = canvas.by_method(each)
    singles = canvas.by_method(canvas.plain(concepts))
    few = [name for name, frame in panels.items() if frame["concepts"].max() < MIN_CONCEPTS]
    shown = pd.concat([each["mean"], each["low"], *(singles[name]["value"] for name in few)])
    with canvas.applied(style):
        figure, axes = _sheet(panels, shown, style)
        for panel, (name, frame) in zip(axes, panels.items(), strict=True):
            if name in few:
                _single_concepts(panel, singles[name], style)
            else:
                _bands(panel, frame, style)
        averaged = ["mean over questions, then concepts"]
        if few:
            averaged.append("thin lines: single concepts")
        if len(few) < len(panels):
            averaged.append("bands: 95 % bootstrap intervals over concepts")
        _finish(figure, each, averaged, shown, style)
    return figure


def _sheet(
    panels: dict[str, pd.DataFrame], shown: "pd.Series[float]", style: Style
) -> tuple[Figure, list[Axes]]:
    """A panel of mean curves for each frame, on shared axes."""
    columns = min(len(panels), 2 if len(panels) == 4 else 3)
    rows = -(-len(panels) // columns)
    width = style.width if columns > 1 else style.width / 2
    legend = (0.2 if columns > 1 else 0.35) * style.font_scale
    size = (width, rows * (style.panel_height + 0.15) + legend)
    figure, grid = canvas.sheet(size, rows, columns, sharex=True, sharey=True)
    axes = list(grid.flat)
    for spare in axes[len(panels) :]:
        spare.remove()
    for place, (name, frame) in enumerate(panels.items()):
        panel, first = axes[place], frame.iloc[0]
        _mean_curves(panel, frame, style)
        canvas.zero_line(panel)
        canvas.layer_ticks(panel)
        last_of_column = place + columns >= len(panels)
        panel.tick_params(labelbottom=last_of_column)
        panel.set_title(literal(name), loc="left")
        panel.set_xlabel(layer_label(first["window"]) if last_of_column else "")
        panel.set_ylabel("" if place % columns else SCORES.get(first["score"], [first["score"]])[0])
        panel.set_ylim(canvas.score_floor(shown, style), canvas.TOP)
    return figure, axes[: len(panels)]


def _mean_curves(axes: Axes, frame: pd.DataFrame, style: Style) -> None:
    experiments = in_order(frame["experiment"])
    _, markers, dashes = looks_of(experiments)
    sns.lineplot(
        canvas.runs(frame, ["experiment"], "mean"),
        x="layer",
        y="mean",
        hue="experiment",
        style="experiment",
        hue_order=experiments,
        style_order=experiments,
        palette=canvas.colours(experiments, style),
        markers=markers,
        dashes=dashes,
        units="run",
        estimator=None,
        markeredgewidth=0.3,
        legend=False,
        ax=axes,
    )
    empty = frame.groupby("experiment")["mean"].count() == 0
    canvas.no_value(axes, [label_of(name) for name in in_order(empty.index[empty])])


def _single_concepts(axes: Axes, concepts: pd.DataFrame, style: Style) -> None:
    experiments = in_order(concepts["experiment"])
    _, _, dashes = looks_of(experiments)
    sns.lineplot(
        canvas.runs(concepts, ["experiment", "concept"], "value"),
        x="layer",
        y="value",
        hue="experiment",
        style="experiment",
        hue_order=experiments,
        style_order=experiments,
        palette=canvas.colours(experiments, style),
        dashes=dashes,
        units="run",
        estimator=None,
        linewidth=0.5,
        alpha=0.6,
        legend=False,
        zorder=1.5,
        ax=axes,
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
) -> None:
    """What is shown, averaged over how many, and one legend."""
    first = curves.iloc[0]
    phrases = [
        *canvas.setting(first["window"], first["span"], first["score"]),
        *averaged,
        canvas.counted(curves),
        canvas.cut_note(shown, style),
    ]
    canvas.title(figure, first["model"], phrases, style)
    columns = 4 if figure.get_figwidth() > style.width / 2 else 2
    canvas.legend_below(figure, in_order(curves["experiment"]), style, columns)
