"""The package's parts are layers: no import leads from one of them back to itself."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "workflow" / "lib" / "dissect"


def module_of(path: Path) -> str:
    """A file's module without the package's name; the package's own __init__ is ""."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__")


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: name the package"
            module = node.module or ""
            if module == "dissect":
                yield from (alias.name for alias in node.names)
            elif module.startswith("dissect."):
                yield module.removeprefix("dissect.")
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from (name[len("dissect.") :] for name in names if name.startswith("dissect."))


def imports() -> dict[tuple[str, str], set[str]]:
    """(module, part that it imports) -> the modules in it; a part is a package or a lone module."""
    edges: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        module = module_of(path)
        for name in imported(path):
            if name.partition(".")[0] != module.partition(".")[0]:
                edges[module, name.partition(".")[0]].add(name)
    return dict(edges)


def order_of(edges: Mapping[tuple[str, str], set[str]]) -> list[str]:
    """The parts, lowest first.

    Raises:
        CycleError: if there is no order.
    """
    graph: dict[str, set[str]] = defaultdict(set)
    for module, part in edges:
        graph[module.partition(".")[0]].add(part)
    return list(TopologicalSorter(graph).static_order())


def test_no_part_imports_one_above_it() -> None:
    order = order_of(imports())
    for lower, higher in [
        ("errors", "files"),
        ("inputs", "checkpoints"),
        ("checkpoints", "engine"),
        ("results", "analysis"),
        ("analysis", "figures"),
        ("figures", "study"),
        ("study", "preparation"),
    ]:
        assert order.index(lower) < order.index(higher)
