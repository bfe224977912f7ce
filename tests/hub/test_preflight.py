"""Preflight: every row of a table looked at, before anything is downloaded."""

import json
from pathlib import Path

import pytest
from sharded_repository import REPO

from hub_stand_in import HubStandIn
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.availability import look_at
from stillknows.study.selection import AVAILABLE, PreflightRow


def hub_row(repo: str, concept: str = "", revision: str = "") -> CheckpointRow:
    method = "dpo" if concept else "original"
    return CheckpointRow("m", method, concept, f"hub:{repo}", revision)


def serve(hub: HubStandIn, folder: Path, repo: str, config: dict[str, object]) -> str:
    """A repository with this config and a few bytes for weights."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return hub.add(repo, folder, gated="gated" in repo)


def status_of(row: CheckpointRow) -> PreflightRow:
    (found,) = look_at([row])
    return found


def test_a_row_that_is_there(hub: HubStandIn, tmp_path: Path) -> None:
    commit = serve(hub, tmp_path / "a", "lab/a", {"model_type": "llama"})
    found = status_of(hub_row("lab/a"))
    assert (found.status, found.commit, found.gated) == (AVAILABLE, commit, "no")
    assert (found.format, found.family, found.files, found.note) == ("transformers", "llama", 2, "")
    assert found.bytes == 1000 + (tmp_path / "a/config.json").stat().st_size
    assert {request.file for request in hub.requests if request.file} == {"config.json"}


def test_a_legacy_olmo_is_told_from_its_config(hub: HubStandIn, tmp_path: Path) -> None:
    serve(hub, tmp_path / "a", "lab/a", {"model_type": "olmo", "d_model": 64})
    found = status_of(hub_row("lab/a"))
    assert (found.status, found.format, found.family) == (AVAILABLE, "olmo-legacy", "olmo")
    assert found.note == "the table says transformers; it is read as olmo-legacy"


@pytest.mark.parametrize("repo", ["lab/gated", "lab/nowhere", "lab/mamba"])
def test_a_row_that_is_unavailable(hub: HubStandIn, tmp_path: Path, repo: str) -> None:
    serve(hub, tmp_path / "a", "lab/gated", {"model_type": "llama"})
    serve(hub, tmp_path / "b", "lab/mamba", {"model_type": "mamba"})
    expected = {"lab/gated": "gated", "lab/nowhere": "gone", "lab/mamba": "unknown_family"}
    assert status_of(hub_row(repo)).status == expected[repo]
    assert status_of(hub_row(REPO, revision="v9")).status == "revision_gone"


def test_a_hub_that_does_not_answer_is_said_of_every_row(hub: HubStandIn) -> None:
    hub.stop()
    found = look_at([hub_row("lab/a"), hub_row("lab/b", "tea"), hub_row("lab/c", "mate")])
    assert [item.status for item in found] == ["unreachable"] * 3
    assert "lab/b" in found[1].note


def test_rows_of_other_kinds_keep_their_order(hub: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/config.json").write_text("{}")
    rows = [
        CheckpointRow("m", "original", "", f"path:{tmp_path}/own"),
        hub_row("lab/nowhere", "tea"),
        CheckpointRow("m", "dpo", "mate", f"path:{tmp_path}/other"),
        CheckpointRow("m", "dpo", "cocoa", "unlearn"),
        hub_row(REPO, "chai"),
    ]
    found = look_at(rows)
    assert [item.concept for item in found] == ["", "tea", "mate", "cocoa", "chai"]
    assert [item.status for item in found] == [AVAILABLE, "gone", "missing", "later", AVAILABLE]
