"""The archive: the same bytes twice, every file with its sha256, nothing of the machine in it."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from planted import flat, plant
from planted_archive import pack, plant_archived_study
from stillknows.analysis.collect import collect_sweeps
from stillknows.errors import StudyError
from stillknows.parquet_files import read_metadata
from stillknows.report.archive import Redactor, workflow_commit
from stillknows.study.config import load_config


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    return plant_archived_study(tmp_path)


def test_every_file_is_there_with_its_sha256(study: dict[str, Any]) -> None:
    archive = pack(study)
    lines = archive.read("MANIFEST.sha256").decode().splitlines()
    hashes = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sorted(hashes) == [
        "CITATION.cff",
        "LICENSE",
        "README.md",
        "checkpoints.tsv",
        "checkpoints/path/tiny/original/manifest.json",
        "config.yaml",
        "figures/curves.png",
        "provenance.json",
        "ro-crate-metadata.json",
        "tables/coverage.csv",
        "tables/krs.parquet",
        "workflow/Snakefile",
    ]
    assert archive.namelist() == ["MANIFEST.sha256", *sorted(hashes)]
    for name, digest in hashes.items():
        assert hashlib.sha256(archive.read(name)).hexdigest() == digest


def test_the_same_bytes_whenever_it_is_packed(study: dict[str, Any]) -> None:
    pack(study)
    for path in study["outputs"]:
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    study["outputs"].reverse()
    pack(study, "again.zip")
    root = study["workflow"]
    assert (root / "archive.zip").read_bytes() == (root / "again.zip").read_bytes()
    assert not list(root.glob("*.members"))


def test_nothing_of_the_machine_is_in_it(study: dict[str, Any], tmp_path: Path) -> None:
    archive = pack(study)
    for name in archive.namelist():
        assert str(tmp_path).encode() not in archive.read(name), name
    assert archive.read("tables/coverage.csv") == b"reason\nfolder .../original is gone\n"
    manifest = json.loads(archive.read("checkpoints/path/tiny/original/manifest.json"))
    assert manifest["source"] == "path:.../original"
    assert "folder" not in manifest


def test_a_parquet_file_keeps_its_rows(study: dict[str, Any], tmp_path: Path) -> None:
    pack(study).extract("tables/krs.parquet", tmp_path / "unpacked")
    packed, kept = tmp_path / "unpacked/tables/krs.parquet", study["results"] / "tables/krs.parquet"
    assert pd.read_parquet(packed).equals(pd.read_parquet(kept))
    assert read_metadata(packed)["original_source"] == "path:.../original"


def test_files_that_tell_nothing_are_packed_as_they_are(study: dict[str, Any]) -> None:
    kept = study["results"] / "tables/krs.parquet"
    collect_sweeps([plant(study["results"], flat(0.5))], kept)
    assert pack(study).read("tables/krs.parquet") == kept.read_bytes()


def test_the_config_is_whole(study: dict[str, Any]) -> None:
    packed = load_config(yaml.safe_load(pack(study).read("config.yaml")))
    assert packed.results == ".../results"
    assert packed.figures == load_config(study["config"]).figures


@pytest.mark.parametrize("token", ["hf_" + "a" * 34, "the token of this process"])
def test_a_token_is_refused(
    study: dict[str, Any], token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "the token of this process")
    (study["results"] / "tables/coverage.csv").write_text(f"reason\n{token}\n", "utf-8")
    with pytest.raises(StudyError, match=r"tables/coverage.csv holds an access token"):
        pack(study)
    assert not list(study["workflow"].glob("*archive.zip*"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/me/model and /data/me", ".../model and .../me"),
        ("/data/me/model2 /other/data/me", ".../me/model2 /other/data/me"),
        ("https://me:secret@host/data", "https://host/data"),
    ],
)
def test_only_whole_paths_are_cut(text: str, expected: str) -> None:
    found = Redactor([Path("/data/me"), Path("/data/me/model"), Path("relative")])
    assert found.redact(text, "x") == expected


def test_the_commit_is_that_of_the_workflow_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-03-01T01:00:00+02:00")

    def git(*words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert workflow_commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "Snakefile").write_text("# rules\n", "utf-8")
    git("add", "."), git("commit", "-qm", "x")
    expected = {"commit": git("rev-parse", "HEAD"), "date": "2026-02-28", "modified": False}
    assert workflow_commit(tmp_path) == expected
    (tmp_path / "Snakefile").write_text("# other rules\n", "utf-8")
    found = workflow_commit(tmp_path)
    assert found is not None and found["modified"]
    (tmp_path / "inside").mkdir()
    assert workflow_commit(tmp_path / "inside") is None
