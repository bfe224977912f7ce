"""Which checkpoints a study needs, of the table and by preflight.csv: selected and checked."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from stillknows.errors import StudyError, check_known
from stillknows.files import atomic_path
from stillknows.models.checkpoint_files import ADAPTER_CONFIG
from stillknows.models.checkpoint_row import CheckpointRow, Key, find_row
from stillknows.study.config import Config
from stillknows.terms import BASE, ORIGINAL, STARTS

AVAILABLE = "there"
# What a second try would not change. A hub that does not respond is not among them.
UNAVAILABLE = {
    "gated": "gated, and there is no token or it gives no access",
    "gone": "private or gone (the hub does not say which)",
    "revision_gone": "its revision is gone",
    "no_safetensors": "it lacks config.json or safetensors files (pickled weights are never read)",
    "unknown_family": "its model family is not known",
    "quantised": "its weights are quantised",
}


class PreflightRow(NamedTuple):
    """One row of preflight.csv.

    `status` is there, a key of UNAVAILABLE, or: bad_token, unreachable, busy (the hub),
    missing (a path: folder), later (a wheel, or to be trained here: nothing to look at yet).
    `bytes` is the size of the files that would be downloaded.
    """

    model: str
    method: str
    concept: str
    source: str
    revision: str
    status: str
    commit: str = ""
    gated: str = ""
    format: str = ""
    family: str = ""
    files: int = 0
    bytes: int = 0
    note: str = ""

    def is_about(self, row: CheckpointRow) -> bool:
        return (self.source, self.revision) == (row.source, row.revision)


def write_preflight(path: Path, preflight: Iterable[PreflightRow]) -> None:
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([PreflightRow._fields, *preflight])


def read_preflight(path: Path) -> dict[tuple[str, str, str], PreflightRow]:
    """The rows of preflight.csv, by model, method and concept; {} if it was not written yet."""
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = TypeAdapter(list[PreflightRow]).validate_python(list(csv.DictReader(file)))
    except (ValueError, csv.Error) as error:
        raise StudyError(
            f"{path} is damaged or was edited; delete it and run snakemake preflight"
        ) from error
    return {row[:3]: row for row in rows}


Missing = dict[CheckpointRow, str]
"""Selected checkpoints that are unavailable, and why."""


class Selection(NamedTuple):
    rows: list[CheckpointRow]  # originals first
    missing: Missing  # what the study goes on without
    needed: Missing  # what it cannot do without: among the rows


def select(
    config: Config, table: list[CheckpointRow], preflight: Mapping[Key, PreflightRow]
) -> Selection:
    """The rows of the table that the config's lists select, as on_missing_checkpoint says."""
    rows = [_as_adapter(config, row) for row in rows_of(config, table)]
    missing = {row: reason for row in rows if (reason := _why_missing(row, preflight))}
    if config.on_missing_checkpoint == "unlearn":
        trained = {row for row in missing if row.method not in (*STARTS, config.reference)}
        here = {"source": "unlearn", "revision": "", "format": "transformers", "tokenizer": ""}
        rows = [replace(row, **here) if row in trained else row for row in rows]
        missing = {row: reason for row, reason in missing.items() if row not in trained}
    if not _has_unlearned(rows, config):
        raise StudyError(
            f"nothing is selected: {config.checkpoints} has no row of an unlearned model "
            "that fits the models, methods and concepts of the config; change these lists"
        )
    _check_trained(config, rows)
    if config.on_missing_checkpoint != "skip":
        return Selection(rows, missing={}, needed=missing)
    without_original = {row.model for row in missing if row.method == ORIGINAL}
    needed = {
        row: f"{reason} (it is a donor of controls, which is never skipped)"
        for row, reason in missing.items()
        if row.method == config.reference_donor and row.model not in without_original
    }
    skipped = {row: reason for row, reason in missing.items() if row not in needed}
    skipped |= _left_alone(rows, skipped)
    left = _of_studied_models(row for row in rows if row not in skipped)
    if not _has_unlearned(left, config):
        return Selection(rows, missing={}, needed=needed | skipped)
    return Selection(left, missing=skipped, needed=needed)


def rows_of(config: Config, table: list[CheckpointRow]) -> list[CheckpointRow]:
    """The rows that the lists select; each model's base and original first, if any is left."""
    where = f"in {config.checkpoints}"
    check_known("config: models: model", config.models, {row.model for row in table}, where)
    methods = list(dict.fromkeys(row.method for row in table if row.method not in STARTS))
    check_known("config: methods: method", config.methods or (), methods, where)
    check_known("config: reference: method", filter(None, [config.reference]), methods, where)
    wanted = methods if config.methods is None else config.methods
    rows = []
    for model in config.models:
        in_table = concepts_of(table, model)
        concepts = (config.concepts or {}).get(model, in_table)
        kind = f"config: concepts.{model}: concept"
        check_known(kind, concepts, in_table, f"{where} for this model")
        of_model = [row for row in table if row.model == model]
        originals = [row for row in of_model if row.method == ORIGINAL]
        if not originals:
            raise StudyError(
                f"{config.checkpoints}: {model} has no row with method {ORIGINAL}; add one"
            )
        references = {row.concept: row for row in of_model if row.method == config.reference}
        served = (concept if concept in references else "" for concept in concepts)
        selected = [
            *originals,
            *(row for row in of_model if row.concept in concepts and row.method in wanted),
            *(references[concept] for concept in served if concept in references),
        ]
        rows += _bases(config, of_model, selected) + selected
        for row in of_model:
            if not row.concept and row.method in wanted and row.method != config.reference:
                raise StudyError(
                    f"{config.checkpoints}: {row.name} has no concept; name it, or set reference: "
                    f"{row.method} in the config if this model never learned any of the concepts"
                )
    return _of_studied_models(dict.fromkeys(rows))


