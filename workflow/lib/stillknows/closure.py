"""What the result of a script depends on: the modules that it imports, and all that they import.

Snakemake sees that a script has changed, but not a module that it imports. So a digest of all these
files is a parameter of the script's rule. What the imports, also those inside functions, do not
show is given by the rules (modules imported by name) or by a module's constant PACKAGE_DATA:
patterns of the files that it reads, relative to its own folder.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from stillknows.files import sha256_of

PACKAGE = Path(__file__).parent

# Modules whose edit changes no result that is already there, and why. They are left out, with all
# that only they import.
EXCLUDED = {
    "stillknows.errors": "what messages say",
    "stillknows.files": "how files are written whole and hashed",
    "stillknows.job": "logs, threads, exit codes, how a rule's values reach main",
    "stillknows.models.provenance": "what metadata say of the machine and the time taken",
    "stillknows.models.download": "how files come from the hub; their sha256 is verified",
    "stillknows.study.expected": "which results are refused; what is expected is a parameter",
    "stillknows.terms": "names that are in the paths and parameters of what depends on them",
    "stillknows.names": "which names are refused",
    "stillknows.training.methods": "the list of methods; the rule itself chooses one",
}


@cache
def code_digest(script: Path, *chosen: str) -> str:
    """A hash that changes with the content of any file in `closure(script, *chosen)`."""
    digests = "".join(_sha256_of(path) for path in closure(script, *chosen))
    return hashlib.sha256(digests.encode()).hexdigest()[:16]


def closure(script: Path, *chosen: str) -> list[Path]:
    """The files that a script's result depends on, itself first; `chosen` are imported by name."""
    files: set[Path] = set()
    waiting = [script, *filter(None, map(_file_of, chosen))]
    if len(waiting) <= len(chosen):
        raise ModuleNotFoundError(f"{script}: one of these modules does not exist: {chosen}")
    while waiting:
        path = waiting.pop()
        if path not in files:
            names, data = _read(path)
            files |= {path, *data}
            waiting += filter(None, map(_file_of, names - EXCLUDED.keys()))
    return [script, *sorted(files - {script})]


@cache
def _file_of(name: str) -> Path | None:
    """The file of a module of this package, None for every other name."""
    if not name.startswith("stillknows."):
        return None
    path = PACKAGE.parent.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


_sha256_of = cache(sha256_of)


@cache
def _read(path: Path) -> tuple[set[str], list[Path]]:
    """All that a file imports by its whole name, and the files of its constant PACKAGE_DATA."""
    names: set[str] = set()
    patterns: tuple[str, ...] = ()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), path)):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module)):  # the names may be modules
                names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
            case ast.Assign(targets=[ast.Name(id="PACKAGE_DATA")]):
                patterns = ast.literal_eval(node.value)
    return names, [file for pattern in patterns for file in path.parent.glob(pattern)]
