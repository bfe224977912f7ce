"""What happens before the first job of a run that must download something."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dissect.checkpoints import download
from dissect.checkpoints.manifest import Manifest, read_manifest
from dissect.errors import DissectError
from dissect.files import sha256_of
from dissect.inputs.rows import CheckpointRow
from dissect.preparation import prepare
from dissect.study.preflight import PreflightRow, read_preflight, write_preflight
from planted_manifest import plant_manifest

ROWS = [
    CheckpointRow("m", "dpo", name, f"hub:lab/{name}") for name in ("tea", "mate", "chai", "cocoa")
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows that were looked at; the hub has tea alone."""
    statuses = {"tea": "there", "mate": "gone", "chai": "unreachable", "cocoa": "bad_token"}
    names: list[str] = []

    def look_at(rows: Sequence[CheckpointRow]) -> list[PreflightRow]:
        names.extend(row.concept for row in rows)
        return [
            PreflightRow(*row.key, row.source, row.revision, statuses[row.concept], note="why")
            for row in rows
        ]

    monkeypatch.setattr(prepare, "look_at", look_at)
    return names


def test_what_is_there_goes_on_and_is_noted(asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "preflight.csv"
    prepare.look_at_due(ROWS[:1], path, "error")
    prepare.look_at_due(ROWS[:1], path, "error")
    assert asked == ["tea"]
    assert read_preflight(path)[ROWS[0].key].status == "there"


@pytest.mark.parametrize(
    ("policy", "advice"),
    [
        ("error", "snakemake preflight looks again"),
        ("skip", "run the same command again, and the study goes on without them"),
        ("unlearn", "run the same command again, and they are trained here"),
    ],
)
def test_what_is_not_to_be_had_stops_the_run_in_one_line(
    asked: list[str], tmp_path: Path, policy: str, advice: str
) -> None:
    with pytest.raises(DissectError, match=advice) as error:
        prepare.look_at_due(ROWS[:3], tmp_path / "preflight.csv", policy)
    assert "(the hub does not say which): m dpo mate;" in str(error.value)
    assert "tea" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_hub_that_does_not_answer_is_left_to_the_download(
    asked: list[str], tmp_path: Path, lines: pytest.LogCaptureFixture
) -> None:
    prepare.look_at_due(ROWS[2:3], tmp_path / "preflight.csv", "error")
    assert "m dpo chai: why" in lines.text


def test_a_refused_token_stops_the_run_until_it_is_mended(asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "preflight.csv"
    for _ in range(2):
        with pytest.raises(DissectError, match="why"):
            prepare.look_at_due(ROWS[3:], path, "error")
    assert asked == ["cocoa", "cocoa"]
    write_preflight(
        path, [PreflightRow(*ROWS[0].key, ROWS[0].source, ROWS[0].revision, "bad_token")]
    )
    prepare.look_at_due(ROWS[:1], path, "error")


def test_what_is_brought_back_is_not_hashed_by_every_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    sha256 = sha256_of(weights)
    path = tmp_path / "manifest.json"
    manifest = plant_manifest(path, ROWS[0], tmp_path, {weights.name: 7})
    done = download.Download(tmp_path, "c" * 40, {weights.name: sha256}, [])
    monkeypatch.setattr(prepare, "download", lambda _repo, _revision: done)
    prepare.restore(ROWS[0], path, manifest)
    with monkeypatch.context() as context:
        context.delattr("dissect.checkpoints.manifest.sha256_of")
        read_manifest(path)
    done.sha256[weights.name] = "0" * 64
    prepare.restore(ROWS[0], path, manifest)
    with pytest.raises(DissectError, match="has sha256 0000"):
        read_manifest(path)


WANTED = ["done", "missing"]


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Of a downloaded checkpoint, with one finished result and one that is missing."""
    monkeypatch.chdir(tmp_path)
    Path("weights").write_bytes(bytes(10))
    Path("done").touch()
    return plant_manifest(tmp_path / "manifest.json", ROWS[0], tmp_path, {"weights": 10})


def test_a_checkpoint_is_due_if_it_never_came_or_came_from_another_source(
    manifest: Manifest,
) -> None:
    assert not prepare.is_due(ROWS[0], manifest)
    assert prepare.is_due(ROWS[0], None)
    assert prepare.is_due(replace(ROWS[0], source="hub:someone/else"), manifest)


def test_lost_weights_are_wanted_again_for_a_result_that_is_missing(manifest: Manifest) -> None:
    assert not prepare.is_wanted_again(manifest, WANTED)
    Path("weights").write_bytes(bytes(9))
    assert prepare.is_wanted_again(manifest, WANTED)
    Path("weights").unlink()
    assert prepare.is_wanted_again(manifest, WANTED)
    assert not prepare.is_wanted_again(manifest, WANTED[:1])
