"""The pages explain every column of every table: columns are a contract with other people's code.

config.md is generated from the code (test_config.py); test_links.py follows the links.
"""

import re
from importlib import import_module
from pathlib import Path

import stillknows

ROOT = Path(__file__).parents[2]
PACKAGE = Path(stillknows.__file__).parent
PAGES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("docs", "results", "pretrained", "calibration")
    for path in sorted((ROOT / folder).rglob("*.md"))
)


def columns() -> set[str]:
    """The names in every list of columns that the package defines, but for the page's own."""
    found: set[str] = set()
    for path in set(PACKAGE.rglob("*.py")) - set((PACKAGE / "report").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"^(\w*(?:_COLUMNS|_SCHEMA))\b[^=\n]* = ", text, re.MULTILINE):
            module = ".".join(("stillknows", *path.relative_to(PACKAGE).with_suffix("").parts))
            listed = getattr(import_module(module), name)
            found |= set(getattr(listed, "names", listed))
    return found


def test_every_column_is_explained() -> None:
    """By its name, or as `..._low`, `loss_..` and the like for several."""
    assert len(columns()) > 50
    several = set(re.findall(r"[\w.]*\.\.[\w.]*", PAGES))
    patterns = [re.sub(r"(?:\\\.)+", ".+", re.escape(name)) for name in several if name.strip(".")]
    explained = re.compile("|".join(patterns))
    words = set(re.findall(r"\w+", PAGES))
    assert [name for name in columns() - words if not explained.fullmatch(name)] == []
