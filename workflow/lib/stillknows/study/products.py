"""What a study ends with: its files by name, and which of them need a checkpoint's weights."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from stillknows.errors import StudyError
from stillknows.figures.registry import FIGURES, FigureSpec
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.study import Study
from stillknows.terms import FACT, NOISING, ORIGINAL
from stillknows.texts.concepts import has_held_out_half, is_unrelated

# Of every study.
TABLES = (
    "krs.parquet",
    "coverage.csv",
    "curves.csv",
    "statistics.csv",
    "scores.csv",
    "disagreements.csv",
    "claims.csv",
    "controls.csv",
)


@dataclass(frozen=True)
class Products:
    """The files of a study. Each method that names several is a list of paths, without repeats."""

    study: Study

    # One for each sweep, concept or checkpoint.

    def sweeps(self) -> list[str]:
        """Every sweep's table."""
        return _distinct(path for row in self.study.unlearned for path in self._sweeps(row))

    def unrelated_sweeps(self) -> list[str]:
        """Every sweep's table on unrelated questions."""
        return _distinct(path for row in self.study.unlearned for path in self._unrelated(row))

    def unrelated_texts(self) -> list[str]:
        """The texts of the unrelated questions."""
        return [self.study.texts_path(*one) for one in self.study.asked if is_unrelated(one[1])]

    def self_patches(self) -> list[str]:
        """Each unlearned model's self-patch check, and its original's on the same concept."""
        return _distinct(path for row in self.study.rows for path in self._self_patches(row))

    def weight_changes(self) -> list[str]:
        """Every unlearned checkpoint's weight_changes."""
        return _distinct(path for row in self.study.unlearned for path in self._weight_changes(row))

    def answers(self) -> list[str]:
        """Every unlearned model's answers, unpatched and patched."""
        return _distinct(path for row in self.study.unlearned for path in self._answers(row))

    def original_answers(self) -> list[str]:
        """Every original's answers on the concepts that are studied."""
        asked = self.study.unlearned if self.study.config.behaviour.sets else []
        return _distinct(self._answers_path(row.model, ORIGINAL, row.concept) for row in asked)

    def concepts(self) -> list[str]:
        """Every studied concept as its file has it."""
        return _distinct(self.study.concept_path(r.model, r.concept) for r in self.study.unlearned)

    def manifests(self) -> list[str]:
        """Every selected checkpoint's manifest."""
        return [self.study.manifest_path(*row.key) for row in self.study.rows]

    def brought(self) -> list[str]:
        """The manifests of the checkpoints that no job trains."""
        rows = (row for row in self.study.rows if not row.start)
        return [self.study.manifest_path(*row.key) for row in rows]

    def released(self, *, originals: bool) -> list[str]:
        """The notes on removed weights that a run ends with: none if checkpoints are kept."""
        return [
            f"{self.study.checkpoint_folder(*row.key)}/released.json"
            for row in self.study.rows
            if row.kind == "hub" and not self.study.config.keep_checkpoints
            if originals or row.method != ORIGINAL
        ]

    def fetched_concept_files(self) -> list[str]:
        """The concept files that come by URL."""
        models = self.study.config.models
        return [
            self.study.config.concept_file(m) for m in self.study.models if models[m].concepts.url
        ]

    def depths(self) -> list[str]:
        """Every donor's depth: of unlearned models, and of the reference models beside them."""
        return _distinct(path for row in self.study.unlearned for path in self._depth(row))

    def recalls(self, model: str | None = None) -> list[str]:
        """Every model's answers to questions for facts, the originals' too; or one model's."""
        rows = [row for row in self.study.unlearned if model in (None, row.model)]
        return _distinct(
            path
            for row in rows
            for asked in (self.study.row(row.model, ORIGINAL), row)
            for path in self._recall(asked, row.concept)
        )

    def rounds(self) -> list[str]:
        """The tables of models whose state is known, one per model of the checkpoints table.

        None without all that a round is made of, and for a model of several concepts.
        """
        return [
            self.study.config.path("rounds", f"{model}.csv")
            for model in (self.study.models if not self._missing_for_rounds() else ())
            if self._has_round(model)
        ]

    def wanted_rounds(self) -> list[str]:
        """The same, where there must be some.

        Raises:
            StudyError: naming what the study lacks, if there are none.
        """
        if rounds := self.rounds():
            return rounds
        missing = self._missing_for_rounds() or [
            "a model whose teach rows all have the same concept, with answer_facts and "
            "held_out_paraphrases, also for a question with an odd number (from 0)"
        ]
        raise StudyError(
            f"this study has no rounds; they need {'; '.join(missing)} (calibration/README.md)"
        )

    def _missing_for_rounds(self) -> list[str]:
        """What all rounds need and the config does not have."""
        config = self.study.config
        needed = {
            "a reference model, and answer_facts in the concept file": self.has_depths,
            "weight_changes: true": config.weight_changes,
            "recall.relearn: true, recall.wordings: question, held_out": config.recall.is_complete,
            "one entry in windows": len(config.windows) == 1,
            "controls.donors: []": not config.controls.donors,
        }
        return [name for name, is_there in needed.items() if not is_there]

    def _has_round(self, model: str) -> bool:
        """Whether states are known of models of one concept, with all that is measured of them."""
        concepts = {one["concept"] for one in self.study.model_states(model)}
        if len(concepts) != 1 or model not in self._models_with_depth:
            return False
        entries = self.study.entries[model] or {}
        return has_held_out_half(entries[concepts.pop()])

    def pooled_rounds(self) -> list[str]:
        """This study's rounds that count in the error rates: all, or none."""
        return self.rounds() if self.study.config.calibration.own else []

    def all_rounds(self) -> list[str]:
        """The rounds that count in the error rates: this study's, and finished ones."""
        return [*self.pooled_rounds(), *self.study.finished_rounds]

    @property
    def has_depths(self) -> bool:
        """Whether there are any."""
        return bool(self._models_with_depth)

    @cached_property
    def _models_with_depth(self) -> set[str]:
        return {row.model for row in self.study.unlearned if self._depth(row)}

    # Of the whole study.

    def tables(self) -> list[str]:
        """Every table: those of every study, and those that are wanted."""
        config = self.study.config
        asked = bool(config.behaviour.sets)
        optional = {
            "self_patch.csv": config.controls.self_patch,
            "weight_changes.csv": config.weight_changes,
            "answers.parquet": asked,
            "behaviour.csv": asked,
            "recall.csv": bool(self.recalls()),
            "depth.parquet": self.has_depths,
            "uds.csv": self.has_depths,
            "depth.csv": self.has_depths,
            "reference.csv": config.reference is not None,
            "rounds.csv": bool(self.all_rounds()),
            "calibration.csv": bool(self.all_rounds()),
            "krs_unrelated.parquet": config.specificity,
            "specificity.csv": config.specificity,
        }
        names = [*TABLES, *(name for name, is_wanted in optional.items() if is_wanted)]
        return [config.path("tables", name) for name in names]

    def table(self, name: str) -> list[str]:
        """A table of that name, if there is one."""
        return [path for path in self.tables() if Path(path).name == name]

    def figures(self) -> list[str]:
        """Every figure, in every format."""
        return [
            self.study.config.path("figures", model, f"{stem}.{suffix}")
            for model in self.study.models
            for figure in FIGURES.values()
            if self._is_drawn(figure, model)
            for stem in self._stems(figure, model)
            for suffix in self.study.config.figures.formats
        ]

    def calibration_figure(self) -> list[str]:
        """The figure of all rounds, in every format."""
        formats = self.study.config.figures.formats if self.all_rounds() else ()
        return [self.study.config.path("figures", f"calibration.{suffix}") for suffix in formats]

    def _is_drawn(self, figure: FigureSpec, model: str) -> bool:
        """Whether the config asks for it, and the model has what it shows."""
        config = self.study.config
        asked = config.behaviour
        return {
            "curves": self.study.has_unlearned_copy(model),
            "widths": len(config.windows) > 1,
            "weight_changes": config.weight_changes,
            "noising_ratio": bool(set(config.experiments) & set(NOISING)),
            "depth": model in self._models_with_depth,
            "behaviour": bool(asked.sets),
            "behaviour_patched": bool(asked.sets and asked.patched.windows),
        }.get(figure.name, True)

    def _stems(self, figure: FigureSpec, model: str) -> list[str]:
        """A figure's file names of one model, without their format."""
        config = self.study.config
        spans = config.figures.spans
        if not self.study.has_facts(model):
            spans = [span for span in spans if span != FACT]
        drawn: dict[str, Sequence[str]] = {
            "window": config.figure_windows(),
            "span": spans,
            "score": config.figures.scores,
            "form": config.depth.forms,
        }
        selections = product(*(drawn[part] for part in figure.parts))
        return [
            figure.stem.format(**dict(zip(figure.parts, each, strict=True))) for each in selections
        ]

    # What the report is made from.

    def report_tables(self) -> list[str]:
        """The tables that the report reads."""
        no_donors = not self.study.config.controls.donors
        unread = {"self_patch.csv", "depth.parquet", "krs_unrelated.parquet", "rounds.csv"}
        unread |= {"controls.csv"} if no_donors else set()
        return [path for path in self.tables() if Path(path).name not in unread]

    def report_texts(self) -> list[str]:
        """The texts of every concept that has sweeps."""
        return _distinct(self.study.texts_path(r.model, r.concept) for r in self.study.unlearned)

    def report_recalls(self) -> list[str]:
        """What the models of every round answer to questions for facts."""
        return [path for one in self.rounds() for path in self.recalls(Path(one).stem)]

    # What needs a checkpoint's weights, and so whether they must be downloaded.

    def needing(self, row: CheckpointRow) -> list[str]:
        """All files that are computed from a checkpoint's weights; an original's: its model's.

        Rows of one hub repository have the same weights.
        """
        rows, names = [row], (row.source, row.revision)
        if row.kind == "hub":
            rows = [one for one in self.study.rows if (one.source, one.revision) == names]
        return _distinct(path for one in rows for path in self._needing(one))

    def _needing(self, row: CheckpointRow) -> list[str]:
        served = self._served_by(row)
        return _distinct(
            [
                *self._trained_from(row),
                *(path for other in served for path in self._sweeps(other)),
                *(path for other in served for path in self._unrelated(other)),
                *(path for other in self._patched_with(row) for path in self._sweeps(other)),
                *self._self_patches(row),
                *(path for other in served for path in self._weight_changes(other)),
                *(path for other in served for path in self._depth(other)),
                *(path for other in served for path in self._answers(other, asker=row)),
                *(path for other in served for path in self._recall(row, other.concept)),
            ]
        )

    def _served_by(self, row: CheckpointRow) -> list[CheckpointRow]:
        """The rows whose results need a checkpoint; of an original, all rows of its model."""
        if row.concept:
            return [row]
        return [
            other
            for other in self.study.unlearned
            if other.model == row.model
            if row.method == ORIGINAL or self.study.row(*other.key) == row
        ]

    def _trained_from(self, row: CheckpointRow) -> list[str]:
        """The manifests of the models that are trained from a base, or from another unlearned one.

        Those of an original need it for their results, too.
        """
        return [self.study.manifest_path(*one.key) for one in self._trainings.get(row, ())]

    @cached_property
    def _trainings(self) -> dict[CheckpointRow, list[CheckpointRow]]:
        """The rows that are trained here, by the row that they start from."""
        by_start: dict[CheckpointRow, list[CheckpointRow]] = {}
        for row in self.study.rows:
            if row.start not in ("", ORIGINAL):
                by_start.setdefault(self.study.start(row), []).append(row)
        return by_start

    def _patched_with(self, row: CheckpointRow) -> list[CheckpointRow]:
        """The rows whose sweeps have a checkpoint, a reference model, as a donor."""
        if row.method != self.study.config.reference_donor:
            return []
        return [
            other
            for other in self.study.unlearned
            if (other.model, other.method) != (row.model, row.method)
            if other.model == row.model
            if self.study.row(row.model, row.method, other.concept) == row
        ]

    def _sweeps(self, row: CheckpointRow) -> list[str]:
        experiments = self.study.config.experiments
        return [self.study.config.path("krs", *row.key, f"{name}.parquet") for name in experiments]

    def _unrelated(self, row: CheckpointRow) -> list[str]:
        config = self.study.config
        names = config.denoising() if config.specificity else []
        return [config.path("krs_unrelated", *row.key, f"{name}.parquet") for name in names]

    def _self_patches(self, row: CheckpointRow) -> list[str]:
        """The self-patch check of a checkpoint: one; for an original, one per concept."""
        if not self.study.config.controls.self_patch:
            return []
        concepts = dict.fromkeys(other.concept for other in self._served_by(row))
        folder = ("self_patch", row.model, row.method)
        return [self.study.config.path(*folder, f"{concept}.parquet") for concept in concepts]

    def _weight_changes(self, row: CheckpointRow) -> list[str]:
        config = self.study.config
        path = config.path("weight_changes", row.model, row.method, f"{row.concept}.parquet")
        return [path] if config.weight_changes else []

    def _depth(self, row: CheckpointRow) -> list[str]:
        config = self.study.config
        path = config.path("depth", row.model, row.method, f"{row.concept}.parquet")
        return [path] if self.study.has_depth(row.model, row.concept) else []

    def _answers(self, row: CheckpointRow, asker: CheckpointRow | None = None) -> list[str]:
        """The answers on an unlearned row's concept, and patched: its own, or another asker's."""
        asked = self.study.config.behaviour
        if not asked.sets:
            return []
        plain = self._answers_path(row.model, (asker or row).method, row.concept)
        patched = self._answers_path(row.model, row.method, f"{row.concept}.patched")
        return [plain, patched] if asked.patched.windows else [plain]

    def _recall(self, row: CheckpointRow, concept: str) -> list[str]:
        path = self.study.config.path("recall", row.model, row.method, f"{concept}.parquet")
        return [path] if self.study.has_recall(row.model, concept) else []

    def _answers_path(self, model: str, method: str, name: str) -> str:
        return self.study.config.path("behaviour", model, method, f"{name}.parquet")


def _distinct(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))
