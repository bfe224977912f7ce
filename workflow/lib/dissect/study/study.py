"""The study: config, checkpoints table and concept files as one object that the rules ask."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dissect.checkpoints.manifest import manifest_if_present
from dissect.errors import DissectError
from dissect.study.checkpoint_table import read_table
from dissect.study.concepts import Entry, digest, has_answers, read_concept_file
from dissect.study.config import EXPERIMENTS, Config, load_config
from dissect.study.folders import check_folder, check_pair, layers_of
from dissect.study.layout import FOLDERS, Cell, Layout
from dissect.study.preflight import PreflightRow, read_preflight
from dissect.study.rows import ORIGINAL, CheckpointRow
from dissect.study.selection import (
    Missing,
    all_missing,
    auxiliary_concepts,
    check_known,
    check_layers,
    check_texts,
    rows_of,
    select,
)
from dissect.study.windows import layers_between, windows_of

__all__ = ["EXPERIMENTS", "Cell", "Study", "load_study"]

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Study:
    """What is to be computed, from what, and where each file goes.

    `rows` are the selected checkpoints (originals too) as they will be made: a missing one that is
    to be trained here has the source unlearn. `missing` are those that it goes on without, `needed`
    those that are missing and that it cannot do without. `preflight` is what preflight.csv says.
    `entries` holds each model's concept file by id, or None while a file that comes by URL has not
    been fetched.
    """

    config: Config
    table: list[CheckpointRow]
    rows: list[CheckpointRow]
    missing: list[Missing]
    needed: list[Missing]
    preflight: Mapping[tuple[str, str, str], PreflightRow]
    entries: Mapping[str, Mapping[str, Entry] | None]

    @cached_property
    def _by_key(self) -> dict[tuple[str, str, str], CheckpointRow]:
        return {row.key: row for row in self.rows}

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell that will be computed."""
        return [
            Cell(row.model, row.method, row.concept, experiment)
            for row in self.rows
            if row.method != ORIGINAL
            for experiment in self.config.experiments
        ]

    @cached_property
    def models(self) -> list[str]:
        """The models that have cells."""
        return list(dict.fromkeys(cell.model for cell in self.cells))

    @cached_property
    def methods(self) -> list[str]:
        """The methods that have cells."""
        return list(dict.fromkeys(cell.method for cell in self.cells))

    @cached_property
    def concepts(self) -> list[str]:
        """Every concept whose texts may be needed: studied, retained or watched."""
        models = set(self.models)
        named = [row.concept for row in self.table if row.model in models and row.concept]
        named += [name for r in self.config.unlearning.values() for name in r.retain + r.held_out]
        return list(dict.fromkeys(named))

    @property
    def missing_cells(self) -> list[dict[str, str]]:
        """The cells that are left out, for the coverage table: model .. experiment, reason."""
        return [
            {
                **Cell(one.row.model, one.row.method, one.row.concept, experiment)._asdict(),
                "reason": one.reason,
                "origin": one.row.origin,
            }
            for one in self.missing
            if one.row.method != ORIGINAL
            for experiment in self.config.experiments
        ]

    def row(self, model: str, method: str, concept: str = "") -> CheckpointRow:
        """The selected checkpoint of that name.

        Raises:
            DissectError: if the config does not select it.
        """
        checkpoint = self._by_key.get((model, method, concept))
        if checkpoint is None:
            raise DissectError(f"{model} {method} {concept} is not selected by the config")
        return checkpoint

    # Files whose place depends on what is selected; all other places are the layout's alone.

    @cached_property
    def layout(self) -> Layout:
        """Where files go."""
        return Layout(self.config.results)

    def checkpoint_folder(self, model: str, method: str, concept: str = "") -> str:
        """Where a checkpoint's manifest is; its weights too, unless it is a path: row's."""
        kind = self.row(model, method, concept).kind
        return self.layout.checkpoint(kind, model, method, concept)

    def manifest_path(self, model: str, method: str, concept: str = "") -> str:
        """The file that vouches for a checkpoint."""
        return f"{self.checkpoint_folder(model, method, concept)}/manifest.json"

    def texts_path(self, model: str, concept: str) -> str:
        """One concept with answers: its file's, or the original's where the file has none."""
        entries = self.entries[model]
        # A file that is still to be fetched is taken to have answers, as the authors' have;
        # prepare_concept says so if not, and by then the file can be read here.
        if entries is None or has_answers(entries[concept]):
            return self.layout.concept(model, concept)
        return self.layout.answered(model, concept)

    def concept_file(self, model: str) -> str:
        """The concept file itself: the user's, or where a fetched one lies."""
        return self.config.models[model].concepts.path or self.layout.fetched(model)

    # What results depend on beside files.

    def concept_digest(self, model: str, concept: str) -> str:
        """Changes when a concept's entry changes, not when another one is added to the file."""
        source, entries = self.config.models[model].concepts, self.entries[model]
        # A fetched file is known by its hash before it is there, and must not change its digest
        # by being there.
        if source.sha256 or entries is None:
            return str(source.sha256)
        return digest(entries[concept]) if concept in entries else ""

    def training_concepts(self, model: str, method: str, concept: str) -> dict[str, list[str]]:
        """The ids that an unlearn row's training retains and holds out."""
        recipe = self.config.recipe(method)
        retain, held_out = auxiliary_concepts(recipe, concept, self.table, model)
        return {"retain": retain, "held_out": held_out}

    def auxiliary_paths(self, model: str, method: str, concept: str) -> dict[str, list[str]]:
        """The files of `training_concepts`.

        The answers on held-out concepts are watched; of retained ones only the text is needed.
        """
        path_of = {"retain": self.layout.concept, "held_out": self.texts_path}
        return {
            role: [path_of[role](model, other) for other in others]
            for role, others in self.training_concepts(model, method, concept).items()
        }

    def weights_mb(self, model: str) -> float | None:
        """Megabytes of the original's weights, once they are known: here, or by preflight."""
        # Every job asks. While it is not known, it is looked for again: a run may bring it.
        megabytes = self._weights_mb.get(model) or self._find_weights_mb(model)
        if megabytes is not None:
            self._weights_mb[model] = megabytes
        return megabytes

    @cached_property
    def _weights_mb(self) -> dict[str, float]:
        return {}

    def _find_weights_mb(self, model: str) -> float | None:
        row = self.row(model, ORIGINAL)
        manifest = manifest_if_present(self.manifest_path(*row.key))
        preflight = self.preflight.get(row.key)
        if manifest is not None:
            sizes = [file.size for file in manifest.files if file.name.endswith(SUFFIX)]
        elif row.kind == "path":
            sizes = [file.stat().st_size for file in Path(row.location).glob(f"*{SUFFIX}")]
        else:
            sizes = [preflight.bytes] if preflight and preflight.is_about(row) else []
        return sum(sizes) / 1e6 if sum(sizes) else None

    def layers(self, model: str) -> int | None:
        """How many layers a model has, once that is known."""
        row = self.row(model, ORIGINAL)
        manifest = manifest_if_present(self.manifest_path(*row.key))
        if manifest is not None:
            return manifest.layers
        return layers_of(Path(row.location)) if row.kind == "path" else None

    def check(self) -> None:
        """All that can be known of the study before a job runs.

        Raises:
            DissectError: for a folder that is no checkpoint or no copy of its original, a window
                 wider than its model, a control above its layers, a concept that its file does not
                 have, a training without text.
        """
        needed = {one.row for one in self.needed}
        for row in self.rows:
            if row not in needed:
                self._check_folder(row)
            if row.method == ORIGINAL:
                self._check_layers(row.model)
            else:
                self._check_texts(row)

    def refuse_missing(self) -> None:
        """Whether jobs can be planned: preflight alone needs no checkpoint.

        Raises:
            DissectError: naming every missing checkpoint that the study cannot do without.
        """
        if self.needed:
            raise DissectError(all_missing(self.needed))

    def _check_layers(self, model: str) -> None:
        layers = self.layers(model)
        if layers is not None:
            windows_of(self.config.windows, layers)
            check_layers(self.config, model, layers)
        for name in self.config.behaviour.patched.windows:
            layers_between(name, layers)

    def _check_texts(self, row: CheckpointRow) -> None:
        entries = self.entries[row.model]
        if entries is not None:
            check_known(self.config, row.model, [row.concept], entries)
        if row.kind == "unlearn":
            others = self.training_concepts(*row.key)
            needed = [row.concept, *others["retain"], *others["held_out"]]
            if entries is not None:
                check_texts(self.config, row.model, needed, entries)

    def _check_folder(self, row: CheckpointRow) -> None:
        original = self.row(row.model, ORIGINAL)
        if row.kind == "path":
            check_folder(row)
        if (row.kind, original.kind) == ("path", "path"):
            check_pair(row, original)


