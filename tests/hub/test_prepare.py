"""What happens before the first job of a run that must download something."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dissect.checkpoints import download, prepare
from dissect.checkpoints.manifest import read_manifest
from dissect.errors import DissectError
from dissect.files import sha256_of
from dissect.study.preflight import PreflightRow, read_preflight, write_preflight
from dissect.study.products import HubCheckpoint
from dissect.study.rows import CheckpointRow
from planted_manifest import plant_manifest

ROWS = [
    CheckpointRow("m", "dpo", name, f"hub:lab/{name}") for name in ("tea", "mate", "chai", "cocoa")
]
DUE = [HubCheckpoint(row, f"nowhere/{row.concept}.json", []) for row in ROWS]


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
    prepare.look_at_due(DUE[:1], path, "error")
    prepare.look_at_due(DUE[:1], path, "error")
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
        prepare.look_at_due(DUE[:3], tmp_path / "preflight.csv", policy)
    assert "(the hub does not say which): m dpo mate;" in str(error.value)
    assert "tea" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_hub_that_does_not_answer_is_left_to_the_download(
    asked: list[str], tmp_path: Path, lines: pytest.LogCaptureFixture
) -> None:
    prepare.look_at_due(DUE[2:3], tmp_path / "preflight.csv", "error")
    assert "m dpo chai: why" in lines.text


def test_a_refused_token_stops_the_run_until_it_is_mended(asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "preflight.csv"
    for _ in range(2):
        with pytest.raises(DissectError, match="why"):
            prepare.look_at_due(DUE[3:], path, "error")
    assert asked == ["cocoa", "cocoa"]
    write_preflight(
        path, [PreflightRow(*ROWS[0].key, ROWS[0].source, ROWS[0].revision, "bad_token")]
    )
    prepare.look_at_due(DUE[:1], path, "error")


def test_what_is_brought_back_is_not_hashed_by_every_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    sha256 = sha256_of(weights)
    manifest = tmp_path / "manifest.json"
    plant_manifest(manifest, ROWS[0], tmp_path, {weights.name: 7})
    done = download.Download(tmp_path, "c" * 40, {weights.name: sha256}, [])
    monkeypatch.setattr(prepare, "download", lambda _repo, _revision: done)
    prepare.bring_back(HubCheckpoint(ROWS[0], str(manifest), []))
    with monkeypatch.context() as context:
        context.delattr("dissect.checkpoints.manifest.sha256_of")
        read_manifest(manifest)
    done.sha256[weights.name] = "0" * 64
    with pytest.raises(DissectError, match="has another sha256"):
        prepare.bring_back(HubCheckpoint(ROWS[0], str(manifest), []))