def _bases(
    config: Config, of_model: Iterable[CheckpointRow], selected: Iterable[CheckpointRow]
) -> list[CheckpointRow]:
    """A model's base row, if any of the selected rows is taught."""
    taught = [row for row in selected if row.kind == "teach"]
    bases = [row for row in of_model if row.method == BASE]
    if taught and not bases:
        raise StudyError(
            f"{config.checkpoints}: {taught[0].name} is to be taught from the row with method "
            f"{BASE}, which {taught[0].model} does not have; add one with its source"
        )
    return bases if taught else []


def _of_studied_models(rows: Iterable[CheckpointRow]) -> list[CheckpointRow]:
    """The rows of models that have a concept to study: an original alone is left out."""
    rows = list(rows)
    studied = {row.model for row in rows if row.method not in STARTS and row.concept}
    return [row for row in rows if row.model in studied]


def _has_unlearned(rows: Iterable[CheckpointRow], config: Config) -> bool:
    return any(row.method not in (*STARTS, config.reference) for row in rows)


def _check_trained(config: Config, rows: list[CheckpointRow]) -> None:
    """Refuse a training without a recipe, and one that starts from no row, or from itself."""
    by_key = {row.key: row for row in rows}
    for row in rows:
        if row.kind != "unlearn":
            continue
        where = f"{config.checkpoints}: {row.name} is to be unlearned"
        check_known(f"{where}: recipe", [row.recipe], config.recipes, "known")
        if (last := _chain(row, by_key)[-1]).start:
            raise StudyError(
                f"{where}: {last.name} starts from {last.start}, but no selected row of "
                f"{last.model} {last.concept} has that method, or that row is trained from this "
                "one; name the method of another row (and add it to methods, if the config has "
                "that list)"
            )


def _chain(row: CheckpointRow, by_key: Mapping[Key, CheckpointRow]) -> list[CheckpointRow]:
    """A row, the row that it is trained from, the one that this is trained from, and so on."""
    chain = [row]
    while True:
        start = find_row(by_key, row.model, chain[-1].start, row.concept)
        if start is None or start in chain:
            return chain
        chain.append(start)


def _left_alone(rows: list[CheckpointRow], missing: Missing) -> Missing:
    """The rows that are there, but whose original, base or start is missing."""
    by_key, reasons = {row.key: row for row in rows}, {row.key: why for row, why in missing.items()}
    left = {}
    for row in rows:
        starts = [(row.model, method, "") for method in STARTS]
        needed = [*starts, *(start.key for start in _chain(row, by_key))]
        reason = next((reasons[key] for key in needed if key in reasons), None)
        if reason is not None and row not in missing:
            left[row] = f"what it is made from is missing: {reason}"
    return left


def concepts_of(table: Iterable[CheckpointRow], model: str) -> list[str]:
    """The concepts that a model's rows name, each once, in the table's order."""
    return list(dict.fromkeys(r.concept for r in table if r.model == model and r.concept))


def all_missing(missing: Missing, advice: str | None = None) -> str:
    """One line that names all missing checkpoints, and what can be done."""
    names: dict[str, list[str]] = {}
    for row, reason in missing.items():
        names.setdefault(reason, []).append(row.name)
    phrases = [f"{reason}: {', '.join(rows)}" for reason, rows in names.items()]
    usual = (
        "put each in a folder and name it as path:FOLDER in the table, or set "
        "on_missing_checkpoint to skip or unlearn (an original cannot be trained)"
    )
    if any(row.is_on_hub for row in missing):
        usual += "; snakemake preflight checks again"
    return f"missing checkpoints: {'; '.join(phrases)}; {advice or usual}"


def _as_adapter(config: Config, row: CheckpointRow) -> CheckpointRow:
    """The row of a folder that holds an adapter as one to be merged; any other as it is."""
    if row.kind != "path" or not Path(row.location, ADAPTER_CONFIG).is_file():
        return row
    if row.method in STARTS:
        raise StudyError(
            f"{config.checkpoints}: {row.name}: {row.location} holds {ADAPTER_CONFIG}: an adapter "
            f"only changes another model, so it cannot be the {row.method}; name the folder of a "
            "whole model"
        )
    return replace(row, source=f"adapter:{row.location}")


def _why_missing(row: CheckpointRow, preflight: Mapping[Key, PreflightRow]) -> str:
    known = preflight.get(row.key)
    if row.is_on_hub and known and known.is_about(row):
        return UNAVAILABLE.get(known.status, "")
    folder = Path(row.location)
    if row.kind == "path" and not folder.is_dir():
        return f"{folder} is not a folder" if folder.exists() else f"folder {folder} does not exist"
    return ""
