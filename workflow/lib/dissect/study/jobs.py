"""What a job needs, by its wildcards: the functions that Snakemake calls for each job."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dissect.study.resources import memory_mb, runtime_minutes
from dissect.study.rows import ORIGINAL, CheckpointRow
from dissect.study.study import Study


@dataclass(frozen=True)
class Jobs:
    """The jobs of a study; `wildcards` as Snakemake has them, in the order of the rule's output."""

    study: Study

    def original(self, wildcards: Any) -> str:
        """The manifest of a job's original."""
        return self.study.manifest_path(wildcards.model, ORIGINAL)

    def unlearned(self, wildcards: Any) -> str:
        """The manifest of the unlearned checkpoint that a job is about."""
        return self.study.manifest_path(wildcards.model, wildcards.method, wildcards.concept)

    def checked(self, wildcards: Any) -> str:
        """The manifest of either, where the method may be original."""
        is_original = wildcards.method == ORIGINAL
        return self.original(wildcards) if is_original else self.unlearned(wildcards)

    def texts(self, wildcards: Any) -> str:
        """A job's concept, with answers."""
        return self.study.texts_path(wildcards.model, wildcards.concept)

    def retained(self, wildcards: Any) -> list[str]:
        """The concepts whose texts a training retains."""
        return self._auxiliary_paths(wildcards)["retain"]

    def held_out(self, wildcards: Any) -> list[str]:
        """The concepts that a training only watches."""
        return self._auxiliary_paths(wildcards)["held_out"]

    def _auxiliary_paths(self, wildcards: Any) -> dict[str, list[str]]:
        return self.study.auxiliary_paths(wildcards.model, wildcards.method, wildcards.concept)

    def checkpoint(self, wildcards: Any) -> CheckpointRow:
        """The row of the checkpoint that a job makes: {model}/{checkpoint}, or all three names."""
        return self.study.row(*"/".join(wildcards).split("/"))

    def made_manifest(self, wildcards: Any) -> str:
        """The manifest of the checkpoint that a job makes."""
        return self.study.manifest_path(*self.checkpoint(wildcards).key)

    # Parameters.

    def row(self, wildcards: Any) -> dict[str, str]:
        """The row of the checkpoint that a job makes, as Snakemake records it."""
        return asdict(self.checkpoint(wildcards))

    def recipe(self, wildcards: Any) -> dict[str, Any]:
        """How a training's method is trained."""
        return self.study.config.recipe(wildcards.method).model_dump()

    def prompt(self, wildcards: Any) -> str:
        """How a job's model wants its questions."""
        return self.study.config.models[wildcards.model].prompt

    # Resources: more at each attempt.

    def mem_mb(self, task: str) -> Callable[..., int]:
        """Megabytes of memory of a task's jobs, by the size of their model."""

        def by_size(wildcards: Any, attempt: int) -> int:
            return attempt * memory_mb(task, self._weights_mb(wildcards))

        return by_size

    def runtime(self, task: str) -> Callable[..., int]:
        """Minutes of a task's jobs, by the size of their model."""

        def by_size(wildcards: Any, attempt: int) -> int:
            return attempt * runtime_minutes(task, self._weights_mb(wildcards))

        return by_size

    def _weights_mb(self, wildcards: Any) -> float | None:
        return self.study.weights_mb(wildcards.model) if hasattr(wildcards, "model") else None
