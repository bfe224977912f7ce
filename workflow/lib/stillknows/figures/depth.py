"""What facts lose, layer by layer, to the copy's residual stream and to the reference's."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stillknows.analysis.bootstrap import MIN_CONCEPTS, interval_of_mean, mean_curve
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


def draw_depth(depth: pd.DataFrame, style: Style, seed: int) -> Figure:
    """A panel per method (and origin): fact loss by the copy and by the reference against layer.

    Args:
        depth: rows of tables/depth.parquet of one model and form.
        seed: of the bootstrap of the intervals over concepts.
    """
    losses = depth.assign(
        copy=depth["logprob_original"] - depth["logprob_copy"],
        reference=depth["logprob_original"] - depth["logprob_reference"],
    )
    rows, line_styles = canvas.by_method(losses), canvas.line_styles(_LOOKS, style, 4)
    columns = canvas.columns_of(len(rows))
    size = (style.width if columns > 1 else style.width / 2, style.panel_height + 0.15)
    with canvas.applied(style, depth):
        figure, panels = canvas.new_panels(len(rows), size, 0.2 * style.font_scale, sharex=True)
        for number, (axes, (name, frame)) in enumerate(zip(panels, rows.items(), strict=True)):
            for donor, line_style in line_styles.items():
                _draw_donor(axes, frame, donor, line_style, seed)
            axes.axhline(0, color=canvas.GREY, linewidth=0.8, zorder=0.5)
            axes.set_title(f"{drawn_name(name)}: {_uds_and_facts(frame)}", loc="left")
            axes.set_xlabel("patched after layer (from 0)")
            axes.set_ylabel("" if number % columns else "fact loss (nats per token)")
            canvas.layer_ticks(axes)
        _title(figure, losses, rows, style)
        canvas.legend(figure, list(line_styles.values()), len(line_styles))
    return figure


def _draw_donor(
    axes: Axes, rows: pd.DataFrame, donor: str, line_style: dict[str, Any], seed: int
) -> None:
    """Mean over questions, then concepts, with its band, or with the single ones.

    Single concepts where they are too few for a band; of a single concept, its questions.
    """
    unit = "concept" if rows["concept"].nunique() > 1 else "question"
    values = rows.pivot_table(index=unit, columns="layer", values=donor, observed=True)
    layers, cube = values.columns, values.to_numpy(float)[None]
    axes.plot(layers, mean_curve(cube), **line_style)
    if unit == "concept" and len(values) >= MIN_CONCEPTS:
        low, high = interval_of_mean(cube, seed)
        band = pd.DataFrame({"layer": layers, "low": low, "high": high})
        canvas.add_band(axes, band, line_style["color"])
    elif len(values) > 1:
        thin = {"marker": "", "linewidth": canvas.SINGLE_WIDTH, "alpha": 0.6, "zorder": 1.5}
        axes.plot(layers, cube[0].T, **line_style | thin | {"label": ""})


def _uds_and_facts(rows: pd.DataFrame) -> str:
    """UDS, mean over questions, then concepts; and how many facts survive, of those tested."""
    scores = uds(rows)
    mean, facts = scores[scores["question"].isna()]["uds"].mean(), surviving_facts(scores)
    return f"UDS {mean:.2f}, {facts['survives'].sum()} of {len(facts)} facts survive"


def _title(
    figure: Figure, depth: pd.DataFrame, rows: dict[str, pd.DataFrame], style: Style
) -> None:
    """What is shown, of how many concepts and questions."""
    concepts = pd.Series([frame["concept"].nunique() for frame in rows.values()])
    questions = [len(frame[["concept", "question"]].drop_duplicates()) for frame in rows.values()]
    uncertainty = [
        notes.BANDS if concepts.max() >= MIN_CONCEPTS else "",
        "thin lines: single concepts" if 1 < concepts.max() < MIN_CONCEPTS else "",
        "thin lines: single questions" if concepts.min() == 1 and max(questions) > 1 else "",
    ]
    n = f"n = {notes.spread(concepts, 'concept')} and "
    n += notes.spread(pd.Series(questions), "question")
    form = _FORMS[str(depth["form"].iloc[0])]
    phrases = [
        "log-probability that facts lose in the original with another model's residual stream",
        notes.AVERAGED,
        *uncertainty,
        form,
        f"{n} per method",
    ]
    shown, counted = ["residual stream patched into the original", form], [n]
    counted += uncertainty
    notes.title(figure, str(depth["model"].iloc[0]), shown, counted, phrases, style)
