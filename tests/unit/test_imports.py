"""The ten packages are layers: each imports only from those before it."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "workflow" / "lib" / "stillknows"
PACKAGES = (
    "models",
    "texts",
    "engine",
    "training",
    "answers",
    "analysis",
    "figures",
    "report",
    "study",
    "cluster",
)


def module_of(path: Path) -> str:
    """A file's module without the package's name; the package's own __init__ is ""."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__")


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: name the package"
            module = node.module or ""
            if module == "stillknows":
                yield from (alias.name for alias in node.names)
            elif module.startswith("stillknows."):
                yield module.removeprefix("stillknows.")
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from (
                name[len("stillknows.") :] for name in names if name.startswith("stillknows.")
            )


def imports() -> dict[tuple[str, str], set[str]]:
    """(module, part that it imports) -> the modules in it; a part is a package or a lone module."""
    edges: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        module = module_of(path)
        for name in imported(path):
            if name.partition(".")[0] != module.partition(".")[0]:
                edges[module, name.partition(".")[0]].add(name)
    return dict(edges)


def test_each_package_imports_only_from_those_before_it() -> None:
    upward = [
        (module, sorted(names))
        for (module, part), names in imports().items()
        if (package := module.partition(".")[0]) in PACKAGES
        and part in PACKAGES
        and PACKAGES.index(part) > PACKAGES.index(package)
    ]
    assert not upward


def test_every_package_is_listed() -> None:
    folders = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").exists()}
    assert folders == set(PACKAGES)


def test_modules_outside_the_packages_import_none_of_them() -> None:
    upward = [
        (module, sorted(names))
        for (module, part), names in imports().items()
        if module.partition(".")[0] not in {*PACKAGES, "__main__"} and part in PACKAGES
    ]
    assert not upward


def test_no_import_leads_from_a_part_back_to_itself() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, part in imports():
        graph[module.partition(".")[0]].add(part)
    TopologicalSorter(graph).prepare()  # raises CycleError
