"""docs/ stays short enough to be read, and its lines short enough to be compared."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*/*.md"))
MOST_WORDS, MOST_CHARACTERS = 11_000, 120
GENERATED = ROOT / "docs/reference/config.md"  # a line per key


def test_docs_have_few_enough_words() -> None:
    """As `cat docs/*/*.md | wc -w` counts them."""
    words = {page.name: len(page.read_text(encoding="utf-8").split()) for page in PAGES}
    assert sum(words.values()) <= MOST_WORDS, words


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != GENERATED], ids=lambda p: p.name
)
def test_lines_are_short(page: Path) -> None:
    """Rows of tables cannot be broken."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [
        line for line in lines if len(line) > MOST_CHARACTERS and not line.startswith("|")
    ] == []
