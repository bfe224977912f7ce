"""Names in figures: one line, glyphs that exist, no formula, not too long."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from dissect.figures import names
from dissect.figures.behaviour import draw_behaviour
from dissect.figures.canvas import save
from dissect.figures.heatmap import draw_heatmap
from dissect.figures.names import concept_labels, drawn_name, font_families, shortened
from dissect.figures.style import Style

TEA = "\N{CJK UNIFIED IDEOGRAPH-8336}"  # no font that comes with matplotlib has it
STYLE = Style()


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the figures' own font only."""
    monkeypatch.setattr(names, "_installed", lambda: ())


@pytest.fixture
def tea_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A machine with one more font, which has TEA, installed after matplotlib listed the fonts."""
    path = tmp_path / "tea.ttf"
    write_font(path, "Planted Tea", TEA)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path)])
    listed = list(font_manager.fontManager.ttflist)
    names._installed.cache_clear()
    yield "Planted Tea"
    font_manager.fontManager.ttflist[:] = listed
    names._installed.cache_clear()


def write_font(path: Path, family: str, characters: str) -> None:
    """A font in which each of the characters is a square."""
    pen = TTGlyphPen(None)
    for step, point in enumerate([(0, 0), (0, 700), (700, 700), (700, 0)]):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    glyphs = [".notdef", *(f"u{ord(one):04X}" for one in characters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap({ord(one): f"u{ord(one):04X}" for one in characters})
    font.setupGlyf(dict.fromkeys(glyphs, square))
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (800, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


def concepts(**named: str) -> pd.DataFrame:
    """Rows as `concept_scores` returns them: id=name."""
    rows = [
        {
            "model": "tiny",
            "origin": "own",
            "method": "dpo",
            "concept": concept,
            "concept_name": name,
            "experiment": "attention",
            "window": "sliding_1",
            "span": "notebook",
            "score": "krs",
            "donor": "original",
            "layer": layer,
            "value": 0.5,
            "questions": 1,
        }
        for concept, name in named.items()
        for layer in range(2)
    ]
    return pd.DataFrame(rows)


def saved(figure: Figure, folder: Path) -> str:
    """Write the figure as it is written, with no glyph missing; its words."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, [folder / "figure.png", folder / "figure.pdf"], STYLE)
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_concepts_of_one_name_are_told_apart() -> None:
    frame = concepts(**{"27": "Harry Potter", "77": "Harry Potter", "x": "A$AP"})
    assert concept_labels(frame) == {
        "x": r"A\$AP",
        "27": "Harry Potter (27)",
        "77": "Harry Potter (77)",
    }


def test_a_line_break_is_a_space() -> None:
    frame = concepts(a="Harry\nPotter", b="\tStar\u2028Wars\x00", c="\n")
    assert list(concept_labels(frame).values()) == ["c", "Harry Potter", "Star Wars"]


def test_long_names_are_cut_by_their_width() -> None:
    assert shortened("x" * 30) == "x" * 30
    assert shortened("x" * 31) == "x" * 29 + "…"
    assert shortened(TEA * 15) == TEA * 15
    assert shortened(TEA * 16) == TEA * 14 + "…"


def test_another_font_draws_what_the_figures_own_lacks(tea_font: str, tmp_path: Path) -> None:
    frame = concepts(tea=f"Tea {TEA}")
    assert font_families(frame) == [names.FONT_FAMILY, tea_font]
    assert f"Tea {TEA}" in saved(draw_heatmap(frame, STYLE), tmp_path)


def test_names_that_the_figures_own_font_has_need_no_other(tea_font: str) -> None:
    assert font_families(concepts(a="Caf\u00e9 $x_1$", b="\u041c\u0438\u0440")) == [
        names.FONT_FAMILY
    ]


@pytest.mark.usefixtures("no_fonts")
def test_without_a_font_the_id_stands_for_the_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = saved(draw_heatmap(concepts(tea=TEA, **{TEA: f"{TEA}{TEA}"}), STYLE), tmp_path)
    assert "tea" in text and TEA not in text
    assert "concept 2" in text  # its id cannot be drawn either
    (message,) = caplog.messages
    assert message.startswith(f"no installed font has the characters {TEA} (U+8336) of a name")
    assert "fonts-noto-cjk" in message


@pytest.mark.usefixtures("no_fonts")
def test_other_names_without_a_font_are_escaped() -> None:
    assert drawn_name(f"npo {TEA}") == r"npo \u8336"


def test_names_are_no_formulas_and_none_is_left_out(tmp_path: Path) -> None:
    names_of_methods = ["_a$b_c$", "$x^2$"]
    rows = [
        {
            "model": "$m_1$",
            "origin": "own",
            "method": method,
            "concept": "tea",
            "concept_name": "Tea",
            "set": "target",
            "experiment": "",
            "questions": 2,
            "bleu": 0.4,
            "rouge_l": 0.5,
        }
        for method in names_of_methods
    ]
    figure = draw_behaviour(pd.DataFrame(rows), 0, STYLE)
    saved(figure, tmp_path)
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [name.replace("$", r"\$") for name in sorted(names_of_methods)]
    formula = [text for text in figure.findobj(Text) if text._preprocess_math(text.get_text())[1]]
    assert formula == []
