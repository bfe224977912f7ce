"""What Snakemake asks of a job by its wildcards."""

from types import SimpleNamespace
from typing import Any

from dissect.inputs.rows import CheckpointRow
from dissect.study.jobs import Jobs
from dissect.study.resources import NEEDS

ORIGINAL = CheckpointRow("m", "original", "", "path:own/original")
COPY = CheckpointRow("m", "dpo", "tea", "path:own/copy")


class Wildcards(SimpleNamespace):
    """As Snakemake's: attributes, and their values in the order of the rule's output."""

    def __iter__(self) -> Any:
        return iter(vars(self).values())


class Study:
    """As much of a study as the tests ask for."""

    config = SimpleNamespace(device="auto")

    def row(self, model: str, method: str, concept: str = "") -> CheckpointRow:
        return {row.key: row for row in (ORIGINAL, COPY)}[model, method, concept]

    def manifest_path(self, *key: str) -> str:
        return "/".join([*filter(None, key), "manifest.json"])

    def weights_mb(self, model: str) -> float | None:
        return {"m": 2000.0}.get(model)


jobs = Jobs(Study())  # type: ignore[arg-type]
SWEEP = Wildcards(model="m", method="dpo", concept="tea", experiment="attention")


def test_the_manifests_of_a_job() -> None:
    assert jobs.original(SWEEP) == "m/original/manifest.json"
    assert jobs.checkpoint(SWEEP) == "m/dpo/tea/manifest.json"


def test_the_checkpoint_that_a_job_makes() -> None:
    assert jobs.made_row(Wildcards(model="m", checkpoint="original")) == ORIGINAL
    assert jobs.made_row(Wildcards(model="m", checkpoint="dpo/tea")) == COPY
    assert jobs.made_row(Wildcards(model="m", method="dpo", concept="tea")) == COPY
    assert jobs.row(Wildcards(model="m", checkpoint="dpo/tea"))["source"] == "path:own/copy"
    made = jobs.made_manifest(Wildcards(model="m", checkpoint="dpo/tea"))
    assert made == "m/dpo/tea/manifest.json"


def test_memory_and_time_follow_the_models_size_and_grow_with_each_attempt() -> None:
    asked, needs = jobs.resources("dissect_layers"), NEEDS["dissect_layers"]
    assert asked["mem_mb"](SWEEP, attempt=2) == 2 * needs.mem_mb(2000.0)
    assert asked["runtime"](SWEEP, attempt=1) == needs.runtime(2000.0)
    assert (asked["gpu"], asked["device"]) == (1, "auto")


def test_a_rule_that_computes_on_no_gpu_asks_for_no_device() -> None:
    assert jobs.resources("measure_weight_changes").keys() == {"mem_mb", "runtime"}
