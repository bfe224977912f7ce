"""Several readings of the same runs in one panel (all spans, or all scores), by method."""

from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.tables import ALL_METHODS, DONOR
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import (
    EXPERIMENTS,
    SHORT_SCORES,
    SPANS,
    Look,
    Style,
    in_order,
    layer_label,
    window_label,
)

_SPANS = {
    "notebook": Look("the notebook's span, as published", None, "o"),
    "answer": Look("the answer's span", 4, "s", (4, 1.5)),
    "fact": Look("the fact's span", 5, "^", (1, 1)),
}
_SCORES = {
    "krs": Look("KRS (logits)", None, "o"),
    "kl_recovered": Look("KL divergence", 9, "^", (4, 1.5)),
    "top1_recovered": Look("top-1 agreement", 4, "s", (1, 1)),
    "logprob_recovered": Look("log-probability of the answer", 5, "D", (3, 1, 1, 1)),
}
COLOURS = 10  # of the palette: what is compared has none of the experiments' colours
_MARKS = 5  # a marker at about so many points of a line: in a small panel, more would hide it
_FULL = 4  # panels side by side that take the whole width
_METHOD = 26  # characters of a method's name beside a panel


@canvas.styled
def draw_spans(curves: pd.DataFrame, concepts: pd.DataFrame, *, style: Style) -> Figure:
    """All spans over one another."""
    looks = {name: look for name, look in _SPANS.items() if (curves["span"] == name).any()}
    return _draw(curves, concepts, "span", looks, SHORT_SCORES[curves["score"].iloc[0]], [], style)


@canvas.styled
def draw_scores(curves: pd.DataFrame, concepts: pd.DataFrame, *, style: Style) -> Figure:
    """KRS and the other scores; one without a value under this span is left out, and named."""
    with_value = set(curves.loc[(curves["donor"] == DONOR) & curves["mean"].notna(), "score"])
    looks = {name: look for name, look in _SCORES.items() if name in with_value}
    absent = [look.label for name, look in _SCORES.items() if name not in with_value]
    phrases = [f"over {SPANS[curves['span'].iloc[0]]}"]
    if absent:
        phrases.append(f"no value over this span: {', '.join(absent)}")
    return _draw(curves, concepts, "score", looks, "recovered", phrases, style)


def _draw(
    curves: pd.DataFrame,
    concepts: pd.DataFrame,
    by: str,
    looks: Mapping[str, Look],
    scale: str,
    phrases: list[str],
    style: Style,
) -> Figure:
    """A panel per method and experiment, a line per look; `by` is the column that names it."""
    means = curves[(curves["method"] != ALL_METHODS) & (curves["donor"] == DONOR)]
    if looks:  # else the panels say that there is no value
        means = means[means[by].isin(list(looks))]
    panels = canvas.method_panels(means, concepts[concepts[by].isin(list(looks))])
    window = means["window"].iloc[0]
    layer = layer_label(window).replace(" (", ": ").rstrip(")")  # panels have room for one word
    scale_note = "1 = the original's, 0 = the unlearned model's"
    shown = [window_label(window).removesuffix(" patched"), *phrases[:1], layer, scale_note]
    total, *more = notes.counted(means)
    uncertainty = notes.uncertainty(canvas.concept_counts(panels))
    words = [*shown, *phrases[1:]], [total, *uncertainty, *more]
    styles = canvas.line_styles(looks, style, COLOURS)
    every = max(1, means["layer"].nunique() // _MARKS)
    for number, line_style in enumerate(styles.values()):
        line_style["zorder"] = 3 - 0.1 * number
        line_style["markevery"] = (number * every // len(styles), every)

    def draw_panel(axes: Axes, means: pd.DataFrame, singles: pd.DataFrame) -> None:
        canvas.layer_ticks(axes, 4)
        canvas.add_curves(axes, means, singles, by, styles)

    return method_grid(panels, draw_panel, styles, ("layer", scale), words, style)


def method_grid(
    panels: canvas.Panels,
    draw_panel: Callable[[Axes, pd.DataFrame, pd.DataFrame], None],
    styles: canvas.LineStyles,
    scales: tuple[str, str],
    words: tuple[list[str], list[str]],
    style: Style,
) -> Figure:
    """A figure with a panel per method (rows) and experiment (columns), which share their axes.

    draw_panel: adds the means of a panel, and its single concepts where they are drawn. styles: of
    what is compared in each panel. scales: the names of the axes, across and up. words: what is
    shown and of how many, as `notes.heading` takes them.
    """
    means = pd.concat([rows for rows, _ in panels.values()])
    experiments = in_order(means["experiment"])
    # More experiments than columns: a method's first ones, and below them its others.
    blocks = [experiments[start : start + _FULL] for start in range(0, len(experiments), _FULL)]
    rows = [(title, block) for title in panels for block in blocks]
    columns = len(blocks[0])
    width = style.width * max(columns, 2) / _FULL
    height = len(rows) * style.panel_height * 0.75 + 0.3 * style.font_scale
    figure, grid = canvas.new_grid((width, height), len(rows), columns, sharex=True)
    for number, (row, (title, block)) in enumerate(zip(grid, rows, strict=True)):
        row[0].set_ylabel(f"{drawn_name(title, _METHOD)}\n{scales[1]}")
        for spare in row[len(block) :]:
            spare.remove()
        for axes, experiment in zip(row, block, strict=False):
            canvas.zero_line(axes)
            curves, singles = (part[part["experiment"] == experiment] for part in panels[title])
            draw_panel(axes, curves, singles)
            if curves["mean"].isna().all():
                canvas.note(axes, "no value")
            if number == 0 or len(blocks) > 1:
                axes.set_title(EXPERIMENTS[experiment].label, loc="left")
    for column in range(columns):
        lowest = grid[-1 if column < len(blocks[-1]) else -2, column]
        lowest.tick_params(labelbottom=True)
        lowest.set_xlabel(scales[0])
    shown = canvas.values_shown(panels)
    grid[0, 0].set_ylim(canvas.lowest_shown(shown, style), canvas.highest_shown(shown, style))
    counted = [*words[1], *notes.outside(shown, style)]
    notes.heading(figure, means["model"].iloc[0], words[0], counted, style)
    # Side by side, or in a narrow figure one below the other.
    canvas.legend(figure, list(styles.values()), len(styles) if width > style.width * 0.6 else 1)
    return figure
