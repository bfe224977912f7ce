"""Private words for things that the field has a name for stay out of the code's identifiers.

Names are read off the syntax tree, so a word in a comment or a message is not one of them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
WORKFLOW = TESTS.parent / "workflow"

# The standard term for each, where there is one.
OLD = {
    "Ahead": "LayerPrefetcher",
    "Calls": "MicroBatches",
    "Cell": "a sweep",
    "Companion": "SourceModel",
    "Entrance": "the embedding",
    "Found": "PreflightRow",
    "Front": "RunState",
    "NOT_TO_BE_HAD": "UNAVAILABLE",
    "OnlyAt": "MLPAtPositions",
    "Pack": "PrefixTree",
    "Patching": "DonorWindows",
    "Patience": "Retry",
    "Place": "StoredAt",
    "Returns": "ConstantOutput",
    "Skeleton": "StreamedModel",
    "Spot": "PatchSite",
    "THERE": "AVAILABLE",
    "Wave": "DonorRuns",
    "announce": "readahead",
    "asked_seconds": "retry_after",
    "collect_cells": "collect_sweeps",
    "companions": "auxiliary concepts",
    "front": "RunState",
    "hear": "capture",
    "heard": "captured",
    "identities": "self-patch checks",
    "laid_out": "flatten",
    "lead": "what it is: a difference, an advantage",
    "looked": "preflight",
    "may_pass": "is_transient",
    "read_along": "run_in_lockstep",
    "sheet": "new_figure",
    "skeleton": "streamed_model",
    "spot": "patch site",
    "statement": "claim",
    "trace": "weight changes",
    "traces": "weight changes",
}
# They say nothing about the value that they name.
EMPTY = {
    *("found", "known", "lost", "mine", "ours", "place", "places", "said", "some"),
    *("theirs", "there", "told"),
}
# Words that no name of a function in tests/ needs, and what to write; a trace is no traceback.
OLD_IN_TESTS = {
    "anew": "again",
    "cannot_be_had": "unavailable",
    "floor": "control baseline",
    "floors": "control baselines",
    "held_against": "compared with",
    "identity_control": "self-patch check",
    "identity_controls": "self-patch checks",
    "legal": "valid, allowed",
    "mended": "fixed",
    "put_back": "patched, restored",
    "statement": "claim",
    "statements": "claims",
    "to_be_had": "available",
    "trace": "weight changes",
    "traces": "weight changes",
    "unheard": "unknown",
}
OLD_MODULES = {
    *("announce", "identity", "private", "shape", "skeleton", "statements", "surroundings"),
    *("trace", "words"),
}


def identifiers(tree: ast.AST) -> Iterator[str]:
    """The names that a module gives: classes, functions, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def functions(tree: ast.AST) -> Iterator[str]:
    """The names of all functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def old_words(name: str) -> list[str]:
    """The words and phrases of OLD_IN_TESTS that a name has between its underscores."""
    return [words for words in OLD_IN_TESTS if f"_{words}_" in f"_{name}_"]


def names_of(path: Path) -> set[str]:
    return set(identifiers(ast.parse(path.read_text(encoding="utf-8"))))


def modules() -> list[str]:
    """All modules of the workflow, relative to its folder."""
    return sorted(path.relative_to(WORKFLOW).as_posix() for path in WORKFLOW.rglob("*.py"))


@pytest.mark.parametrize("module", modules())
def test_a_module_uses_the_standard_terms(module: str) -> None:
    wrong = sorted(names_of(WORKFLOW / module) & (OLD.keys() | EMPTY))
    assert not wrong, {name: OLD.get(name, "a name that says what it is") for name in wrong}
    assert Path(module).stem not in OLD_MODULES


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.name)
def test_the_names_in_tests_use_the_standard_terms(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = {name: words for name in functions(tree) if (words := old_words(name))}
    assert not wrong, {name: [OLD_IN_TESTS[one] for one in words] for name, words in wrong.items()}


def test_old_words_are_whole_words() -> None:
    assert old_words("test_a_trace_that_cannot_be_had") == ["cannot_be_had", "trace"]
    assert old_words("test_the_traceback_is_legally_unheard_of") == ["unheard"]


def test_names_are_read_off_the_syntax_tree() -> None:
    code = 'import a as Wave\nclass Pack:\n  def hear(self, front): self.spot = lead = "found"'
    assert set(identifiers(ast.parse(code))) == {
        *("Wave", "Pack", "hear", "self", "front", "spot", "lead")
    }
    assert set(identifiers(ast.parse("# a place\nprint(sheet, x.found)"))) == set()
