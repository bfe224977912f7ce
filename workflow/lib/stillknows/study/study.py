"""The study: config, checkpoints table and concept files as one object that the rules ask."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from stillknows.answers.recall_settings import HELD_OUT, QUESTION
from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow, Key, find_row
from stillknows.models.manifest import manifest_if_present
from stillknows.study.checkpoint_table import layers_of
from stillknows.study.config import Config
from stillknows.study.selection import PreflightRow, Selection, all_missing, concepts_of
from stillknows.terms import (
    BASE,
    CONTROL_TREATMENTS,
    KNOWN_STATE,
    NEVER,
    NONE,
    ORIGINAL,
    REFERENCE,
    STARTS,
    TAUGHT,
)
from stillknows.texts.concepts import (
    Entry,
    digest,
    has_answers,
    has_facts,
    has_held_out,
    is_unrelated,
    unrelated_id,
)

_WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class Study:
    """What is to be computed, from what, and where each file goes.

    Attributes:
        selection: which checkpoints, as they will be made.
        preflight: the rows of preflight.csv.
        entries: each model's concept file by id; None until a file that comes by URL is fetched.
    """

    config: Config
    table: list[CheckpointRow]
    selection: Selection
    preflight: Mapping[Key, PreflightRow]
    entries: Mapping[str, Mapping[str, Entry] | None]
    _weights_mb: dict[str, float] = field(default_factory=dict, init=False)

    # Checkpoints.

    @property
    def rows(self) -> list[CheckpointRow]:
        return self.selection.rows

    @cached_property
    def _by_key(self) -> dict[Key, CheckpointRow]:
        return {row.key: row for row in self.rows}

    @cached_property
    def unlearned(self) -> list[CheckpointRow]:
        """The rows that have sweeps; a reference model of all concepts once for each of them."""
        return self._by_concept(self.rows)

    def _by_concept(self, rows: Iterable[CheckpointRow]) -> list[CheckpointRow]:
        """The rows but originals; one that serves all concepts as one for each that is left."""
        named = {row.key for row in self.rows}
        return [
            replace(row, concept=concept)
            for row in rows
            if row.method not in STARTS
            for concept in ([row.concept] if row.concept else concepts_of(self.rows, row.model))
            if row.concept or (row.model, row.method, concept) not in named
        ]

    @cached_property
    def models(self) -> list[str]:
        return list(dict.fromkeys(row.model for row in self.unlearned))

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(row.method for row in self.unlearned))

    def row(self, model: str, method: str, concept: str = "") -> CheckpointRow:
        """The selected checkpoint of that name, or one that serves all; else a StudyError."""
        row = find_row(self._by_key, model, method, concept)
        if row is None:
            raise StudyError(
                f"{model} {method} {concept} is not selected by the config; add it to methods or "
                "concepts there"
            )
        return row

    def start(self, row: CheckpointRow) -> CheckpointRow:
        return self.row(row.model, row.start, row.concept)

    def untrained_row(self, model: str) -> CheckpointRow:
        """The row of a model that no job trains: its original, or if that is taught, its base."""
        original = self.row(model, ORIGINAL)
        return self.row(model, BASE) if original.kind == "teach" else original

    def refuse_missing(self) -> None:
        """Refuse to plan jobs without checkpoints that they need, which preflight alone can do."""
        if self.selection.needed:
            raise StudyError(all_missing(self.selection.needed))

    def weights_mb(self, model: str) -> float | None:
        """Megabytes of the original's weights, once they are known: here, or by preflight."""
        # All jobs ask, twice. While it is not known, it is looked for again: a run may bring it.
        if model not in self._weights_mb and (size := self._weights_bytes(model)):
            self._weights_mb[model] = size / 1e6
        return self._weights_mb.get(model)

    def _weights_bytes(self, model: str) -> int:
        row = self.untrained_row(model)
        if manifest := manifest_if_present(self.manifest_path(*row.key)):
            return sum(file.size for file in manifest.files if Path(file.name).match(_WEIGHTS))
        if row.kind == "path":
            return sum(file.stat().st_size for file in Path(row.location).glob(_WEIGHTS))
        preflight = self.preflight.get(row.key)
        return preflight.bytes if preflight and preflight.is_about(row) else 0

    def layers(self, model: str) -> int | None:
        row = self.untrained_row(model)
        if manifest := manifest_if_present(self.manifest_path(*row.key)):
            return manifest.layers
        return layers_of(Path(row.location)) if row.kind == "path" else None

    # Where files are, by the path grammar of results/README.md.

    @property
    def first_use(self) -> str:
        """When this working directory first used the results folder, as a file outside of it.

        A folder that was copied here is newer to the working directory than its own tables are.
        """
        name = sha256(os.path.normpath(self.config.results).encode()).hexdigest()[:16]
        return f".snakemake/first_use/{name}"

    def manifest_path(self, model: str, method: str, concept: str = "") -> str:
        """The file that describes a checkpoint; what is made here has its weights beside it."""
        row = self.row(model, method, concept)
        return self.config.path("checkpoints", row.kind, *row.key, "manifest.json")

    def concept_path(self, model: str, concept: str) -> str:
        return self.config.path("concepts", model, f"{concept}.json")

    def texts_path(self, model: str, concept: str) -> str:
        """One concept with answers: its file's, or the original's where the file has none."""
        if self.is_answered(model, concept):
            return self.concept_path(model, concept)
        return self.config.path("answers", model, f"{concept}.json")

    def auxiliary_paths(self, model: str, method: str, concept: str) -> dict[str, list[str]]:
        """The files of `training_concepts`: answers are watched only on held-out concepts."""
        others = self.training_concepts(model, method, concept)
        return {
            "retain": [self.concept_path(model, other) for other in others["retain"]],
            "held_out": [self.texts_path(model, other) for other in others["held_out"]],
        }

    # Concepts.

    def entry(self, model: str, concept: str) -> Entry:
        """A concept as its model's file has it; {} if it is not there, or not fetched yet."""
        return (self.entries[model] or {}).get(concept, {})

    @property
    def concepts(self) -> list[str]:
        """All concepts whose texts may be needed: studied, retained or watched."""
        names = [name for model in self.models for name in concepts_of(self.table, model)]
        if self.config.specificity:
            names += dict.fromkeys(unrelated_id(row.concept) for row in self.unlearned)
        recipes = [self.config.recipe(name) for name in self.config.recipes]
        names += [name for recipe in recipes for name in recipe.retain + recipe.held_out]
        names += [name for row in self.rows for name in self.learned_concepts(row)]
        names += self.config.audit.retained
        return list(dict.fromkeys(names))

    def is_answered(self, model: str, concept: str) -> bool:
        """Whether a concept's file has the answers; one to be fetched is taken to have them."""
        if self.entries[model] is None:
            return not is_unrelated(concept)
        return has_answers(self.entry(model, concept))

    def concept_digest(self, model: str, concept: str) -> str:
        """Changes when a concept's entry changes, not when another one is added to the file."""
        source = self.config.models[model].concepts
        # A fetched file is known by its hash before it is there, and must not change its digest
        # by being there.
        if source.sha256 or self.entries[model] is None:
            return str(source.sha256)
        entry = self.entry(model, concept)
        return digest(entry) if entry else ""

    def training_concepts(self, model: str, method: str, concept: str) -> dict[str, list[str]]:
        """Ids of the concepts to retain and to watch (held_out): the recipe's, or the next in the
        table.
        """
        recipe = self.config.recipe(self.row(model, method, concept).recipe)
        ring = concepts_of(self.table, model)
        after = ring[ring.index(concept) + 1 :] + ring[: ring.index(concept)]
        retain = [other for other in recipe.retain or after[:1] if other != concept]
        spare = [other for other in after if other not in retain]
        held_out = [other for other in recipe.held_out or spare[:1] if other != concept]
        if not retain:
            raise StudyError(
                f"config: unlearning: there is nothing to retain while {model} unlearns {concept}; "
                "name another concept's id in the method's retain list"
            )
        return {"retain": retain, "held_out": held_out}

    def learned_concepts(self, row: CheckpointRow) -> list[str]:
        """Ids of what a taught model learns: those it names, or all but its row's own concept."""
        if row.kind != "teach":
            return []
        concepts = self.entries[row.model] or ()
        others = [name for name in concepts if name != row.concept and not is_unrelated(name)]
        return [*dict.fromkeys(row.learned)] or others

    def retained_concepts(self, model: str, concept: str) -> list[str]:
        """Ids of what a copy is to retain: the config's, else what the reference was taught here.

        Only those that have facts and held-out wordings, if these are asked for at all.
        """
        if HELD_OUT not in self.config.recall.wordings:
            return []
        learned = self.config.audit.retained
        if not learned and self.has_reference(model, concept):
            learned = self.learned_concepts(self.row(model, str(self.config.reference), concept))
        entries = {name: self.entry(model, name) for name in learned if name != concept}
        return [name for name, entry in entries.items() if has_facts(entry) and has_held_out(entry)]

    def benign_concepts(self, concept: str) -> list[str]:
        """Ids of what a copy is trained on before it is asked for a concept: never itself."""
        return [name for name in self.config.audit.retained if name != concept]

    # What can be computed.

    def has_facts(self, model: str) -> bool:
        """Whether a fact is named in an answer of a concept that the model has sweeps of."""
        rows = [row for row in self.unlearned if row.model == model]
        return any(has_facts(self.entry(model, row.concept)) for row in rows)

    def has_depth(self, model: str, concept: str) -> bool:
        """Whether depth is measured: there is a reference model, and a fact in an answer."""
        is_wanted = bool(self.config.depth.forms) and self.has_reference(model, concept)
        return is_wanted and has_facts(self.entry(model, concept))

    def has_recall(self, model: str, concept: str) -> bool:
        """Whether models are asked for facts: in a wording that the concept has."""
        wordings, entry = self.config.recall.wordings, self.entry(model, concept)
        is_asked = QUESTION in wordings or (HELD_OUT in wordings and has_held_out(entry))
        return is_asked and has_facts(entry)

    def has_audit(self, model: str, concept: str) -> bool:
        return bool(self.config.audit.tests) and has_facts(self.entry(model, concept))

    def has_reference(self, model: str, concept: str) -> bool:
        return (model, concept) in self._with_reference

    @cached_property
    def _with_reference(self) -> set[tuple[str, str]]:
        method = self.config.reference
        return {(row.model, row.concept) for row in self.unlearned if row.method == method}

    @property
    def without_reference(self) -> list[dict[str, str]]:
        copies = [row for row in self.unlearned if row.method != self.config.reference]
        beside = [row for row in copies if self.has_reference(row.model, row.concept)]
        names, compared = (
            {(r.model, r.origin, r.method) for r in rows} for rows in (copies, beside)
        )
        return [
            {"model": model, "origin": origin, "method": method}
            for model, origin, method in sorted(names - compared)
        ]

    @property
    def missing_sweeps(self) -> list[dict[str, str]]:
        return [
            {
                "model": row.model,
                "method": row.method,
                "concept": row.concept,
                "experiment": experiment,
                "reason": reason,
                "origin": self._origin(row),
            }
            for missing, reason in self.selection.missing.items()
            for row in self._by_concept([missing])
            for experiment in self.config.experiments
        ]

    # Models whose state is known, and what unlearned copies are compared with.

    def _origin(self, row: CheckpointRow) -> str:
        if row.method == self.config.reference:
            return REFERENCE
        return self.origins_in_tables.get("/".join(row.key), row.origin)

    @cached_property
    def origins_in_tables(self) -> dict[str, str]:
        """Origins that collected tables change, by model/method/concept.

        REFERENCE for reference models, KNOWN_STATE for models of a round that are no unlearned
        copies of its original (which have learned the concept, and are trained from the original by
        a method).
        """
        origins = {}
        for row in self.unlearned:
            state = self.state(row)
            is_control = self._treated(row)["treatment"] in CONTROL_TREATMENTS
            is_copy = state == TAUGHT and row.start == ORIGINAL and not is_control
            if row.method == self.config.reference:
                origins["/".join(row.key)] = REFERENCE
            elif state and not is_copy:
                origins["/".join(row.key)] = KNOWN_STATE
        return origins

    def has_unlearned_copy(self, model: str) -> bool:
        """Whether a model has sweeps of something that means over methods may include."""
        return any(self._origin(row) != KNOWN_STATE for row in self.unlearned if row.model == model)

    def state(self, row: CheckpointRow) -> str | None:
        """Whether a row's model has ever learned its concept (TAUGHT, NEVER); None: nobody can say.

        It is known of models that are taught here, whatever has been done to them since, but not of
        one that is made from the reference model, with which all are compared.
        """
        taught = self.host(row)
        if taught.kind != "teach" or taught.method == self.config.reference or not row.concept:
            return None
        return TAUGHT if row.concept in self.learned_concepts(taught) else NEVER

    def host(self, row: CheckpointRow) -> CheckpointRow:
        """The row that a model was made from by unlearning, in one step or more; or its own."""
        while row.kind == "unlearn":
            row = self.start(row)
        return row

    def copies_of_facts(self, model: str) -> list[dict[str, Any]]:
        """What each copy in a round of facts is, the original too.

        Of each its method, host, learned (the concepts that the host learned), treatment, recipe.
        """
        rows = [self.row(model, ORIGINAL), *(row for row in self.unlearned if row.model == model)]
        return [
            {
                "method": row.method,
                "host": self.host(row).method,
                "learned": self.learned_concepts(self.host(row)),
                **self._treated(row),
            }
            for row in rows
        ]

    def _treated(self, row: CheckpointRow) -> dict[str, str]:
        if row.kind != "unlearn":
            return {"treatment": NONE, "recipe": NONE}
        return {"treatment": self.config.method_of(row.recipe), "recipe": row.recipe}

    def model_states(self, model: str) -> list[dict[str, str]]:
        """The models of a round (no original, no reference): method, concept, state, treatment,
        recipe.
        """
        return [
            {"method": row.method, "concept": row.concept, "state": state, **self._treated(row)}
            for row in self.unlearned
            if row.model == model and (state := self.state(row))
        ]

    @cached_property
    def finished_rounds(self) -> list[str]:
        """The files of finished rounds that the config names, but those that its own replace."""
        folder = self.config.calibration.rounds
        if folder is None:
            return []
        if not Path(folder).is_dir():
            raise StudyError(
                f"config: calibration.rounds: {folder} is not a folder; name one with files of "
                "rounds, such as calibration/rounds, or leave it out"
            )
        files = [path for path in sorted(Path(folder).glob("*.csv")) if path.is_file()]
        replaced = self.models if self.config.calibration.own else []
        return [str(path) for path in files if path.stem not in replaced]
