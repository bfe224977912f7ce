"""What facts lose, layer by layer, to the copy's residual stream and to the reference's."""

import pandas as pd
from matplotlib.figure import Figure

from stillknows.analysis.depth import surviving_facts, uds
from stillknows.figures import canvas, notes
from stillknows.figures.names import drawn_name
from stillknows.figures.style import Look, Style

_LOOKS = {
    "copy": Look("from the model named above the panel", 0, "o"),
    "reference": Look("from the reference model", 3, "X", (3, 1, 1, 1)),
}
_FORMS = {
    "published": "texts and last layer as published",
    "published_fixed": "texts as published, last layer corrected",
    "corrected": "this study's own texts",
}


@canvas.styled
def draw_depth(depth: pd.DataFrame, *, style: Style, seed: int) -> Figure:
    """A panel per method (and origin): fact loss by the copy and by the reference against layer."""
    panels, styles = canvas.by_method(depth), canvas.line_styles(_LOOKS, style, 4)
    size = (style.width, style.panel_height + 0.3)
    labels = ("patched after layer (from 0)", "fact loss (nats per token)")
    figure, grid = canvas.new_panels(panels, labels, size, 0.2 * style.font_scale)
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        unit = "concept" if rows["concept"].nunique() > 1 else "question"
        for donor, line_style in styles.items():
            losses = rows.assign(loss=rows["logprob_original"] - rows[f"logprob_{donor}"])
            values = losses.pivot_table("loss", unit, "layer", observed=True)
            canvas.add_mean(axes, values, line_style, seed if unit == "concept" else None)
        axes.axhline(0, color=canvas.GREY, linewidth=0.8, zorder=0.5)
        # UDS is the mean over questions, then concepts; facts are counted of those tested.
        scores = uds(rows)
        mean, facts = scores[scores["question"].isna()]["uds"].mean(), surviving_facts(scores)
        result = f"UDS {mean:.2f}, {facts['survives'].sum()} of {len(facts)} facts survive"
        axes.set_title(f"{drawn_name(title)}\n{result}", loc="left")
        canvas.layer_ticks(axes)
    canvas.legend(figure, list(styles.values()), min(len(panels), 2))

    concepts = [rows["concept"].nunique() for rows in panels.values()]
    questions = [len(rows[["concept", "question"]].drop_duplicates()) for rows in panels.values()]
    counted = [
        f"n = {notes.spread(concepts, 'concept')} and {notes.spread(questions, 'question')}",
        *notes.uncertainty(count for count in concepts if count > 1),
        "thin lines: single questions" if min(concepts) == 1 and max(questions) > 1 else "",
    ]
    shown = ["residual stream patched into the original", _FORMS[str(depth["form"].iloc[0])]]
    notes.heading(figure, str(depth["model"].iloc[0]), shown, counted, style)
    return figure
