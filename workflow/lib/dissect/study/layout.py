"""Where a study's files go: the path grammar of results/README.md. Nothing here looks at a disk."""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

# The folders of a results folder.
FOLDERS = (
    *("answers", "behaviour", "benchmarks", "checkpoints", "concepts", "figures", "identity"),
    *("krs", "logs", "recordings", "tables", "trace", "training"),
)


class Cell(NamedTuple):
    """One job of the sweep, and one parquet file."""

    model: str
    method: str
    concept: str
    experiment: str


@dataclass(frozen=True)
class Layout:
    """The paths of one results folder."""

    results: str

    def path(self, *parts: str) -> str:
        """A path under the results folder."""
        return str(Path(self.results, *parts))

    @property
    def first_use(self) -> str:
        """When this working directory first used the results folder: a file outside of it.

        A folder that was copied here is newer to the working directory than its own tables are.
        """
        name = sha256(os.path.normpath(self.results).encode()).hexdigest()[:16]
        return f".snakemake/first_use/{name}"

    @property
    def preflight(self) -> str:
        """What preflight found."""
        return self.path("checkpoints", "preflight.csv")

    def checkpoint(self, kind: str, model: str, method: str, concept: str = "") -> str:
        """The folder of a checkpoint's manifest; of its weights too, unless it is a path: row's."""
        return self.path("checkpoints", kind, model, method, concept)

    def fetched(self, model: str) -> str:
        """A concept file that came by URL."""
        return self.path("concepts", f"{model}.json")

    def concept(self, model: str, concept: str) -> str:
        """One concept as its file has it."""
        return self.path("concepts", model, f"{concept}.json")

    def answered(self, model: str, concept: str) -> str:
        """One concept with the original's answers."""
        return self.path("answers", model, f"{concept}.json")

    def cell(self, cell: Cell) -> str:
        """The table of one cell."""
        return self.path("krs", cell.model, cell.method, cell.concept, f"{cell.experiment}.parquet")

    def identity(self, model: str, method: str, concept: str) -> str:
        """What a model's own states do to it on one concept; of an original, too."""
        return self.path("identity", model, method, f"{concept}.parquet")

    def trace(self, model: str, method: str, concept: str) -> str:
        """How far one unlearned checkpoint's parameters moved."""
        return self.path("trace", model, method, f"{concept}.parquet")

    def answers(self, model: str, method: str, concept: str, *, patched: bool = False) -> str:
        """What a model answers on a concept; the original's where method is original."""
        suffix = "patched.parquet" if patched else "parquet"
        return self.path("behaviour", model, method, f"{concept}.{suffix}")

    def table(self, name: str) -> str:
        """A table of the whole study."""
        return self.path("tables", name)

    def figure(self, model: str, name: str, suffix: str) -> str:
        """One picture of a model."""
        return self.path("figures", model, f"{name}.{suffix}")
