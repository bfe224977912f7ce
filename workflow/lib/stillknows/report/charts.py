"""The still chart of one concept and method, drawn as the figures draw."""

from io import BytesIO
from typing import Any

import matplotlib as mpl
import pandas as pd

from stillknows.figures import canvas
from stillknows.figures.names import FONT_FAMILY
from stillknows.figures.style import Style

_INCHES = (3.7, 2.2)
_LARGER = 1.2  # than the figures' text, which is read on paper
# Text stays text, in any font without serifs; ids follow from the chart, not from chance.
_SVG: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "still",
    "font.family": [FONT_FAMILY, "sans-serif"],
}


def svg(scores: pd.DataFrame, lowest: float, style: Style) -> bytes:
    """A curve per experiment.

    Args:
        scores: rows of `concept_scores` of one concept, method, window, span and score.
        lowest: where the axis of scores begins, the same for all that are to be compared.
    """
    larger = style.model_copy(update={"font_scale": _LARGER * style.font_scale})
    with canvas.applied(larger), mpl.rc_context(_SVG):
        figure, ((axes,),) = canvas.new_grid(_INCHES, 1, 1)
        for name, line_style in canvas.experiment_styles(style, scores["experiment"]).items():
            curve = scores[scores["experiment"] == name]
            canvas.add_line(axes, curve, "value", **line_style)
        canvas.zero_line(axes)
        canvas.layer_ticks(axes)
        axes.set(xlabel="layer (from 0)", ylabel="score", ylim=(lowest, canvas.TOP))
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()
