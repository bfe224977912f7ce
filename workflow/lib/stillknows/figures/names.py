"""Names of concepts, methods and models as figures draw them: on one line, in glyphs that exist."""

import logging
import unicodedata
from bisect import bisect_right
from contextlib import suppress
from functools import cache
from itertools import accumulate

import pandas as pd
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FONT_FAMILY = "DejaVu Sans"  # comes with matplotlib: the same on every machine
# Fonts without pictures of their characters: boxes, or nothing.
_PLACEHOLDERS = ("Last Resort", "Adobe Blank")

log = logging.getLogger("stillknows")


def font_families(frame: pd.DataFrame) -> list[str]:
    """FONT_FAMILY, and others for what it lacks of a table's names; warns of what none has."""
    columns = [
        name for name in ("model", "method", "concept", "concept_name", "fact") if name in frame
    ]
    names = {str(name) for column in columns for name in frame[column].unique()}
    missing = set(one_line(" ".join(names))) - _glyphs(FONT_FAMILY)
    # matplotlib takes each character from the first font that has it: those come first that have
    # most of them; of equals, those without serifs.
    others = [name for name in (_installed() if missing else ()) if missing & _glyphs(name)]
    others.sort(key=lambda name: (-len(missing & _glyphs(name)), "Sans" not in name, name))
    undrawn = sorted(missing.difference(*map(_glyphs, others)))
    if undrawn:
        shown = ", ".join(f"{character} (U+{ord(character):04X})" for character in undrawn[:5])
        log.warning(
            "no installed font has the characters %s%s of a name: the figure shows the concept's "
            "id, or escapes, instead; install a font that has them (Debian: fonts-noto-core; for "
            "Chinese, Japanese and Korean fonts-noto-cjk), delete the figure and run again",
            shown,
            ", ..." if len(undrawn) > 5 else "",
        )
    return [FONT_FAMILY, *others]


def drawn_name(text: str, length: int = 40) -> str:
    """A name as matplotlib draws it, at most `length` columns wide."""
    return literal(shortened(one_line(text), length))


def literal(text: str) -> str:
    """Text that matplotlib draws as it is; a character that no font has becomes its escape."""
    for character in _missing(text):
        text = text.replace(character, character.encode("ascii", "backslashreplace").decode())
    return text.replace("$", r"\$")  # a dollar sign would begin a formula


def one_line(text: str) -> str:
    """Text whose line breaks and other control characters are spaces."""
    kinds = ("Cc", "Cs", "Zl", "Zp")
    spaced = (" " if unicodedata.category(letter) in kinds else letter for letter in text)
    return " ".join("".join(spaced).split())


def shortened(text: str, length: int = 30) -> str:
    """Text of at most so many columns, marked where it was cut; East Asian characters take two."""
    ends = list(accumulate(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text))
    if not ends or ends[-1] <= length:
        return text
    return text[: bisect_right(ends, length - 1)].rstrip() + "…"


def concept_labels(concepts: pd.DataFrame) -> dict[str, str]:
    """Concept id -> its label, in the order of the labels.

    The label is the concept's name; the id follows where names repeat, and stands alone where no
    font can draw the name; "concept 1" stands for an id that no font can draw either.
    """
    pairs = concepts[["concept", "concept_name"]].drop_duplicates("concept").astype(str)
    pairs = pairs.sort_values("concept", ignore_index=True)
    numbered = "concept " + (pairs.index + 1).astype(str)
    ids = pairs["concept"].mask(pairs["concept"].map(_missing).astype(bool), numbered)
    names = pairs["concept_name"].map(lambda name: shortened(one_line(name)))
    labels = names.mask((names == "") | names.map(_missing).astype(bool), ids)
    pairs["label"] = labels.mask(labels.duplicated(keep=False), labels + " (" + ids + ")")
    pairs = pairs.sort_values(["label", "concept"], key=lambda column: column.str.lower())
    return dict(zip(pairs["concept"], map(literal, pairs["label"]), strict=True))


def _missing(text: str) -> set[str]:
    missing = set(text) - _glyphs(FONT_FAMILY) - {"\n"}
    return missing.difference(*map(_glyphs, _installed())) if missing else missing


@cache
def _installed() -> tuple[str, ...]:
    """The installed families, also of fonts that are newer than matplotlib's own list of them."""
    manager = font_manager.fontManager
    listed = {entry.fname for entry in manager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - listed):
        with suppress(Exception):  # as matplotlib does: a font that it cannot read is none
            manager.addfont(path)
    names = {entry.name for entry in manager.ttflist}
    return tuple(sorted(name for name in names if not name.startswith(_PLACEHOLDERS)))


@cache
def _glyphs(family: str) -> frozenset[str]:
    fonts = font_manager.fontManager.ttflist
    path = next(entry.fname for entry in fonts if entry.name == family)
    return frozenset(map(chr, FT2Font(path).get_charmap()))
