"""Whether a text contains a fact, and where: one rule for spans, free answers and questions.

A fact matches as whole words: it must not begin or end between two letters or digits (or "_"). So
"art" is not in "starts", nor "$5" in "$50". Punctuation ends a word: "UK" is in "UK-based", and
"Brien" in "O'Brien".

Some scripts have no spaces between words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar), or
add particles without a space (Hangul). Beside their characters, a fact may begin or end anywhere:
"東京" is in "首都は東京です。", but also "京都" in "東京都". In all scripts, a match never parts a
letter from its combining marks.
"""

import re
from unicodedata import category, name, normalize

_WITHOUT_SPACES = re.compile(
    r"\b(CJK|IDEOGRAPHIC|HIRAGANA|KATAKANA|THAI|LAO|KHMER|MYANMAR|HANGUL)\b"
)
"""Words in the Unicode names of those scripts' characters."""
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Code points of full-width letters, digits and punctuation -> those of the usual ones."""


def find_fact(text: str, fact: str, flags: re.RegexFlag = re.NOFLAG) -> int:
    """Where the first match begins; -1: none. Every character counts, unless the flags say less."""
    for match in re.finditer(f"(?={re.escape(fact)})", text, flags):  # overlapping ones too
        start = match.start()
        if _may_split(text, start) and _may_split(text, start + len(fact)):
            return start
    return -1


def mentions_fact(text: str, fact: str) -> bool:
    """Whether a text contains a fact, whatever the case, composition (NFC, NFD) and white space."""
    text, fact = (normalize("NFC", one).translate(_FULL_WIDTH) for one in (text, fact.strip()))
    return find_fact(text, fact, re.IGNORECASE) >= 0


def _may_split(text: str, position: int) -> bool:
    """Whether a match may begin or end before the character at this position."""
    if position in (0, len(text)):
        return True
    both = text[position - 1 : position + 1]
    if category(both[1]).startswith("M"):
        return False
    if any(_WITHOUT_SPACES.search(name(one, "")) for one in both):
        return True
    return not all(map(_is_in_words, both))


def _is_in_words(character: str) -> bool:
    """Whether it is a letter, a digit, "_", or a mark, which belongs to the letter before it."""
    return character == "_" or category(character)[0] in "LNM"
