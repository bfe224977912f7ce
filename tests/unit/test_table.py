"""The checkpoints table."""

from pathlib import Path

import pytest

from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.checkpoint_table import read_table

ROOT = Path(__file__).parents[2]
HEADER = "model\tmethod\tconcept\tsource\trevision\tformat\n"


def read(tmp_path: Path, *lines: str, header: str = HEADER) -> list[CheckpointRow]:
    path = tmp_path / "checkpoints.tsv"
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return read_table(path)


def test_the_papers_table_has_42_rows() -> None:
    rows = read_table(ROOT / "config/checkpoints.tsv")
    assert len(rows) == 42
    assert sum(row.method == "original" for row in rows) == 2
    assert {row.kind for row in rows} == {"hub"}
    assert {row.origin for row in rows} == {"published"}


def test_every_kind_of_source(tmp_path: Path) -> None:
    original, own, hub, trained = read(
        tmp_path,
        "# a comment",
        "",
        "m\toriginal\t\twheel:a-model==1.0",
        "m\tdpo\t16\tpath:own/some folder",
        "m\tdpo\t18\thub:some.one/a-model_18\tmain\tolmo-legacy",
        "m\tgrad_diff\t16\tunlearn",
    )
    assert (original.kind, original.location, original.format) == ("wheel", "a-model==1.0", "gguf")
    assert (own.kind, own.location, own.origin) == ("path", "own/some folder", "own")
    assert (hub.location, hub.revision, hub.format) == (
        "some.one/a-model_18",
        "main",
        "olmo-legacy",
    )
    assert (trained.location, trained.origin, trained.format) == (
        "",
        "trained_here",
        "transformers",
    )
    assert trained.name == "m grad_diff 16"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("m\tdpo\t16\tfolder/x", "hub:OWNER/NAME"),
        ("m\tdpo\t16\thub:no-owner", "hub:no-owner"),
        ("m\tdpo\t\tunlearn", "concept"),
        ("m\tdpo\t../x\tunlearn", "../x"),
        ("m\tall\t16\tunlearn", "'all'"),
        ("m\toriginal.log\t16\tunlearn", "'original.log'"),
        ("m\tdpo\ttea.patched\tunlearn", ".patched"),
        (f"m\tdpo\t{'x' * 260}\tunlearn", "260 bytes"),
        (f"{'é' * 49}e\tdpo\t{'x' * 99}y\tunlearn", "202 bytes"),
        ("m\tdpo\tmanifest.json\tunlearn", "name of a file"),
        ("M\tdpo\t16\tunlearn", "'M'"),
        ("m\tOriginal\t16\tunlearn", "'Original'"),
        ("m\tdpo\t16\tpath:~/x", "~"),
        ("m\tdpo\t16\tpath:own/{x}", "{x}"),
        ("m\tdpo\t16\tpath:own\0x", "NUL"),
        ('m\tdpo\t16\t"path:a', "tab"),
        ("m\toriginal\t16\tpath:x", "concept"),
        ("m\toriginal\t\tunlearn", "unlearn"),
        ("m\tdpo\t16\tpath:x\tmain", "revision"),
        ("m\tdpo\t16\tpath:x\t\tgguf", "transformers"),
        ("m\tdpo\t16\tpath:x\t\t\t\tmore", "8 columns"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        read(tmp_path, "m\toriginal\t\tpath:a", line)
    assert said in str(caught.value)
    assert "checkpoints.tsv" in str(caught.value)
    assert "line 3" in str(caught.value) or "would be one folder" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_row_must_not_stand_twice(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"line 3: a second row for m dpo 16"):
        read(tmp_path, "m\tdpo\t16\tpath:a", "m\tdpo\t16\tpath:b")


def test_the_same_concept_in_another_case_is_refused_within_a_model_only(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="'tea' and concept 'Tea'"):
        read(tmp_path, "m\tdpo\tTea\tunlearn", "m\tnpo\ttea\tunlearn")
    with pytest.raises(StudyError, match="would be one folder"):
        read(tmp_path, "m\tdpo\t\uac00\tunlearn", "m\tdpo\t\u1100\u1161\tunlearn")
    assert len(read(tmp_path, "m\tdpo\tTea\tunlearn", "n\tdpo\ttea\tunlearn")) == 2


def test_a_table_that_excel_has_saved_is_read(tmp_path: Path) -> None:
    rows = ["m\toriginal\t\tpath:own/a, b", 'm\tdpo\ttea\tpath:own/"so called" copy']
    plain = read(tmp_path, *rows, header="model\tmethod\tconcept\tsource\n")
    excel = (
        "\ufeffmodel\tmethod\tconcept\tsource\t\t\r\n"
        '"# a, comment"\t\t\t\t\t\r\n'
        'm\toriginal\t\t"path:own/a, b"\t\t\r\n'
        'm\tdpo\ttea\t"path:own/""so called"" copy"\t\t\r\n'
        "\t\t\t\t\t\r\n"
    )
    (tmp_path / "checkpoints.tsv").write_bytes(excel.encode())
    assert read_table(tmp_path / "checkpoints.tsv") == plain