def selected_rows(values: dict[str, Any]) -> list[CheckpointRow]:
    """The rows of the table that a config's values select, whether they are to be had or not.

    Raises:
        DissectError: one line on the first thing wrong.
    """
    config = load_config(values)
    return rows_of(config, read_table(Path(config.checkpoints)))


def load_study(values: dict[str, Any]) -> Study:
    """Read the config's values, its table and its concept files, and check all of it.

    Relative paths start at the working directory.

    Raises:
        DissectError: one line on the first thing wrong.
    """
    config = load_config(values)
    table = read_table(Path(config.checkpoints))
    _check_results_folder(config.results)
    preflight = read_preflight(Path(Layout(config.results).preflight))
    selection = select(config, table, preflight)
    models = dict.fromkeys(row.model for row in selection.rows)
    study = Study(
        config=config,
        table=table,
        rows=selection.rows,
        missing=selection.missing,
        needed=selection.needed,
        preflight=preflight,
        entries={model: _entries(config, model) for model in models},
    )
    study.check()
    return study


def _check_results_folder(results: str) -> None:
    path = Path(results)
    existing = next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))
    folders = [existing, *(path / name for name in FOLDERS if os.path.lexists(path / name))]
    for folder in folders:
        if not folder.is_dir():
            raise DissectError(
                f"config: results: {folder} should be a folder but is a file or a broken link; "
                "name another results folder, or move that away"
            )
    if path.absolute() == Path(path.anchor or "/"):
        raise DissectError(f"config: results: {results} cannot be used; name a folder inside it")


def _entries(config: Config, model: str) -> dict[str, Entry] | None:
    source = config.models[model].concepts
    if source.path is not None:
        return read_concept_file(Path(source.path))
    fetched = Path(Layout(config.results).fetched(model))
    return read_concept_file(fetched) if fetched.exists() else None
