"""Several readings of the same runs in one panel: all spans, or all scores."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.curve_groups import ALL_METHODS, DONOR
from stillknows.figures import canvas, notes
from stillknows.figures.grid import LineStyles, method_grid
from stillknows.figures.style import SHORT_SCORES, SPANS, Look, Style, layer_label, window_label

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
_MARKS = 5  # a marker at about so many points of a line: in a small panel, more would hide it


def draw_spans(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """All spans over one another: a panel per method (rows) and experiment (columns).

    Args:
        curves: rows of tables/curves.csv of one model, window and score, of all spans; those of
            other donors are left out.
        concepts: what `concept_scores` returns, of the same selection; drawn as thin lines where a
            method has too few concepts for an interval.
    """
    looks = {name: look for name, look in _SPANS.items() if (curves["span"] == name).any()}
    return _draw(curves, concepts, "span", looks, SHORT_SCORES[curves["score"].iloc[0]], [], style)


def draw_scores(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """KRS and the other scores: a panel per method (rows) and experiment (columns).

    A score that has no value under this span is left out, and the figure says so.

    Args:
        curves: rows of tables/scores.csv of one model, window and span; those of other donors are
            left out.
        concepts: what `concept_scores` returns of the same selection and of every score.
    """
    with_value = (curves["donor"] == DONOR) & curves["mean"].notna()
    present = set(curves.loc[with_value, "score"])
    looks = {name: look for name, look in _SCORES.items() if name in present}
    absent = [look.label for name, look in _SCORES.items() if name not in present]
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
    panels = canvas.MethodPanels.of(means, concepts[concepts[by].isin(list(looks))])
    window = means["window"].iloc[0]
    layer = layer_label(window).replace(" (", ": ").rstrip(")")  # panels have room for one word
    scale_note = "1 = the original's, 0 = the unlearned model's"
    shown = [window_label(window).removesuffix(" patched"), *phrases[:1], layer, scale_note]
    total, *more = notes.counted(means)
    words = [*shown, *phrases[1:]], [total, *notes.uncertainty(panels), notes.AVERAGED, *more]

    def draw_panel(
        axes: Axes, means: pd.DataFrame, singles: pd.DataFrame | None, styles: LineStyles
    ) -> None:
        """One line per reading, with its band, or with a thin line per concept."""
        canvas.layer_ticks(axes, 4)
        for number, (name, line_style) in enumerate(styles.items()):
            curve, colour = means[means[by] == name], line_style["color"]
            every = max(1, len(curve) // _MARKS)
            marked = {"markevery": (number * every // len(styles), every)}
            canvas.add_line(axes, curve, "mean", zorder=3 - 0.1 * number, **line_style, **marked)
            canvas.add_band(axes, curve, colour)
            if singles is not None:
                canvas.add_singles(axes, singles[singles[by] == name], color=colour)

    return method_grid(panels, draw_panel, looks, ("layer", scale), words, style)
