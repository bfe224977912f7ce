"""A study of checkpoints from the hub: looked at, brought, removed, and wanted again."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_study import Run, Workflow, make

from hub_stand_in import HubStandIn, Status
from stillknows.files import read_json
from tiny import save_tiny

ROWS = [
    ("tiny", "original", "", "hub:lab/original"),
    ("tiny", "dpo", "tea", "hub:lab/dpo_tea"),
    ("tiny", "dpo", "mate", "hub:lab/dpo_mate"),  # nobody has it
]
ONE = {"concepts": {"tiny": ["tea", "mate"]}, "experiments": ["attention"]}
SKIP = ONE | {"on_missing_checkpoint": "skip", "keep_checkpoints": False}
RELEASED = [
    f"results/tiny/checkpoints/hub/tiny/{of}/released.json" for of in ("original", "dpo/tea")
]
# All that a study ends with, but for its figures and its report.
ENDS = ("tables", *RELEASED)


@dataclass(frozen=True)
class HubStudy:
    """The tiny study on hub: rows, and the hub."""

    hub: HubStandIn
    workflow: Workflow

    def run(self, *options: str, **changes: object) -> Run:
        self.workflow.write_config(**changes)
        return self.workflow.run(*options)

    @property
    def weights(self) -> list[Path]:
        """What lies in the hub's cache."""
        home = Path(self.hub.environment()["HF_HOME"])
        return [path for path in home.rglob("*.safetensors") if path.exists()]

    @property
    def statuses(self) -> dict[str, str]:
        path = self.workflow.result("checkpoints/preflight.csv")
        rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        return {row["source"].removeprefix("hub:lab/"): row["status"] for row in rows}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubStudy]:
    root = tmp_path_factory.mktemp("hub_study")
    original = save_tiny(root / "served/original")
    with HubStandIn() as hub:
        hub.add("lab/original", original, gated=True)
        hub.add("lab/dpo_tea", save_tiny(root / "served/dpo_tea", near=original, seed=1))
        workflow = make(root / "work")
        workflow.write_table(ROWS)
        before = dict(os.environ)
        os.environ.update(hub.environment(token=hub.token))
        yield HubStudy(hub, workflow)
        os.environ.clear()
        os.environ.update(before)


def test_a_missing_checkpoint_stops_everything_before_it_starts(study: HubStudy) -> None:
    run = study.run(**ONE)
    assert run.status != 0
    assert "private or gone (the hub does not say which): tiny dpo mate" in run.error
    assert not study.weights
    assert not list(study.workflow.result("krs").rglob("*"))


def test_preflight_shows_what_is_there_and_brings_no_weights(study: HubStudy) -> None:
    run = study.run("preflight", **ONE)
    assert run.status == 0, run.output
    assert study.statuses == {"original": "there", "dpo_tea": "there", "dpo_mate": "gone"}
    assert "2 of 3 checkpoints are available" in run.output
    assert not study.weights


def test_with_skip_the_study_ends_and_the_weights_are_gone(study: HubStudy) -> None:
    weights = ("lab/original", "model.safetensors")
    study.hub.faults[weights] = [Status(503), Status(503)]  # Snakemake starts the job again
    run = study.run(**SKIP)
    assert run.status == 0, run.output
    sent = [it for it in study.hub.requests if (it.repo, it.file) == weights and it.method == "GET"]
    assert [request.status for request in sent] == [503, 503, 200]
    assert [path.name for path in study.workflow.result("krs").rglob("*.parquet")] == [
        "attention.parquet"
    ]
    coverage = study.workflow.result("tables/coverage.csv").read_text(encoding="utf-8")
    assert "private or gone" in coverage
    assert not study.weights
    for released in RELEASED:
        removed = read_json(study.workflow.root / released)["removed"]
        assert removed == ["model.safetensors"]


def test_finished_sweeps_do_not_ask_for_removed_weights(study: HubStudy) -> None:
    assert study.run("--dry-run", **SKIP).jobs == {}


def test_a_further_sweep_brings_them_back_and_runs_alone(study: HubStudy) -> None:
    more = SKIP | {"experiments": ["attention", "value_vectors"]}
    planned = study.run("--dry-run", *ENDS, **more).jobs
    assert planned["dissect_layers"] == 1
    assert not {"download_checkpoint", "record_original"} & set(planned)
    run = study.run(*ENDS, **more)
    assert run.status == 0, run.output
    assert not study.weights
    assert study.run("--dry-run", *ENDS, **more).jobs == {}


def test_no_file_of_the_study_holds_the_token(study: HubStudy) -> None:
    files = [path for path in study.workflow.root.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert not [path for path in files if study.hub.token.encode() in path.read_bytes()]
