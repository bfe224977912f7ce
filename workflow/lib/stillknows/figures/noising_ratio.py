"""Noising ratio against layer: how far the copy's components take the original from its logits."""

import pandas as pd
from matplotlib.figure import Figure

from stillknows.analysis.curve_groups import ALL_METHODS
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import SPANS, Style, layer_label, window_label
from stillknows.terms import NOISING_RATIO, REFERENCE


def draw_noising_ratio(curves: pd.DataFrame, concepts: pd.DataFrame, style: Style) -> Figure:
    """A panel per method: means over concepts, with a band, or with the single concepts.

    Args:
        curves: rows of tables/curves.csv of one model, window and span; other scores are left out.
        concepts: what `concept_scores` returns, of the same selection; drawn as thin lines where a
            method has too few concepts for an interval.
    """
    curves = curves[curves["score"] == NOISING_RATIO]
    each = curves[curves["method"] != ALL_METHODS]
    panels = canvas.MethodPanels.of(each, concepts[concepts["score"] == NOISING_RATIO])
    references = each[each["origin"] == REFERENCE]
    columns = canvas.columns_of(len(panels.rows))
    size = (style.width if columns > 1 else style.width / 2, style.panel_height + 0.15)
    window = str(curves["window"].iloc[0])
    with canvas.applied(style, curves):
        figure, axes = canvas.new_panels(len(panels.rows), size, 0.2 * style.font_scale)
        for number, (panel, (name, rows)) in enumerate(zip(axes, panels.rows.items(), strict=True)):
            canvas.add_curves(panel, rows, panels.singles.get(name), style, "no value")
            canvas.add_reference(panel, rows, references, style)
            canvas.zero_line(panel)
            canvas.layer_ticks(panel)
            panel.set_title(drawn_name(name), loc="left")
            panel.set_xlabel(layer_label(window))
            panel.set_ylabel("" if number % columns else "noising ratio")
        span, uncertainty = str(curves["span"].iloc[0]), notes.uncertainty(panels)
        scale = "1 = as far from the original's logits as the unlearned model, 0 = no change"
        phrases = [
            window_label(window).replace("patched", "of the unlearned model in the original"),
            f"loss over {SPANS[span]}",
            scale,
            notes.AVERAGED,
            *uncertainty,
            *notes.counted(curves),
        ]
        heading = notes.setting(window, span, scale)
        counted = [*notes.counted(curves), *uncertainty]
        notes.title(figure, str(curves["model"].iloc[0]), heading, counted, phrases, style)
        entries = [*canvas.experiment_styles(style, each["experiment"]).values()]
        entries += [canvas.REFERENCE_LINE] if len(references) else []
        canvas.legend(figure, entries, 4 if columns > 1 else 2)
    return figure
