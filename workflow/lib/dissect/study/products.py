"""What a study ends with: its files by name, and which of them need a checkpoint's weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from dissect.figures.registry import FIGURES, FigureSpec
from dissect.study.downloads import HubCheckpoint
from dissect.study.layout import Cell
from dissect.study.rows import ORIGINAL, CheckpointRow
from dissect.study.study import Study

REPORT_TABLES = (
    "krs.parquet",
    "coverage.csv",
    "curves.csv",
    "statistics.csv",
    "scores.csv",
    "disagreements.csv",
    "claims.csv",
)


@dataclass(frozen=True)
class Products:
    """The files of a study. Each method that names several is a list of paths, without repeats."""

    study: Study

    # One for each cell, concept or checkpoint.

    def cells(self) -> list[str]:
        """Every cell's table."""
        return [self.study.layout.cell(cell) for cell in self.study.cells]

    def identities(self) -> list[str]:
        """Each unlearned model's identity control, and its original's on the same concept."""
        paths = [path for row in self.study.rows for path in self._identities(row)]
        return list(dict.fromkeys(paths))

    def traces(self) -> list[str]:
        """Every unlearned checkpoint's trace."""
        return [path for row in self._unlearned() for path in self._traces(row)]

    def answers(self) -> list[str]:
        """Every unlearned model's answers, unpatched and patched."""
        return [path for row in self._unlearned() for path in self._answers(row)]

    def original_answers(self) -> list[str]:
        """Every original's answers on the concepts that are studied."""
        paths = [
            self.study.layout.answers(row.model, ORIGINAL, row.concept)
            for row in self._unlearned()
            if self.study.config.behaviour.sets
        ]
        return list(dict.fromkeys(paths))

    def concepts(self) -> list[str]:
        """Every studied concept as its file has it."""
        paths = [self.study.layout.concept(row.model, row.concept) for row in self._unlearned()]
        return list(dict.fromkeys(paths))

    def manifests(self) -> list[str]:
        """Every selected checkpoint's manifest."""
        return [self.study.manifest_path(*row.key) for row in self.study.rows]

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
        return [self.study.layout.fetched(m) for m in self.study.models if models[m].concepts.url]

    # Of the whole study.

    def identity_tables(self) -> list[str]:
        """The table of all self-patch checks, if they are wanted."""
        wanted = self.study.config.controls.identity
        return [self.study.layout.table("identity.csv")] if wanted else []

    def trace_tables(self) -> list[str]:
        """The table of all traces, if they are wanted."""
        return [self.study.layout.table("trace.csv")] if self.study.config.trace else []

    def behaviour_tables(self) -> list[str]:
        """The tables of all answers; none if nothing is asked."""
        asked = self.study.config.behaviour.sets
        return [
            self.study.layout.table(name) for name in ("answers.parquet", "behaviour.csv") if asked
        ]

    def figures(self) -> list[str]:
        """Every figure, in every format."""
        return [
            self.study.layout.figure(model, stem, suffix)
            for model in self.study.models
            for figure in FIGURES.values()
            if self._is_drawn(figure)
            for stem in self._stems(figure)
            for suffix in self.study.config.figures.formats
        ]

    def _is_drawn(self, figure: FigureSpec) -> bool:
        """Whether the config asks for it; widths are compared where there are several."""
        config = self.study.config
        asked = config.behaviour
        return {
            "widths": len(config.windows) > 1,
            "trace": config.trace,
            "behaviour": bool(asked.sets),
            "behaviour_patched": bool(asked.sets and asked.patched.windows),
        }.get(figure.name, True)

    def _stems(self, figure: FigureSpec) -> list[str]:
        """A figure's file names of one model, without their format."""
        config = self.study.config
        drawn: dict[str, Sequence[str]] = {
            "window": config.figure_windows(),
            "span": config.figures.spans,
            "score": config.figures.scores,
        }
        selections = product(*(drawn[part] for part in figure.parts))
        return [
            figure.stem.format(**dict(zip(figure.parts, each, strict=True))) for each in selections
        ]

    # What the report is made from.

    def report_tables(self) -> list[str]:
        """The tables that the report reads: those of every study, and those that are wanted."""
        wanted = [self.study.layout.table(name) for name in REPORT_TABLES]
        if self.study.config.controls.donors:
            wanted.append(self.study.layout.table("controls.csv"))
        return wanted + self.trace_tables() + self.behaviour_tables()

    def report_figures(self) -> list[str]:
        """The figures that the report shows: those that a browser can."""
        return [path for path in self.figures() if path.endswith(".png")]

    def report_texts(self) -> list[str]:
        """The texts of every concept that has cells."""
        studied = dict.fromkeys((cell.model, cell.concept) for cell in self.study.cells)
        return [self.study.texts_path(model, concept) for model, concept in studied]

    def report_settings(self) -> dict[str, Any]:
        """The config as the report shows it: without what changes no result."""
        return self.study.config.model_dump(mode="json", exclude={"device"})

    # What needs a checkpoint's weights, and so whether they must be downloaded.

    def download(self, row: CheckpointRow) -> HubCheckpoint:
        """How a hub: row stands."""
        return HubCheckpoint(row, self.study.manifest_path(*row.key), self.needing(row))

    def needing(self, row: CheckpointRow) -> list[str]:
        """All files that are computed from a checkpoint's weights; an original's: its model's."""
        served = self._served_by(row)
        cells = [
            self.study.layout.cell(Cell(*other.key, experiment))
            for other in served
            for experiment in self.study.config.experiments
        ]
        traces = [path for other in served for path in self._traces(other)]
        answers = [path for other in served for path in self._answers(other, asker=row)]
        return list(dict.fromkeys(cells + self._identities(row) + traces + answers))

    def _unlearned(self) -> list[CheckpointRow]:
        return [row for row in self.study.rows if row.method != ORIGINAL]

    def _served_by(self, row: CheckpointRow) -> list[CheckpointRow]:
        """The unlearned checkpoints whose results need a checkpoint: itself; its model's all."""
        if row.method != ORIGINAL:
            return [row]
        return [other for other in self._unlearned() if other.model == row.model]

    def _identities(self, row: CheckpointRow) -> list[str]:
        """The identity controls of a checkpoint: one; for an original, one per concept."""
        if not self.study.config.controls.identity:
            return []
        concepts = dict.fromkeys(other.concept for other in self._served_by(row))
        layout = self.study.layout
        return [layout.identity(row.model, row.method, concept) for concept in concepts]

    def _traces(self, row: CheckpointRow) -> list[str]:
        return [self.study.layout.trace(*row.key)] if self.study.config.trace else []

    def _answers(self, row: CheckpointRow, asker: CheckpointRow | None = None) -> list[str]:
        """The answers on an unlearned row's concept, and patched: its own, or another asker's."""
        asked, layout = self.study.config.behaviour, self.study.layout
        if not asked.sets:
            return []
        plain = layout.answers(row.model, (asker or row).method, row.concept)
        patched = layout.answers(*row.key, patched=True)
        return [plain, patched] if asked.patched.windows else [plain]
