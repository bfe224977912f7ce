"""Names in figures: one line, glyphs that exist, no formula, not too long."""

import warnings
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from planted_answers import planted_behaviour
from stillknows.figures.behaviour import draw_behaviour
from stillknows.figures.canvas import save
from stillknows.figures.names import concept_labels
from stillknows.figures.style import Style

STYLE = Style()


def saved(figure: Figure, folder: Path) -> str:
    """Write the figure as it is written, with no glyph missing; its words."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, [folder / "figure.png", folder / "figure.pdf"], STYLE)
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_concepts_of_one_name_are_told_apart() -> None:
    names = [("27", "Harry Potter"), ("77", "Harry Potter"), ("x", "A$AP")]
    frame = pd.DataFrame(names, columns=["concept", "concept_name"]).assign(model="tiny")
    assert concept_labels(frame) == {
        "x": r"A\$AP",
        "27": "Harry Potter (27)",
        "77": "Harry Potter (77)",
    }


def test_names_are_no_formulas_and_none_is_left_out(tmp_path: Path) -> None:
    names_of_methods = ["_a$b_c$", "$x^2$"]
    rows = [planted_behaviour(0.5, model="$m_1$", method=name) for name in names_of_methods]
    figure = draw_behaviour(pd.DataFrame(rows), style=STYLE, seed=0)
    saved(figure, tmp_path)
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [name.replace("$", r"\$") for name in sorted(names_of_methods)]
    formula = [text for text in figure.findobj(Text) if text._preprocess_math(text.get_text())[1]]
    assert formula == []
