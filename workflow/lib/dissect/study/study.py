"""The study: config, checkpoints table and concept files as one object that the rules ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from dissect.errors import DissectError
from dissect.study.concepts import Entry, digest, has_answers, read_concept_file
from dissect.study.config import EXPERIMENTS, Config, load_config
from dissect.study.downloads import Download, read_known
from dissect.study.folders import check_folder, check_pair, layers_of
from dissect.study.preflight import Found, read_preflight
from dissect.study.selection import (
    ADAPTER_CONFIG,
    Missing,
    check_known,
    check_layers,
    check_texts,
    companions,
    rows_of,
    select,
)
from dissect.study.table import ORIGINAL, CheckpointRow, read_table
from dissect.study.windows import layers_between, windows_of

__all__ = ["EXPERIMENTS", "FIGURES", "Cell", "Study", "load_study"]

SUFFIX = ".safetensors"
# The figures, by what their names are followed by.
FIGURES = {
    "{window}.{span}.{score}": ("curves", "curves_by_method", "heatmap", "last_layer"),
    "{window}.{score}": ("spans",),
    "{window}.{span}": ("scores",),
    "{span}.{score}": ("widths",),
}
REPORT_TABLES = (
    "krs.parquet",
    "coverage.csv",
    "curves.csv",
    "statistics.csv",
    "scores.csv",
    "disagreements.csv",
    "claims.csv",
)


class Cell(NamedTuple):
    """One job of the sweep, and one parquet file."""

    model: str
    method: str
    concept: str
    experiment: str


@dataclass(frozen=True)
class Study:
    """What is to be computed, from what, and where each file goes.

    `rows` are the selected checkpoints (originals too) as they will be made: a missing one that is
    to be trained here has the source unlearn. `looked` is what preflight found.
    `entries` holds each model's concept file by id, or None while a file that comes by URL has not
    been fetched.
    """

    config: Config
    table: list[CheckpointRow]
    rows: list[CheckpointRow]
    missing: list[Missing]
    looked: Mapping[tuple[str, str, str], Found]
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
    def unlearned(self) -> list[tuple[str, str, str]]:
        """The unlearned checkpoints: model, method, concept."""
        return [row.key for row in self.rows if row.method != ORIGINAL]

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
                **Cell(found.row.model, found.row.method, found.row.concept, experiment)._asdict(),
                "reason": found.reason,
                "origin": found.row.origin,
            }
            for found in self.missing
            if found.row.method != ORIGINAL
            for experiment in self.config.experiments
        ]

    def row(self, model: str, method: str, concept: str = "") -> CheckpointRow:
        """The selected checkpoint of that name.

        Raises:
            DissectError: if the config does not select it.
        """
        found = self._by_key.get((model, method, concept))
        if found is None:
            raise DissectError(f"{model} {method} {concept} is not selected by the config")
        return found

    def row_of(self, model: str, checkpoint: str) -> CheckpointRow:
        """The selected checkpoint of a path's part: "original", or "<method>/<concept>"."""
        return self.row(model, *checkpoint.split("/"))

    # Where files go: the path grammar of results/README.md.

    def path(self, *parts: str) -> str:
        """A path under the results folder."""
        return str(Path(self.config.results, *parts))

    def checkpoint_folder(self, model: str, method: str, concept: str = "") -> str:
        """Where a checkpoint's manifest is; its weights too, unless it is a path: row's."""
        kind = self.row(model, method, concept).kind
        return self.path("checkpoints", kind, model, method, concept)

    def manifest_path(self, model: str, method: str, concept: str = "") -> str:
        """The file that vouches for a checkpoint."""
        return f"{self.checkpoint_folder(model, method, concept)}/manifest.json"

    def concept_path(self, model: str, concept: str) -> str:
        """One concept as its file has it."""
        return self.path("concepts", model, f"{concept}.json")

    def texts_path(self, model: str, concept: str) -> str:
        """One concept with answers: its file's, or the original's where the file has none."""
        entries = self.entries[model]
        # A file that is still to be fetched is taken to have answers, as the authors' have;
        # prepare_concept says so if not, and by then the file can be read here.
        if entries is None or has_answers(entries[concept]):
            return self.concept_path(model, concept)
        return self.path("answers", model, f"{concept}.json")

    @property
    def preflight_path(self) -> str:
        """What preflight found."""
        return preflight_path(self.config)

    def released_path(self, row: CheckpointRow) -> str:
        """The note that a checkpoint's weights were removed."""
        return f"{self.checkpoint_folder(*row.key)}/released.json"

    def recording_path(self, model: str, concept: str) -> str:
        """What the original did on a concept's texts."""
        return self.path("recordings", model, f"{concept}.safetensors")

    def cell_path(self, cell: Cell) -> str:
        """The table of one cell."""
        return self.path("krs", cell.model, cell.method, cell.concept, f"{cell.experiment}.parquet")

    def identity_path(self, model: str, method: str, concept: str) -> str:
        """What a model's own states do to it on one concept; of an original, too."""
        return self.path("identity", model, method, f"{concept}.parquet")

    def identity_paths(self) -> list[str]:
        """Each unlearned model's identity control, and its original's on the same concept."""
        return list(dict.fromkeys(path for row in self.rows for path in self.identities_of(row)))

    def trace_path(self, model: str, method: str, concept: str) -> str:
        """How far one unlearned checkpoint's parameters moved."""
        return self.path("trace", model, method, f"{concept}.parquet")

    def answers_path(self, model: str, method: str, concept: str, *, patched: bool = False) -> str:
        """What a model answers on a concept; the original's where method is original."""
        suffix = "patched.parquet" if patched else "parquet"
        return self.path("behaviour", model, method, f"{concept}.{suffix}")

    def table_path(self, name: str) -> str:
        """A table of the whole study."""
        return self.path("tables", name)

    def cell_paths(self) -> list[str]:
        """Every cell's table."""
        return [self.cell_path(cell) for cell in self.cells]

    def trace_paths(self) -> list[str]:
        """Every unlearned checkpoint's trace."""
        return [self.trace_path(*unlearned) for unlearned in self.unlearned]

    def trace_tables(self) -> list[str]:
        """The table of all traces, if they are wanted."""
        return [self.table_path("trace.csv")] if self.config.trace else []

    def answers_paths(self) -> list[str]:
        """Every unlearned model's answers, unpatched and patched."""
        return [
            path for key in self.unlearned for path in self._answers_of(self.row(*key), own=True)
        ]

    def behaviour_paths(self) -> list[str]:
        """The tables of all answers; none if nothing is asked."""
        names = ("answers.parquet", "behaviour.csv") if self.config.behaviour.sets else ()
        return [self.table_path(name) for name in names]

    def manifest_paths(self) -> list[str]:
        """Every selected checkpoint's manifest."""
        return [self.manifest_path(row.model, row.method, row.concept) for row in self.rows]

    def released_paths(self, *, originals: bool) -> list[str]:
        """The notes on removed weights that a run ends with: none if checkpoints are kept."""
        return [
            self.released_path(row)
            for row in self.rows
            if row.kind == "hub" and not self.config.keep_checkpoints
            if originals or row.method != ORIGINAL
        ]

    def figure_paths(self) -> list[str]:
        """Every figure, in every format."""
        return [
            self.path("figures", model, f"{name}.{suffix}")
            for model in self.models
            for name in self._figure_names()
            for suffix in self.config.figures.formats
        ] + [*self.trace_figures(), *self.behaviour_figures()]

    def trace_figures(self) -> list[str]:
        """The traces' figures, if they are wanted."""
        return [
            self.path("figures", model, f"trace.{suffix}")
            for model in self.models
            for suffix in self.config.figures.formats
            if self.config.trace
        ]

    def _figure_names(self) -> list[str]:
        """What is drawn of each model. Widths are compared where there are several to compare."""
        drawn = self.config.figures
        shown = product(self.config.figure_windows(), drawn.spans, drawn.scores)
        selections = [dict(zip(("window", "span", "score"), each, strict=True)) for each in shown]
        names = [
            f"{figure}.{pattern.format(**selection)}"
            for pattern, figures in FIGURES.items()
            for figure in figures
            for selection in selections
            if figure != "widths" or len(self.config.windows) > 1
        ]
        return list(dict.fromkeys(names))

    def behaviour_figures(self) -> list[str]:
        """The answers' figures, as far as questions are asked."""
        asked = self.config.behaviour
        wanted = {
            "behaviour": asked.sets,
            "behaviour_patched": asked.sets and asked.patched.windows,
        }
        return [
            self.path("figures", model, f"{figure}.{suffix}")
            for model in self.models
            for figure, is_asked in wanted.items()
            for suffix in self.config.figures.formats
            if is_asked
        ]

    # What the report is made from.

    def report_tables(self) -> list[str]:
        """The tables that the report reads: those of every study, and those that are wanted."""
        wanted = [self.table_path(name) for name in REPORT_TABLES]
        if self.config.controls.donors:
            wanted.append(self.table_path("controls.csv"))
        return wanted + self.trace_tables() + self.behaviour_paths()

    def report_figures(self) -> list[str]:
        """The figures that the report shows: those that a browser can."""
        return [path for path in self.figure_paths() if path.endswith(".png")]

    def report_texts(self) -> list[str]:
        """The texts of every concept that has cells."""
        studied = dict.fromkeys((cell.model, cell.concept) for cell in self.cells)
        return [self.texts_path(model, concept) for model, concept in studied]

    def report_settings(self) -> dict[str, Any]:
        """The config as the report shows it: without what changes no result."""
        return self.config.model_dump(mode="json", exclude={"device", "memory_gib"})

    # What has to be downloaded.

    def cells_of(self, row: CheckpointRow) -> list[str]:
        """The cells that need a checkpoint's weights: its own; for an original, its model's."""
        return [
            self.cell_path(Cell(*unlearned, experiment))
            for unlearned in self._served_by(row)
            for experiment in self.config.experiments
        ]

    def answers_of(self, row: CheckpointRow) -> list[str]:
        """The answers that a checkpoint gives, or helps to give; for an original, its model's."""
        if row.method != ORIGINAL:
            return self._answers_of(row, own=True)
        unlearned = [self.row(*key) for key in self.unlearned if key[0] == row.model]
        found = [path for other in unlearned for path in self._answers_of(other, own=False)]
        return list(dict.fromkeys(found))

    def _answers_of(self, row: CheckpointRow, *, own: bool) -> list[str]:
        """The answers on an unlearned row's concept: its own, or the original's; and patched."""
        asked = self.config.behaviour
        if not asked.sets:
            return []
        plain = self.answers_path(row.model, row.method if own else ORIGINAL, row.concept)
        patched = self.answers_path(*row.key, patched=True)
        return [plain, patched] if asked.patched.windows else [plain]

    def identities_of(self, row: CheckpointRow) -> list[str]:
        """The identity controls of a checkpoint: one; for an original, one per concept."""
        if not self.config.controls.identity:
            return []
        concepts = dict.fromkeys(concept for _, _, concept in self._served_by(row))
        return [self.identity_path(row.model, row.method, concept) for concept in concepts]

    def traces_of(self, row: CheckpointRow) -> list[str]:
        """The traces that need a checkpoint's weights, likewise."""
        return [self.trace_path(*key) for key in self._served_by(row) if self.config.trace]

    def _served_by(self, row: CheckpointRow) -> list[tuple[str, str, str]]:
        """The unlearned checkpoints whose results need a checkpoint: itself; its model's all."""
        if row.method != ORIGINAL:
            return [row.key]
        return [key for key in self.unlearned if key[0] == row.model]

    def needs_of(self, row: CheckpointRow) -> list[str]:
        """All files that are computed from a checkpoint's weights."""
        of_cells = self.cells_of(row) + self.identities_of(row)
        return of_cells + self.traces_of(row) + self.answers_of(row)

    def download(self, row: CheckpointRow) -> Download:
        """How a hub: row stands."""
        return Download(row, self.manifest_path(*row.key), self.needs_of(row))

    # What results depend on beside files.

    def concept_file(self, model: str) -> str:
        """The concept file itself: the user's, or where a fetched one lies."""
        source = self.config.models[model].concepts
        return source.path or self.path("concepts", f"{model}.json")

    def fetched_concept_files(self) -> list[str]:
        """The concept files that come by URL."""
        models = [name for name in self.models if self.config.models[name].concepts.url]
        return [self.concept_file(name) for name in models]

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
        retain, held_out = companions(recipe, concept, self.table, model)
        return {"retain": retain, "held_out": held_out}

    def companion_paths(self, model: str, method: str, concept: str) -> dict[str, list[str]]:
        """The files of `training_concepts`.

        The answers on held-out concepts are watched; of retained ones only the text is needed.
        """
        path_of = {"retain": self.concept_path, "held_out": self.texts_path}
        return {
            role: [path_of[role](model, other) for other in others]
            for role, others in self.training_concepts(model, method, concept).items()
        }

    def checkpoint_files(self, model: str, checkpoint: str) -> list[str]:
        """The files of a user's folder, checkpoint or adapter; a changed one is read again."""
        folder = Path(self.row_of(model, checkpoint).location)
        kinds = ("config.json", ADAPTER_CONFIG, "*.safetensors", "*.index.json", "tokenizer*")
        return sorted(str(file) for kind in kinds for file in folder.glob(kind))

    def weights_mb(self, model: str) -> float | None:
        """Megabytes of the original's weights, once they are known: here, or by preflight."""
        # Every job asks. While it is not known, it is looked for again: a run may bring it.
        found = self._weights_mb.get(model) or self._find_weights_mb(model)
        if found is not None:
            self._weights_mb[model] = found
        return found

    @cached_property
    def _weights_mb(self) -> dict[str, float]:
        return {}

    def _find_weights_mb(self, model: str) -> float | None:
        row = self.row(model, ORIGINAL)
        known, looked = read_known(self.manifest_path(*row.key)), self.looked.get(row.key)
        if known is not None:
            sizes = [item["size"] for item in known["files"] if item["name"].endswith(SUFFIX)]
        elif row.kind == "path":
            sizes = [file.stat().st_size for file in Path(row.location).glob(f"*{SUFFIX}")]
        else:
            sizes = [looked.bytes] if looked and looked.is_about(row) else []
        return sum(sizes) / 1e6 if sum(sizes) else None

    def layers(self, model: str) -> int | None:
        """How many layers a model has, once that is known."""
        row = self.row(model, ORIGINAL)
        known = read_known(self.manifest_path(*row.key))
        if known is not None:
            return int(known["layers"])
        return layers_of(Path(row.location)) if row.kind == "path" else None

    def check(self) -> None:
        """All that can be known of the study before a job runs.

        Raises:
            DissectError: for a folder that is no checkpoint or no copy of its original, a window
                 wider than its model, a control above its layers, a concept that its file does not
                 have, a training without text.
        """
        for row in self.rows:
            self._check_folder(row)
            entries = self.entries[row.model]
            if row.method == ORIGINAL:
                layers = self.layers(row.model)
                if layers is not None:
                    windows_of(self.config.windows, layers)
                    check_layers(self.config, row.model, layers)
                for name in self.config.behaviour.patched.windows:
                    layers_between(name, layers)
            elif entries is not None:
                check_known(self.config, row.model, [row.concept], entries)
            if row.kind != "unlearn":
                continue
            others = self.training_concepts(row.model, row.method, row.concept)
            if entries is not None:
                needed = [row.concept, *others["retain"], *others["held_out"]]
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


def load_study(values: dict[str, Any], *, looking: bool = False) -> Study:
    """Read the config's values, its table and its concept files, and check all of it.

    Relative paths start at the working directory.

    Args:
        looking: the study is only to be looked at, so whatever may be missing is no error.

    Raises:
        DissectError: one line on the first thing wrong.
    """
    config = load_config(values | {"on_missing_checkpoint": "skip"} if looking else values)
    table = read_table(Path(config.checkpoints))
    looked = {} if looking else read_preflight(Path(preflight_path(config)))
    selection = select(config, table, looked)
    models = dict.fromkeys(row.model for row in selection.rows)
    study = Study(
        config=config,
        table=table,
        rows=selection.rows,
        missing=selection.missing,
        looked=looked,
        entries={model: _entries(config, model) for model in models},
    )
    study.check()
    return study


def preflight_path(config: Config) -> str:
    """What preflight found, in the study's results."""
    return str(Path(config.results, "checkpoints", "preflight.csv"))


def _entries(config: Config, model: str) -> dict[str, Entry] | None:
    source = config.models[model].concepts
    if source.path is not None:
        return read_concept_file(Path(source.path))
    fetched = Path(config.results, "concepts", f"{model}.json")
    return read_concept_file(fetched) if fetched.exists() else None
