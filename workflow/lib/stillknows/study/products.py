"""What a study ends with: its files by name, and which of them need a checkpoint's weights."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

from stillknows.errors import StudyError
from stillknows.figures.registry import FIGURES, FigureSpec
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.datasets import DATASETS
from stillknows.study.study import Study
from stillknows.terms import FACT, NOISING, ORIGINAL
from stillknows.texts.concepts import has_held_out_half


@dataclass(frozen=True)
class Products:
    """The files of a study. Each method that names several is a list of paths, without repeats."""

    study: Study

    # Results: a file for each sweep, or for each checkpoint and concept.

    def files(self, dataset: str, row: CheckpointRow) -> list[str]:
        """The files of one row: unlearned, or of `originals`, which few datasets have files of."""
        spec, config = DATASETS[dataset], self.study.config
        has_files = row.method != ORIGINAL or spec.is_of_originals
        names = spec.names(self.study, row) if has_files else ()
        return [config.path(spec.folder, row.model, row.method, f"{n}.parquet") for n in names]

    def originals(self) -> list[CheckpointRow]:
        """The original of each unlearned row, as a row of that row's concept."""
        return [
            replace(self.study.row(row.model, ORIGINAL), concept=row.concept)
            for row in self.study.unlearned
        ]

    def results(self, *datasets: str, model: str = "") -> list[str]:
        """The files of datasets, those of originals first; or those of one model."""
        rows = [*self.originals(), *self.study.unlearned]
        of_model = [row for row in rows if model in ("", row.model)]
        return _distinct(p for row in of_model for name in datasets for p in self.files(name, row))

    def original_answers(self) -> list[str]:
        return _distinct(path for row in self.originals() for path in self.files("answers", row))

    def answers(self) -> list[str]:
        """The answers of unlearned models, also under patches."""
        originals = set(self.original_answers())
        return [p for p in self.results("answers", "patched_answers") if p not in originals]

    # What results are made from.

    def manifests(self) -> list[str]:
        return [self.study.manifest_path(*row.key) for row in self.study.rows]

    def manifests_of_sources(self) -> list[str]:
        rows = (row for row in self.study.rows if not row.start)
        return [self.study.manifest_path(*row.key) for row in rows]

    def released(self, *, originals: bool) -> list[str]:
        """The notes on removed weights that a run ends with: none if checkpoints are kept."""
        return [
            str(Path(self.study.manifest_path(*row.key)).with_name("released.json"))
            for row in self.study.rows
            if row.kind == "hub" and not self.study.config.keep_checkpoints
            if originals or row.method != ORIGINAL
        ]

    def fetched_concept_files(self) -> list[str]:
        config = self.study.config
        return [config.concept_file(m) for m in self.study.models if config.models[m].concepts.url]

    def texts(self, *datasets: str) -> list[str]:
        """The concepts that the jobs of datasets read."""
        rows = self.study.unlearned
        return _distinct(DATASETS[name].texts(self.study, row) for row in rows for name in datasets)

    def concepts_of_round(self, model: str) -> list[str]:
        """What the models of a round of facts are asked for, and what they were taught."""
        asked = [row.concept for row in self.study.unlearned if row.model == model]
        learned = [one for copy in self.study.copies_of_facts(model) for one in copy["learned"]]
        return _distinct(self.study.concept_path(model, name) for name in [*asked, *learned])

    # Rounds: models whose state is known.

    def rounds(self) -> list[str]:
        """The tables of models of known state, per model that has all a round needs."""
        models = [] if self._missing_for_rounds() else self.study.models
        return [self.study.config.path("rounds", f"{m}.csv") for m in models if self._has_round(m)]

    def wanted_rounds(self) -> list[str]:
        """The same, where there must be some; a StudyError names what the study lacks."""
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
            "a reference model, and answer_facts in the concept file": self._models_with_depth,
            "weight_changes: true": config.weight_changes,
            "recall.relearn: true, recall.wordings: question, held_out": config.recall.is_complete,
            "one entry in windows": len(config.windows) == 1,
            "experiments": bool(config.experiments),
            "controls.donors: []": not config.controls.donors,
        }
        return [name for name, is_there in needed.items() if not is_there]

    def _has_round(self, model: str) -> bool:
        """Whether states are known of models of one concept, with all that is measured of them."""
        concepts = {state["concept"] for state in self.study.model_states(model)}
        if len(concepts) != 1 or model not in self._models_with_depth:
            return False
        return has_held_out_half(self.study.entry(model, concepts.pop()))

    @cached_property
    def _models_with_depth(self) -> set[str]:
        return {row.model for row in self.study.unlearned if self.files("depth", row)}

    @cached_property
    def _audited_models(self) -> set[str]:
        return {row.model for row in self.study.unlearned if self.files("exposure", row)}

    def pooled_rounds(self) -> list[str]:
        """This study's rounds that count in the error rates: all, or none."""
        return self.rounds() if self.study.config.calibration.own else []

    def all_rounds(self) -> list[str]:
        """The rounds that count in the error rates: this study's, and finished ones."""
        return [*self.pooled_rounds(), *self.study.finished_rounds]

    def fact_rounds(self) -> list[str]:
        """The tables of rounds of facts: models of one concept, all taught here, and audited.

        Raises:
            StudyError: if there are none.
        """
        study, rounds = self.study, []
        for model in study.models:
            rows = [row for row in study.unlearned if row.model == model]
            are_taught = all(study.host(row).kind == "teach" for row in rows)
            has_all = model in self._audited_models & self._models_with_depth
            if are_taught and has_all and len({row.concept for row in rows}) == 1:
                names = (f"{model}_facts.csv", f"{model}_copies.csv")
                rounds += [study.config.path("fact_rounds", name) for name in names]
        if not (rounds and study.config.weight_changes):
            raise StudyError(
                "this study has no rounds of facts; they need audit.tests, weight_changes: true, a "
                "reference model, and a model of one concept whose copies are all made from teach "
                "rows (calibration/README.md)"
            )
        return rounds

    # Tables, figures, report.

    def tables(self) -> list[str]:
        """The tables: those of all studies that have sweeps, and those that are wanted."""
        config = self.study.config
        has_audit, has_answers = bool(self._audited_models), bool(config.behaviour.sets)
        has_sweeps = bool(config.experiments)
        of_sweeps = ("krs.parquet", "coverage.csv", "curves.csv", "statistics.csv", "scores.csv")
        wanted = [
            (of_sweeps, has_sweeps),
            (("disagreements.csv", "claims.csv", "controls.csv"), has_sweeps),
            (("self_patch.csv",), config.controls.self_patch),
            (("weight_changes.csv",), config.weight_changes),
            (("facts.csv", "verdicts.csv"), has_audit),
            (("utility.csv",), bool(config.utility.tasks)),
            (("answers.parquet", "behaviour.csv"), has_answers),
            (("recall.csv",), bool(self.results("recall"))),
            (("depth.parquet", "uds.csv", "depth.csv"), bool(self._models_with_depth)),
            (("reference.csv",), has_sweeps and config.reference is not None),
            (("rounds.csv", "calibration.csv"), has_sweeps and bool(self.all_rounds())),
            (("krs_unrelated.parquet", "specificity.csv"), config.specificity),
        ]
        names = [name for names, is_wanted in wanted if is_wanted for name in names]
        return [config.path("tables", name) for name in names]

    def table(self, name: str) -> list[str]:
        return [path for path in self.tables() if Path(path).name == name]

    def figures(self, name: str = "") -> list[str]:
        return [
            self.study.config.path("figures", model, f"{stem}.{suffix}")
            for model in self.study.models
            for figure in FIGURES.values()
            if name in ("", figure.name) and self._is_drawn(figure, model)
            for stem in self._stems(figure, model)
            for suffix in self.study.config.figures.formats
        ]

    def calibration_figure(self) -> list[str]:
        config = self.study.config
        formats = config.figures.formats if config.experiments and self.all_rounds() else ()
        return [self.study.config.path("figures", f"calibration.{suffix}") for suffix in formats]

    def _is_drawn(self, figure: FigureSpec, model: str) -> bool:
        """Whether the config asks for it, and the model has what it shows."""
        config = self.study.config
        return {
            "curves": bool(config.experiments) and self.study.has_unlearned_copy(model),
            "widths": bool(config.experiments) and len(config.windows) > 1,
            "weight_changes": config.weight_changes,
            "noising_ratio": bool(set(config.experiments) & set(NOISING)),
            "depth": model in self._models_with_depth,
            "facts": model in self._audited_models,
            "behaviour": bool(config.behaviour.sets),
            "behaviour_patched": config.has_patched_answers,
        }.get(figure.name, bool(config.experiments))

    def _stems(self, figure: FigureSpec, model: str) -> list[str]:
        """A figure's file names of one model, without their format."""
        config, has_facts = self.study.config, self.study.has_facts(model)
        drawn: dict[str, Sequence[str]] = {
            "window": config.figure_windows(),
            "span": [span for span in config.figures.spans if span != FACT or has_facts],
            "score": config.figures.scores,
            "form": config.depth.forms,
        }
        selections = product(*(drawn[part] for part in figure.parts))
        return [
            figure.stem.format(**dict(zip(figure.parts, selection, strict=True)))
            for selection in selections
        ]

    def audit(self) -> list[str]:
        """The audit's page, tables and verdicts, where facts are tested for."""
        if not self._audited_models:
            return []
        names = ["audit.html", "model_card.md", "verdict.json"]
        names += ["tables/facts.csv", "tables/verdicts.csv"]
        return [*(self.study.config.path(name) for name in names), *self.figures("facts")]

    def report(self) -> list[str]:
        """The report's page, of a study that has sweeps."""
        return [self.study.config.path("report.html")] if self.study.config.experiments else []

    def report_tables(self) -> list[str]:
        unread = {"self_patch.csv", "depth.parquet", "krs_unrelated.parquet", "rounds.csv"}
        if not self.study.config.controls.donors:
            unread.add("controls.csv")
        return [path for path in self.tables() if Path(path).name not in unread]

    def report_recalls(self) -> list[str]:
        models = [Path(table).stem for table in self.rounds()]
        return [path for model in models for path in self.results("recall", model=model)]

    # What needs a checkpoint's weights, and so whether they must be downloaded.

    def results_that_read(self, row: CheckpointRow) -> list[str]:
        """All files that are computed from a checkpoint's weights (rows of one repository share
        them).
        """
        rows = [row]
        if row.kind == "hub":
            source = (row.source, row.revision)
            rows = [other for other in self.study.rows if (other.source, other.revision) == source]
        return _distinct(path for other in rows for path in self._needing(other))

    def _needing(self, row: CheckpointRow) -> Iterator[str]:
        study = self.study
        for trained in self._trainings.get(row, ()):
            yield study.manifest_path(*trained.key)
        is_donor = row.method == study.config.reference_donor
        for other in study.unlearned if is_donor or not row.concept else [row]:
            if other.model != row.model:
                continue
            if row.method == ORIGINAL:
                for name in DATASETS:
                    yield from self.files(name, replace(row, concept=other.concept))
                    # Jobs of copies check that the original is whole, if they do not read it.
                    yield from self.files(name, other)
            elif study.row(*other.key) == row:
                for name in DATASETS:
                    yield from self.files(name, other)
            elif is_donor and study.row(row.model, row.method, other.concept) == row:
                yield from self.files("krs", other)

    @cached_property
    def _trainings(self) -> dict[CheckpointRow, list[CheckpointRow]]:
        """The rows that are trained here, by the row that they start from, if no original."""
        by_start: dict[CheckpointRow, list[CheckpointRow]] = {}
        for row in self.study.rows:
            if row.start not in ("", ORIGINAL):
                by_start.setdefault(self.study.start(row), []).append(row)
        return by_start


def _distinct(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))
