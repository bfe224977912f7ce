"""Which checkpoints a study needs: the rows of the table that the config selects, checked."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dissect.checkpoints.weight_files import ADAPTER_CONFIG
from dissect.errors import DissectError, not_known
from dissect.study.concepts import Entry
from dissect.study.config import Config
from dissect.study.preflight import UNAVAILABLE, PreflightRow
from dissect.study.recipe import Recipe
from dissect.study.rows import ORIGINAL, CheckpointRow

Key = tuple[str, str, str]  # model, method, concept
_METHODS_FILE = Path(__file__).parents[1] / "training" / "methods" / "__init__.py"


@dataclass(frozen=True)
class Missing:
    """A selected checkpoint that is unavailable, and why."""

    row: CheckpointRow
    reason: str


@dataclass(frozen=True)
class Selection:
    """The checkpoints of a study: originals first, and those that it goes on without.

    `needed` are missing ones that it cannot do without: their rows are among `rows`.
    """

    rows: list[CheckpointRow]
    missing: list[Missing]
    needed: list[Missing]


def select(
    config: Config, table: list[CheckpointRow], preflight: Mapping[Key, PreflightRow] | None = None
) -> Selection:
    """The rows of the table that the config's lists select, as on_missing_checkpoint says.

    Args:
        preflight: what preflight found. A hub: row that it does not name counts as available.

    Raises:
        DissectError: for a name that the table does not have, for a method that cannot be trained
            here.
    """
    rows = rows_of(config, table)
    for method in config.unlearning:
        _check_trainable(method, f"config: unlearning.{method}")
    rows = [_as_adapter(config, row) for row in rows]
    preflight = preflight or {}
    missing = [Missing(row, reason) for row in rows if (reason := _why_missing(row, preflight))]
    if config.on_missing_checkpoint == "unlearn":
        trained = {one.row for one in missing if one.row.method != ORIGINAL}
        rows = [replace(row, source="unlearn") if row in trained else row for row in rows]
        missing = [one for one in missing if one.row not in trained]
    if all(row.method == ORIGINAL for row in rows):
        raise DissectError(_nothing_selected(config))
    for row in rows:
        if row.kind == "unlearn":
            _check_trainable(row.method, f"{config.checkpoints}: {row.name} is to be unlearned")
    skipped = [*missing, *_orphans(rows, missing)]
    unavailable = {one.row for one in skipped}
    left = [row for row in rows if row not in unavailable]
    if config.on_missing_checkpoint != "skip":
        return Selection(rows, missing=[], needed=missing)
    if all(row.method == ORIGINAL for row in left):
        return Selection(rows, missing=[], needed=skipped)
    return Selection(left, missing=skipped, needed=[])


def trainable_methods() -> tuple[str, ...]:
    """The names in dissect.training.methods.METHODS, read without importing it (and torch)."""
    for node in ast.parse(_METHODS_FILE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "METHODS":
            assert isinstance(node.value, ast.Dict)
            return tuple(str(ast.literal_eval(key)) for key in node.value.keys if key)
    raise AssertionError(f"no METHODS in {_METHODS_FILE}")


def auxiliary_concepts(
    recipe: Recipe, concept: str, table: list[CheckpointRow], model: str
) -> tuple[list[str], list[str]]:
    """Ids of the concepts to retain and to watch while `concept` is unlearned.

    Where the recipe names none, those that come next in the table, which is walked as a ring.

    Raises:
        DissectError: if no concept is left to retain.
    """
    ring = concepts_of(table, model)
    after = ring[ring.index(concept) + 1 :] + ring[: ring.index(concept)]
    retain = [other for other in recipe.retain or after[:1] if other != concept]
    spare = [other for other in after if other not in retain]
    held_out = [other for other in recipe.held_out or spare[:1] if other != concept]
    if not retain:
        raise DissectError(
            f"config: unlearning: nothing is left to retain while {model} unlearns {concept}; "
            "name another concept's id in the method's retain list"
        )
    return retain, held_out


def check_texts(
    config: Config, model: str, concepts: Iterable[str], entries: Mapping[str, Entry]
) -> None:
    """Whether a model's concept file holds these concepts with the text that training needs.

    Raises:
        DissectError: naming the first that is not there, or has no wikipedia_content.
    """
    for concept in concepts:
        check_known(config, model, [concept], entries)
        if not entries[concept].get("wikipedia_content"):
            raise DissectError(
                f"concept {concept} of {model} has no wikipedia_content, which an unlearn row "
                "needs to train on: add that text to the concept file"
            )


def check_layers(config: Config, model: str, layers: int) -> None:
    """Whether a model of so many layers has those that the config's controls name.

    Raises:
        DissectError: naming the first that it does not have.
    """
    controls = config.controls
    for layer in controls.layers if controls.donors else []:
        if layer >= layers:
            raise DissectError(
                f"config: controls.layers: {layer} is no layer of {model}; legal: 0 to {layers - 1}"
            )


def check_known(
    config: Config, model: str, concepts: Iterable[str], entries: Mapping[str, Entry]
) -> None:
    """Whether a model's concept file holds these concepts.

    Raises:
        DissectError: naming the first that is not there.
    """
    where = f"in the concept file of {model} ({config.models[model].concepts.path or 'fetched'})"
    for concept in concepts:
        if concept not in entries:
            raise DissectError(not_known("concept", concept, entries, where))


def concepts_of(table: list[CheckpointRow], model: str) -> list[str]:
    """The concepts that a model's rows name, each once, in the table's order."""
    return list(dict.fromkeys(r.concept for r in table if r.model == model and r.concept))


def rows_of(config: Config, table: list[CheckpointRow]) -> list[CheckpointRow]:
    """The rows of the table that the config's lists select, originals first in each model.

    Raises:
        DissectError: for a name that the table does not have.
    """
    return [row for model in config.models for row in _rows_of(config, table, model)]


def _rows_of(config: Config, table: list[CheckpointRow], model: str) -> list[CheckpointRow]:
    where = f"in {config.checkpoints}"
    models = list(dict.fromkeys(row.model for row in table))
    if model not in models:
        raise DissectError(f"config: models: {not_known('model', model, models, where)}")
    originals = [row for row in table if (row.model, row.method) == (model, ORIGINAL)]
    if not originals:
        raise DissectError(
            f"{config.checkpoints}: {model} has no row with method {ORIGINAL}; add one"
        )
    in_table = concepts_of(table, model)
    concepts = (config.concepts or {}).get(model, in_table)
    for concept in concepts:
        if concept not in in_table:
            raise DissectError(
                f"config: concepts.{model}: "
                f"{not_known('concept', concept, in_table, f'{where} for this model')}"
            )
    every = list(dict.fromkeys(row.method for row in table if row.method != ORIGINAL))
    methods = every if config.methods is None else config.methods
    for method in methods:
        if method not in every:
            raise DissectError(f"config: methods: {not_known('method', method, every, where)}")
    return originals + [
        row
        for row in table
        if row.model == model and row.concept in concepts and row.method in methods
    ]


def _orphans(rows: list[CheckpointRow], missing: list[Missing]) -> list[Missing]:
    """The rows that are there, but whose original is missing."""
    unavailable = {one.row for one in missing}
    without = {f.row.model: f.reason for f in missing if f.row.method == ORIGINAL}
    return [
        Missing(row, f"its original is missing: {without[row.model]}")
        for row in rows
        if row.model in without and row not in unavailable
    ]


def _as_adapter(config: Config, row: CheckpointRow) -> CheckpointRow:
    """The row of a folder that holds an adapter, as one that is to be merged; any other as it is.

    Raises:
        DissectError: if it is an original, which an adapter cannot be.
    """
    if row.kind != "path" or not Path(row.location, ADAPTER_CONFIG).is_file():
        return row
    if row.method == ORIGINAL:
        raise DissectError(
            f"{config.checkpoints}: {row.name}: {row.location} holds {ADAPTER_CONFIG}: an adapter "
            "changes an original and cannot be one; name the whole model's folder"
        )
    return replace(row, source=f"adapter:{row.location}")


def _check_trainable(method: str, where: str) -> None:
    trainable = trainable_methods()
    if method not in trainable:
        raise DissectError(
            f"{where}: {not_known('method', method, trainable, 'one to train here')}"
        )


def _why_missing(row: CheckpointRow, preflight: Mapping[Key, PreflightRow]) -> str:
    one = preflight.get(row.key)
    if row.kind == "hub" and one and one.is_about(row):
        return UNAVAILABLE.get(one.status, "")
    if row.kind == "path" and not Path(row.location).is_dir():
        return f"folder {row.location} does not exist"
    return ""


def all_missing(missing: list[Missing], advice: str | None = None) -> str:
    """One line that names every missing checkpoint, and what can be done."""
    reasons = list(dict.fromkeys(one.reason for one in missing))
    phrases = [
        f"{reason}: {', '.join(one.row.name for one in missing if one.reason == reason)}"
        for reason in reasons
    ]
    usual = (
        "put each in a folder and name it as path:FOLDER in the table, or set "
        "on_missing_checkpoint to skip or unlearn (an original cannot be trained)"
    )
    if any(one.row.kind == "hub" for one in missing):
        usual += "; snakemake preflight looks again"
    return f"missing checkpoints: {'; '.join(phrases)}; {advice or usual}"


def _nothing_selected(config: Config) -> str:
    return (
        f"nothing is selected: {config.checkpoints} has no row of the models, methods and "
        "concepts that the config lists together"
    )
