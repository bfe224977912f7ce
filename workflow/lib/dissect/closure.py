"""What the result of a script depends on: the modules that it imports, and all that they import.

Snakemake sees that a script has changed, but not that a module which it imports has. So a digest of
all these files is a parameter of the script's rule. Imports are read from the syntax tree, those
inside functions too; nothing is imported here.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dissect.errors import DissectError
from dissect.files import sha256_of

PACKAGE = Path(__file__).parent

# Modules whose edit changes no result that is already there, and why. They are left out, with all
# that only they import.
EXCLUDED = {
    "dissect.errors": "what messages say",
    "dissect.files": "how files are written whole and hashed",
    "dissect.job": "logs, threads, exit codes, how a rule's values reach main",
    "dissect.provenance": "what a result's metadata say of the machine and the time taken",
    "dissect.checkpoints.readahead": "when weights are read from the disk",
    "dissect.checkpoints.download": "how files come from the hub; their sha256 is verified",
    "dissect.results.expected": "which results are refused; what is expected is a parameter",
    "dissect.terms": "names that are in the paths and parameters of what depends on them",
    "dissect.inputs.names": "which names are refused",
    "dissect.training.methods": "the list of methods; the training's rule chooses its own method",
}
# Constants by which a module declares what its imports do not show: a package whose modules it
# imports by name, and patterns of the files that it reads, relative to its own folder.
BY_NAME, DATA = "IMPORTS_BY_NAME", "PACKAGE_DATA"
_UNDECLARED = {
    **dict.fromkeys(("importlib.import_module", "__import__"), BY_NAME),
    **dict.fromkeys(("importlib.resources", "pkgutil", "__file__"), DATA),
}


class _Code(NamedTuple):
    """What one file of code needs: names of modules, a package or "", and files of data."""

    imports: set[str]
    by_name: str
    data: list[Path]


@cache
def code_digest(script: Path, *chosen: str) -> str:
    """A hash that changes with the content of any file in `closure(script, *chosen)`."""
    digests = "".join(_sha256_of(path) for path in closure(script, *chosen))
    return hashlib.sha256(digests.encode()).hexdigest()[:16]


def closure(script: Path, *chosen: str) -> list[Path]:
    """The files that a script's result depends on, itself first.

    Args:
        chosen: the modules that the script will import by name, such as dissect.figures.heatmap. Of
            a package whose modules are imported by name, all count where none is chosen.

    Raises:
        DissectError: for a module that does not declare what it imports by name or reads, and for a
            chosen one that does not exist.
    """
    for name in chosen:
        if _file_of(name) is None:
            raise DissectError(f"{script}: there is no module {name}; choose one of the package")
    files: set[Path] = set()
    waiting = [script, *filter(None, map(_file_of, chosen))]
    while waiting:
        path = waiting.pop()
        if path not in files:
            code = _read(path)
            files |= {path, *code.data}
            names = {*code.imports, *_by_name(code.by_name, chosen)} - EXCLUDED.keys()
            waiting += filter(None, map(_file_of, names))
    return [script, *sorted(files - {script})]


def _by_name(package: str, chosen: tuple[str, ...]) -> list[str]:
    """Of the modules that may be imported by name, those that are chosen; all if none is."""
    if not package:
        return []
    inside = [name for name in chosen if name.rpartition(".")[0] == package]
    every = PACKAGE.parent.joinpath(*package.split(".")).glob("[!_]*.py")
    return inside or [f"{package}.{path.stem}" for path in every]


@cache
def _file_of(name: str) -> Path | None:
    """The file of a module of this package, None for every other name."""
    if not name.startswith("dissect."):
        return None
    path = PACKAGE.parent.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


_sha256_of = cache(sha256_of)


@cache
def _read(path: Path) -> _Code:
    tree = ast.parse(path.read_text(encoding="utf-8"), path)
    names = set(_names(tree))
    declared: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=constant)]) if constant in (BY_NAME, DATA):
                declared[constant] = ast.literal_eval(node.value)
    for name, constant in _UNDECLARED.items():
        if name in names and constant not in declared:
            raise DissectError(
                f"{path} uses {name}, so its imports do not show all that it depends on; declare "
                f"the rest in the constant {constant} (dissect/closure.py says how)"
            )
    data = [file for each in declared.get(DATA, ()) for file in path.parent.glob(each)]
    return _Code(names, declared.get(BY_NAME, ""), data)


def _names(tree: ast.Module) -> Iterator[str]:
    """All that a file imports by its whole name, and what it uses of those in `_UNDECLARED`.

    Of `from package import name` both are yielded: the name may be a module.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Attribute(value=ast.Name(id="importlib"), attr=attribute):
                yield f"importlib.{attribute}"
            case ast.Name(id="__import__" | "__file__" as name):
                yield name
