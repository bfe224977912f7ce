"""`python -m dissect compare` on what is no results folder: status 2 and one line, always."""

import hashlib
import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dissect.__main__ import main
from dissect.analysis.collect import collect_sweeps
from dissect.archive.archive import study_members, write_archive
from dissect.archive.redact import Redactor
from dissect.compare import archive
from dissect.results.schema import read_metadata, write_rows
from planted import flat, plant

ROOT = Path(__file__).parents[2]
NOBODY = 65534
SWEEP = "krs/tiny/dpo/tea/attention.parquet"


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


@pytest.mark.parametrize("name", [SWEEP, "tables/krs.parquet"])
def test_a_number_that_was_typed_in_after_packing_shows(
    results: Path, packed: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, metadata = pd.read_parquet(results / name), read_metadata(results / name)
    rows.loc[0, "krs"] = 0.99
    own = {key: metadata[key] for key in metadata if key not in ("pandas", "ARROW:schema")}
    write_rows(results / name, rows, own)
    assert main(["compare", str(packed), str(results)]) == 1
    said = capsys.readouterr().out
    if name == SWEEP:
        assert "0.5 -> 0.99" in said
    else:
        assert "krs.parquet  differs  1 of 1 sweeps differ, the first is tiny/dpo/tea" in said


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8, 0.99])
def test_a_truncated_archive(
    results: Path, packed: Path, at: float, capsys: pytest.CaptureFixture[str]
) -> None:
    content = packed.read_bytes()
    packed.write_bytes(content[: int(len(content) * at)])
    assert f"{packed} cannot be unpacked" in refusal(packed, results, capsys)


