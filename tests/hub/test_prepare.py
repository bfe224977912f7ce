"""What happens before the first job of a run that must download something."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planted_manifest import plant_manifest
from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.download import Download
from stillknows.models.manifest import Hashed, Manifest
from stillknows.study import availability
from stillknows.study.selection import PreflightRow, write_preflight

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

    monkeypatch.setattr(availability, "look_at", look_at)
    return names


@pytest.mark.parametrize(
    ("policy", "advice"),
    [
        ("error", "snakemake preflight checks again"),
        ("skip", "run the same command again, and the study goes on without them"),
        ("unlearn", "run the same command again, and they are trained here"),
    ],
)
def test_what_is_unavailable_stops_the_run_in_one_line(
    asked: list[str], tmp_path: Path, policy: str, advice: str
) -> None:
    with pytest.raises(StudyError, match=advice) as error:
        availability.look_at_due(ROWS[:3], tmp_path / "preflight.csv", policy)
    assert "(the hub does not say which): m dpo mate;" in str(error.value)
    assert "tea" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_refused_token_stops_the_run_until_it_is_fixed(asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "preflight.csv"
    for _ in range(2):
        with pytest.raises(StudyError, match="why"):
            availability.look_at_due(ROWS[3:], path, "error")
    assert asked == ["cocoa", "cocoa"]
    write_preflight(
        path, [PreflightRow(*ROWS[0].key, ROWS[0].source, ROWS[0].revision, "bad_token")]
    )
    availability.look_at_due(ROWS[:1], path, "error")


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Of a downloaded checkpoint."""
    monkeypatch.chdir(tmp_path)
    Path("weights").write_bytes(bytes(10))
    return plant_manifest(tmp_path / "manifest.json", ROWS[0], tmp_path, {"weights": 10})


def prepared(monkeypatch: pytest.MonkeyPatch, row: CheckpointRow, *planned: str) -> list[str]:
    """What is done before jobs that write these files, in a study with one row and two results."""
    done: list[str] = []
    sha256 = "0" * 64

    def download(repo: str, revision: str) -> Download:
        done.append("downloaded")
        Path("weights").write_bytes(bytes(10))
        hashes = {str(path): Hashed.of(path, sha256) for path in [Path.cwd() / "weights"]}
        return Download(Path.cwd(), revision, hashes, [])

    config = SimpleNamespace(preflight_csv="preflight.csv", on_missing_checkpoint="error")
    study: Any = SimpleNamespace(
        rows=[row], config=config, manifest_path=lambda *_: str(Path.cwd() / "manifest.json")
    )
    monkeypatch.setattr(availability, "download", download)
    monkeypatch.setattr(availability, "look_at_due", lambda *_: done.append("looked at"))
    monkeypatch.setattr(
        availability,
        "Products",
        lambda _: SimpleNamespace(results_that_read=lambda _: ["first", "second"]),
    )
    availability.prepare(study, set(planned))
    return done


def test_a_checkpoint_is_due_if_it_never_came_or_came_from_another_source(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepared(monkeypatch, ROWS[0]) == []
    assert prepared(monkeypatch, replace(ROWS[0], source="hub:someone/else")) == ["looked at"]
    assert prepared(monkeypatch, replace(ROWS[0], source="unlearn")) == []
    Path("manifest.json").unlink()
    assert prepared(monkeypatch, ROWS[0]) == ["looked at"]


def test_lost_weights_are_downloaded_again_for_a_job_that_needs_them(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its result is missing, or there and to be computed again."""
    assert prepared(monkeypatch, ROWS[0], "first") == []
    Path("weights").write_bytes(bytes(9))
    assert prepared(monkeypatch, ROWS[0], "another", "second") == ["downloaded"]
    Path("weights").unlink()
    assert prepared(monkeypatch, ROWS[0], "another") == []
    assert prepared(monkeypatch, ROWS[0], "first") == ["downloaded"]
