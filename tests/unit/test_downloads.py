"""Which hub: checkpoints are due, by what lies there."""

import json
from pathlib import Path
from typing import Any

import pytest

from dissect.study.products import HubCheckpoint
from dissect.study.rows import CheckpointRow
from planted_manifest import plant_manifest

ROW = CheckpointRow("m", "dpo", "tea", "hub:someone/m_dpo_tea")


@pytest.fixture
def download(tmp_path: Path) -> HubCheckpoint:
    """A downloaded checkpoint with one finished cell and one that is not there."""
    (tmp_path / "weights").write_bytes(bytes(10))
    (tmp_path / "done").touch()
    plant_manifest(tmp_path / "manifest.json", ROW, tmp_path, {"weights": 10})
    results = [str(tmp_path / "done"), str(tmp_path / "other")]
    return HubCheckpoint(ROW, str(tmp_path / "manifest.json"), results)


def change(download: HubCheckpoint, **changes: Any) -> None:
    path = Path(download.manifest)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_there_is_not_due(download: HubCheckpoint) -> None:
    assert not download.is_due
    assert not download.is_wanted_again


def test_what_was_never_there_is_due(download: HubCheckpoint) -> None:
    Path(download.manifest).unlink()
    assert download.is_due
    assert not download.is_wanted_again


def test_another_source_is_due(download: HubCheckpoint) -> None:
    change(download, source="hub:someone/else")
    assert download.is_due


@pytest.mark.parametrize("how", ["removed", "cut short"])
def test_lost_weights_are_due_again_for_a_cell_that_is_not_there(
    download: HubCheckpoint, how: str
) -> None:
    weights = Path(download.manifest).with_name("weights")
    weights.unlink() if how == "removed" else weights.write_bytes(bytes(9))
    assert not download.is_due
    assert download.is_wanted_again


def test_lost_weights_are_not_due_for_finished_cells(download: HubCheckpoint) -> None:
    Path(download.manifest).with_name("weights").unlink()
    Path(download.results[1]).touch()
    assert not download.is_wanted_again