def test_an_archive_with_damaged_bytes(
    results: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = zipfile.ZipFile(packed).getinfo("tables/krs.parquet")
    content = bytearray(packed.read_bytes())
    middle = table.header_offset + table.compress_size // 2
    content[middle : middle + 64] = b"\xff" * 64
    packed.write_bytes(content)
    assert f"{packed} cannot be unpacked" in refusal(packed, results, capsys)


def test_an_encrypted_archive(
    results: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(packed.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(signature, place + 1)
    packed.write_bytes(content)
    told = refusal(packed, results, capsys)
    assert f"{packed} cannot be unpacked" in told and "encrypted" in told


def test_an_archive_that_is_too_large_is_refused_before_it_is_unpacked(
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert archive.MOST_BYTES == 2 << 30
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(shutil, "copyfileobj", lambda *_: pytest.fail("it was unpacked"))
    large = zipped(tmp_path / "large.zip", {"tables/krs.parquet": bytes(2 << 20)})
    assert f"{large} unpacks to 0.0 GB of tables" in refusal(large, results, capsys)


def test_what_a_comparison_does_not_read_is_not_unpacked(
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    table = (results / "tables/krs.parquet").read_bytes()
    members = {"tables/krs.parquet": table, "figures/huge.png": bytes(2 << 20)}
    assert main(["compare", str(zipped(tmp_path / "a.zip", members)), str(results)]) == 0


def test_a_declared_size_that_is_too_small(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lying = zipped(tmp_path / "lying.zip", {"tables/krs.parquet": bytes(1 << 20)})
    content = lying.read_bytes()
    declared, smaller = struct.pack("<I", 1 << 20), struct.pack("<I", 100)
    assert content.count(declared) == 2
    lying.write_bytes(content.replace(declared, smaller))
    assert f"{lying} cannot be unpacked" in refusal(lying, results, capsys)


@pytest.mark.parametrize("name", ["../out.csv", "/out.csv", "tables/../../out.csv"])
def test_a_member_outside_of_the_folder(
    results: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = zipped(tmp_path / "outside.zip", {name: b"a\n1\n"})
    told = refusal(outside, results, capsys)
    assert f"{outside}: member {name!r} would be unpacked outside of its folder" in told


def test_a_symbolic_link_is_left_out(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = zipped(tmp_path / "link.zip", {})
    link = zipfile.ZipInfo("tables/krs.parquet")
    link.external_attr, link.create_system = 0o120777 << 16, 3
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(link, str(results / "tables/krs.parquet"))
    assert f"{path} holds no results" in refusal(path, results, capsys)


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


def test_messages_name_the_archive(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = zipped(tmp_path / "a.zip", {"tables/krs.parquet": b"not parquet"})
    told = refusal(path, results, capsys)
    assert f"{path}: tables/krs.parquet cannot be read as a table of sweeps" in told


@pytest.mark.parametrize("content", [b"\x00\xff\xfe\x80" * 99, b"", b'a,b\n"1\n', b"a\n1,2,3\n4\n"])
def test_a_table_that_is_no_table(
    results: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    (results / "tables/curves.csv").write_text("model,layer,mean\nm,1,0.5\n", encoding="utf-8")
    (other / "tables/curves.csv").write_bytes(content)
    if content.startswith(b"a\n"):  # pandas reads it: another table
        assert main(["compare", str(results), str(other)]) == 1
    else:
        assert str(other / "tables/curves.csv") in refusal(results, other, capsys)


@pytest.mark.parametrize("name", [SWEEP, "tables/krs.parquet"])
def test_a_parquet_file_of_another_schema(
    results: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    pq.write_table(pa.table({"layer": [1], "values": [[1.0, 2.0]]}), other / name)
    told = refusal(results, other, capsys)
    assert str(other / name) in told and "no column model, method, concept" in told


@pytest.mark.parametrize("metadata", [{"packages": "{"}, {"sweeps": "["}, {"sweeps": '{"a": 1}'}])
def test_broken_metadata(
    results: Path, tmp_path: Path, metadata: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other/tables/krs.parquet"
    name = "tiny/dpo/tea/attention"
    metadata = {key: value.replace('"a"', json.dumps(name)) for key, value in metadata.items()}
    write_rows(other, pd.read_parquet(results / "tables/krs.parquet"), metadata)
    assert str(other) in refusal(results, tmp_path / "other", capsys)


def test_keys_that_are_null(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other/tables/krs.parquet"
    rows = pd.read_parquet(results / "tables/krs.parquet")
    rows.loc[0, "model"] = None
    write_rows(other, rows, {})
    assert "column model has nulls" in refusal(results, tmp_path / "other", capsys)
    other.unlink()
    rows = pd.read_parquet(results / SWEEP)
    rows.loc[[0, 1], ["window", "layer", "first_layer", "last_layer", "question"]] = None
    write_rows(tmp_path / "other" / SWEEP, rows, {})
    assert "two rows with the same keys" in refusal(results, tmp_path / "other", capsys)


def test_a_key_that_is_text_in_one_and_empty_in_the_other(results: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    for folder, experiment in ((results, ""), (other, "attention")):
        table = f"model,experiment,first_layer,rouge_l\nm,{experiment},,0.5\n"
        (folder / "tables/behaviour.csv").write_text(table, encoding="utf-8")
    assert main(["compare", str(results), str(other)]) == 1


def test_claims_without_verdicts(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    for folder in (results, other):
        table = "id,model,origin,method,window,span\nmuch,m,own,all,sliding_1,answer\n"
        (folder / "tables/claims.csv").write_text(table, encoding="utf-8")
    assert "claims.csv has no column verdict" in refusal(results, other, capsys)


def test_the_same_folder_twice(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(results)
    for other in (results, link):
        assert "OLD and NEW are both" in refusal(results, other, capsys)


def test_what_is_neither_file_nor_folder(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "/dev/null is neither" in refusal(results, Path("/dev/null"), capsys)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that everybody can reach, with what nobody but root can read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "folder").mkdir(mode=0)
        (folder / "archive.zip").write_bytes(b"PK")
        (folder / "archive.zip").chmod(0)
        yield folder


@pytest.mark.parametrize("name", ["folder", "archive.zip"])
def test_without_permission_to_read(
    closed: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compare", str(closed), str(closed / "missing")])  # imports, while they can be read
    capsys.readouterr()
    user = os.geteuid()
    try:
        if user == 0:  # whom no permission keeps out
            os.seteuid(NOBODY)
        told = refusal(closed / name, closed / "missing", capsys)
    finally:
        os.seteuid(user)
    assert "Permission denied" in told and str(closed / name) in told
