"""`python -m dissect compare` on what is no results folder: status 2 and one line, always."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from dissect.__main__ import main
from dissect.analysis.collect import collect_sweeps
from dissect.archive.archive import study_members, write_archive
from dissect.archive.redact import Redactor
from planted import flat, plant

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder of one sweep, collected."""
    folder = tmp_path / "results"
    collect_sweeps([plant(folder, flat(0.5))], folder / "tables/krs.parquet")
    return folder


@pytest.fixture
def packed(results: Path, tmp_path: Path) -> Path:
    """Its archive, as the workflow makes it."""
    path = tmp_path / "archive.zip"
    table = tmp_path / "checkpoints.tsv"
    table.write_text("model\tmethod\tconcept\tsource\n", "utf-8")
    outputs = [results / "tables/krs.parquet"]
    members = study_members(results, table, [], outputs, {"models": {}}, ROOT)
    write_archive(path, members, Redactor([]))
    return path


def refusal(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a comparison that ends with status 2."""
    assert main(["compare", str(old), str(new)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def with_manifest(members: dict[str, bytes]) -> dict[str, bytes]:
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items()]
    return {"MANIFEST.sha256": "".join(lines).encode()} | members


def test_an_archive_equals_its_results(
    results: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(packed), str(results)]) == 0
    assert capsys.readouterr().out.endswith("\nequal\n")


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8, 0.99])
def test_a_truncated_archive(
    results: Path, packed: Path, at: float, capsys: pytest.CaptureFixture[str]
) -> None:
    content = packed.read_bytes()
    packed.write_bytes(content[: int(len(content) * at)])
    assert f"{packed} cannot be unpacked" in refusal(packed, results, capsys)


@pytest.mark.parametrize("name", ["../out.csv", "/out.csv", "tables/../../out.csv"])
def test_a_member_outside_of_the_folder(
    results: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = zipped(tmp_path / "outside.zip", {name: b"a\n1\n"})
    told = refusal(outside, results, capsys)
    assert f"{outside}: member {name!r} would be unpacked outside of its folder" in told


def test_a_member_that_was_changed_in_the_archive(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {"tables/krs.parquet": (results / "tables/krs.parquet").read_bytes()}
    listed = with_manifest(members | {"tables/curves.csv": b"a\n1\n"})
    path = zipped(tmp_path / "a.zip", listed | {"tables/curves.csv": b"a\n2\n"})
    told = refusal(path, results, capsys)
    assert f"{path}: tables/curves.csv does not have the sha256 that MANIFEST.sha256 gives" in told
    path = zipped(tmp_path / "b.zip", with_manifest(members) | {"tables/new.csv": b"a\n"})
    assert f"{path}: tables/new.csv does not have" in refusal(path, results, capsys)
