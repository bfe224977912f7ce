"""docs/development/capabilities.md: its tests exist; each key and command has a row."""

import ast
import re
from pathlib import Path

from stillknows.study.config import Config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/development/capabilities.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "::" in line]
COMMANDS = re.compile(
    r"(^make \w+|python -m stillknows \w+|snakemake (?:preflight|archive|--profile \w+))", re.M
)


def functions_of(path: Path) -> set[str]:
    """The names of a file's functions."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) == len(ROWS)
    assert [name for path, name in named if name not in functions_of(ROOT / path)] == []


def test_every_config_key_and_every_command_of_the_readme_has_a_row() -> None:
    first_cells = {row.split(" | ")[0] for row in ROWS}
    words = {word for cell in first_cells for word in re.findall(r"`([^`]+)`", cell)}
    assert set(Config.model_fields) - words == set()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = set(COMMANDS.findall(readme))
    assert len(commands) > 5
    assert [one for one in commands if not any(word.startswith(one) for word in words)] == []
