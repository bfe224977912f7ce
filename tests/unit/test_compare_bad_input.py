"""`python -m stillknows compare` on what is no results folder: status 2 and one line, always."""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from planted import flat, plant
from stillknows.__main__ import main
from stillknows.analysis import compare
from stillknows.analysis.collect import collect_sweeps
from stillknows.parquet_files import read_metadata, write_rows
from stillknows.report.archive import Redactor, study_members, write_archive

ROOT = Path(__file__).parents[2]
NOBODY = 65534
SWEEP = "krs/tiny/dpo/tea/attention.parquet"
TABLE = "tables/krs.parquet"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder of one sweep, collected."""
    folder = tmp_path / "results"
    collect_sweeps([plant(folder, flat(0.5))], folder / TABLE)
    return folder


@pytest.fixture
def packed(results: Path, tmp_path: Path) -> Path:
    """Its archive, as the workflow makes it."""
    path = tmp_path / "archive.zip"
    table = tmp_path / "checkpoints.tsv"
    table.write_text("model\tmethod\tconcept\tsource\n", "utf-8")
    members = study_members(results, table, [], [results / TABLE], {"models": {}}, ROOT)
    write_archive(path, members, Redactor([]))
    return path


@pytest.fixture
def refusal(results: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], str]:
    """The one line that a comparison of something with the results ends with."""

    def told(other: Path) -> str:
        assert main(["compare", str(results), str(other)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        return line

    return told


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("name", [SWEEP, TABLE])
def test_a_number_that_was_typed_in_after_packing_shows(
    results: Path, packed: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, metadata = pd.read_parquet(results / name), read_metadata(results / name)
    rows.loc[0, "krs"] = 0.99
    own = {key: metadata[key] for key in metadata if key not in ("pandas", "ARROW:schema")}
    write_rows(results / name, rows, own)
    assert main(["compare", str(packed), str(results)]) == 1
    expected = "0.99" if name == SWEEP else "1 of 1 sweeps differ, tiny/dpo/tea/attention"
    assert expected in capsys.readouterr().out


def truncate(content: bytearray, packed: Path) -> None:
    del content[len(content) // 2 :]


def damage(content: bytearray, packed: Path) -> None:
    table = zipfile.ZipFile(packed).getinfo(TABLE)
    middle = table.header_offset + table.compress_size // 2
    content[middle : middle + 64] = b"\xff" * 64


def encrypt(content: bytearray, packed: Path) -> None:
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(signature, place + 1)


@pytest.mark.parametrize("change", [truncate, damage, encrypt])
def test_a_broken_archive(
    packed: Path, refusal: Callable[[Path], str], change: Callable[[bytearray, Path], None]
) -> None:
    content = bytearray(packed.read_bytes())
    change(content, packed)
    packed.write_bytes(content)
    assert str(packed) in refusal(packed)


def test_an_archive_that_is_too_large_is_refused_before_it_is_unpacked(
    results: Path, tmp_path: Path, refusal: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MOST_BYTES", 1 << 20)
    # What a comparison does not read is not counted, and not unpacked.
    members = {TABLE: (results / TABLE).read_bytes(), "figures/huge.png": bytes(2 << 20)}
    assert main(["compare", str(zipped(tmp_path / "a.zip", members)), str(results)]) == 0
    monkeypatch.setattr(shutil, "copyfileobj", lambda *_: pytest.fail("it was unpacked"))
    large = zipped(tmp_path / "large.zip", {TABLE: bytes(2 << 20)})
    assert f"{large} unpacks to 0.0 GB" in refusal(large)


@pytest.mark.parametrize("name", ["../out.csv", "/out.csv", "tables/../../out.csv"])
def test_nothing_is_written_outside_of_the_folder(
    tmp_path: Path, name: str, refusal: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "temporary"
    inside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(inside))
    refusal(zipped(tmp_path / "outside.zip", {name: b"a\n1\n"}))
    assert not any(inside.iterdir()) and not (tmp_path / "out.csv").exists()
    assert not Path("/out.csv").exists()


def test_a_symbolic_link_is_not_followed(
    results: Path, tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    path = tmp_path / "link.zip"
    link = zipfile.ZipInfo(TABLE)
    link.external_attr, link.create_system = 0o120777 << 16, 3
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(link, str(results / TABLE))
    assert str(path) in refusal(path)


@pytest.mark.parametrize("name", ["tables/curves.csv", "tables/new.csv"])
def test_a_member_that_was_changed_in_the_archive(
    results: Path, tmp_path: Path, name: str, refusal: Callable[[Path], str]
) -> None:
    members = {TABLE: (results / TABLE).read_bytes(), "tables/curves.csv": b"a\n1\n"}
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items()]
    members |= {"MANIFEST.sha256": "".join(lines).encode(), name: b"a\n2\n"}
    path = zipped(tmp_path / "a.zip", members)
    assert f"{path}: {name} does not have the sha256" in refusal(path)


def test_messages_name_the_archive(tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    path = zipped(tmp_path / "a.zip", {TABLE: b"not parquet"})
    assert f"{path}: {TABLE} cannot be read" in refusal(path)


@pytest.mark.parametrize("content", [b"\x00\xff\xfe\x80" * 99, b"", b'a,b\n"1\n', b"a\n1,2,3\n4\n"])
def test_a_table_that_is_no_table(
    results: Path, tmp_path: Path, content: bytes, refusal: Callable[[Path], str]
) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    (results / "tables/curves.csv").write_text("model,layer,mean\nm,1,0.5\n", encoding="utf-8")
    (other / "tables/curves.csv").write_bytes(content)
    if content.startswith(b"a\n"):  # pandas reads it: another table
        assert main(["compare", str(results), str(other)]) == 1
    else:
        assert str(other / "tables/curves.csv") in refusal(other)


@pytest.mark.parametrize("name", [SWEEP, TABLE])
def test_a_parquet_file_of_another_schema(
    results: Path, tmp_path: Path, name: str, refusal: Callable[[Path], str]
) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    pq.write_table(pa.table({"layer": [1], "values": [[1.0, 2.0]]}), other / name)
    assert str(other / name) in refusal(other)


@pytest.mark.parametrize(
    "metadata", [{"packages": "{"}, {"sweeps": "["}, {"sweeps": '{"tiny/dpo/tea/attention": 1}'}]
)
def test_broken_metadata(
    results: Path, tmp_path: Path, metadata: dict[str, str], refusal: Callable[[Path], str]
) -> None:
    other = tmp_path / "other" / TABLE
    write_rows(other, pd.read_parquet(results / TABLE), metadata)
    assert str(other) in refusal(tmp_path / "other")


def test_keys_that_are_null(results: Path, tmp_path: Path, refusal: Callable[[Path], str]) -> None:
    other = tmp_path / "other" / TABLE
    rows = pd.read_parquet(results / TABLE)
    rows.loc[0, "model"] = None
    write_rows(other, rows, {})
    assert str(other) in refusal(tmp_path / "other")


def test_a_key_that_is_text_in_one_and_empty_in_the_other(results: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    for folder, experiment in ((results, ""), (other, "attention")):
        table = f"model,experiment,first_layer,rouge_l\nm,{experiment},,0.5\n"
        (folder / "tables/behaviour.csv").write_text(table, encoding="utf-8")
    assert main(["compare", str(results), str(other)]) == 1


def test_claims_without_verdicts_are_compared_as_any_table(results: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(results, tmp_path / "other"))
    for folder in (results, other):
        table = "id,model,origin,method,window,span\nmuch,m,own,all,sliding_1,answer\n"
        (folder / "tables/claims.csv").write_text(table, encoding="utf-8")
    assert main(["compare", str(results), str(other)]) == 0


def test_the_same_folder_twice(
    results: Path, tmp_path: Path, refusal: Callable[[Path], str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(results)
    for other in (results, link):
        assert str(results) in refusal(other)


@pytest.mark.parametrize("name", ["/dev/null", "nowhere"])
def test_what_is_neither_file_nor_folder(name: str, refusal: Callable[[Path], str]) -> None:
    assert name in refusal(Path(name))


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
        assert main(["compare", str(closed / name), str(closed / "missing")]) == 2
    finally:
        os.seteuid(user)
    told = capsys.readouterr().err
    assert "Permission denied" in told and str(closed / name) in told
