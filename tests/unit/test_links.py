"""Every link between the project's pages leads to a file and a heading that exist.

Paths of pages that code, comments and messages name exist, too.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
).stdout.splitlines()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {text.replace(" ", "-") for text in words}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files of this project to which a page links, with the anchor or an empty text."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if not target.startswith("http"):
            yield (page.parent / path if path else page), anchor


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    for target, anchor in links(ROOT / name):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


def test_all_pages_are_in_the_readme() -> None:
    """A page that the README does not name is one that nobody finds."""
    linked = {target.resolve() for target, _ in links(ROOT / "README.md")}
    pages = {ROOT / name for name in PAGES if name.startswith("docs/")}
    assert pages - linked == set()


def test_pages_that_any_file_names_exist() -> None:
    command = ["git", "grep", "-hoIE", r"\bdocs/[a-z/-]+\.md\b"]
    named = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert [path for path in sorted(set(named.split())) if not (ROOT / path).is_file()] == []
