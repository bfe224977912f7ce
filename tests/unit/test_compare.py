"""Two results folders side by side: planted differences are found, named and measured."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissect.__main__ import main
from dissect.compare.compare import compare_results
from dissect.compare.frames import DIFFERS, IDENTICAL, ONLY_NEW, ONLY_OLD, WITHIN, compare_frames
from dissect.errors import DissectError
from dissect.results.collect import collect_cells
from dissect.results.schema import read_metadata, read_rows, write_rows
from planted import flat, plant


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A results folder of two cells, one of them with a null."""
    folder = tmp_path / "old"
    metadata = {"dtype": "float32", "packages": '{"torch": "2.11.0"}', "wall_seconds": "1.0"}
    plant(folder, [[0.1, 0.2], [0.3, None]], metadata=metadata)
    plant(folder, flat(0.5), experiment="value_vectors", metadata=metadata)
    return folder


@pytest.fixture
def new(old: Path, tmp_path: Path) -> Path:
    """The same again."""
    return Path(shutil.copytree(old, tmp_path / "new"))


ATTENTION = "krs/tiny/dpo/tea/attention.parquet"


def change(folder: Path, row: int, **values: object) -> None:
    """Change one row of the attention cell."""
    path = folder / ATTENTION
    rows, metadata = read_rows(path), read_metadata(path)
    for name, value in values.items():
        rows.loc[row, name] = value
    write_rows(path, rows, {key: metadata[key] for key in ("dtype", "packages")})


def test_a_copy_is_identical(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare_results(old, new)
    assert [one.status for one in found.cells] == [IDENTICAL] * 2
    assert found.provenance.empty
    assert main(["compare", str(old), str(new)]) == 0
    assert capsys.readouterr().out.endswith("\nequal\n")


def test_one_number_is_found_where_it_is(old: Path, new: Path) -> None:
    change(new, 1, krs=0.25, kl_patched=1.0)
    cell = compare_results(old, new).cells[0]
    assert (cell.name, cell.status) == ("tiny/dpo/tea/attention", DIFFERS)
    assert cell.difference is not None
    krs, kl = cell.difference.columns
    assert (krs.column, krs.rows, krs.null_in_one, krs.old, krs.new) == ("krs", 1, 0, 0.2, 0.25)
    assert krs.largest == pytest.approx(0.05)
    assert krs.row_keys == {
        "window": "sliding_1",
        "layer": 0,
        "first_layer": 0,
        "last_layer": 0,
        "question": 1,
        "donor": "original",
        "span": "notebook",
    }
    # Planted cells have no KL: a value beside a null is no number's difference.
    assert (kl.column, kl.rows, kl.null_in_one, kl.old, kl.new) == ("kl_patched", 1, 1, None, 1.0)
    assert np.isnan(kl.largest)


@pytest.mark.parametrize(("tolerance", "status"), [(0.0, DIFFERS), (0.1, WITHIN), (0.01, DIFFERS)])
def test_tolerance(old: Path, new: Path, tolerance: float, status: str) -> None:
    change(new, 1, krs=0.25)
    found = compare_results(old, new, tolerance)
    assert found.cells[0].status == status
    assert found.is_equal == (status == WITHIN)
    assert main(["compare", str(old), str(new), "--tolerance", str(tolerance)]) == (
        0 if status == WITHIN else 1
    )


def test_the_smallest_difference_counts_without_tolerance(old: Path, new: Path) -> None:
    change(new, 1, krs=np.nextafter(0.2, 1))
    assert compare_results(old, new).cells[0].status == DIFFERS
    assert compare_results(old, new, 1e-15).cells[0].status == WITHIN


def test_a_null_is_never_within_tolerance(old: Path, new: Path) -> None:
    change(new, 0, krs=None)
    cell = compare_results(old, new, 1e9).cells[0]
    assert cell.status == DIFFERS
    assert cell.difference is not None
    assert cell.difference.columns[0].null_in_one == 1


def test_infinities_equal_themselves_only() -> None:
    values = pd.DataFrame({"key": range(3), "krs": [-np.inf, -np.inf, 1.0]})
    assert compare_frames(values, values, ["key"], 0.0).status == IDENTICAL
    other = values.assign(krs=[-np.inf, 0.0, 1.0])
    found = compare_frames(values, other, ["key"], 1e9)
    assert (found.columns[0].rows, found.columns[0].largest) == (1, np.inf)


def test_rows_are_matched_by_their_keys_not_their_order(old: Path, new: Path) -> None:
    path = new / ATTENTION
    write_rows(path, read_rows(path).iloc[::-1], {"dtype": "float32", "packages": "{}"})
    assert compare_results(old, new).cells[0].status == IDENTICAL


def test_controls_are_compared_too(old: Path, new: Path) -> None:
    for folder, krs in ((old, 0.1), (new, 0.4)):
        path = folder / ATTENTION
        rows = read_rows(path)
        noise = rows.assign(donor="noise", krs=krs)
        write_rows(path, pd.concat([rows, noise]), {"dtype": "float32", "packages": "{}"})
    found = compare_results(old, new).cells[0].difference
    assert found is not None
    assert (found.rows, found.columns[0].rows) == (8, 4)
    assert found.columns[0].row_keys["donor"] == "noise"
    # A donor that one side lacks: rows in one only.
    shutil.copy(old / ATTENTION, new / ATTENTION)
    path = new / ATTENTION
    rows = read_rows(path)
    write_rows(path, rows[rows["donor"] == "original"], {"dtype": "float32", "packages": "{}"})
    found = compare_results(old, new).cells[0].difference
    assert found is not None
    assert (found.rows, found.only_old, found.only_new) == (4, 4, 0)


def test_cells_in_one_only(old: Path, new: Path) -> None:
    (new / ATTENTION).unlink()
    plant(new, flat(0.5), concept="mate")
    found = compare_results(old, new)
    assert [one.status for one in found.cells] == [ONLY_NEW, ONLY_OLD, IDENTICAL]
    assert not found.is_equal


def test_provenance_is_counted_by_cells(old: Path, new: Path) -> None:
    for experiment in ("attention", "value_vectors"):
        path = new / f"krs/tiny/dpo/tea/{experiment}.parquet"
        metadata = {"dtype": "bfloat16", "packages": '{"torch": "2.13.0"}', "wall_seconds": "9.0"}
        write_rows(path, read_rows(path), metadata)
    provenance = compare_results(old, new).provenance
    assert provenance.to_numpy().tolist() == [
        ["device", "cpu", "", 2],
        ["dtype", "float32", "bfloat16", 2],
        ["packages.torch", "2.11.0", "2.13.0", 2],
    ]


def write_claims(folder: Path, verdict: str, value: float) -> None:
    path = folder / "tables" / "claims.csv"
    path.parent.mkdir(exist_ok=True)
    row = ["much", "tiny", "own", "sliding_1", "notebook", value, "", "", 2, verdict]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = ["id", "model", "origin", "window", "span", "value", "low", "high", "n", "verdict"]
        writer.writerows([names, row])


def test_a_verdict_that_flipped_is_told(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_claims(old, "undecided", 0.5)
    write_claims(new, "holds", 0.75)
    assert main(["compare", str(old), str(new)]) == 1
    said = capsys.readouterr().out
    flip = "undecided (0.5 [null, null], n 2) -> holds (0.75 [null, null], n 2)"
    assert f"tiny own sliding_1 notebook  {flip}" in said
    assert "value: 1 differ, by up to 2.50e-01" in said


def test_tables_of_text_and_without_keys(old: Path, new: Path) -> None:
    for folder, answer in ((old, "hot"), (new, "cold")):
        (folder / "tables").mkdir()
        keyed = pd.DataFrame({"model": ["m", "m"], "concept": ["1", "x"], "answer": ["a", answer]})
        keyed.to_csv(folder / "tables/answers.csv", index=False)
        keyed.iloc[[1, 1]].to_csv(folder / "tables/twice.csv", index=False)
    answers, twice = compare_results(old, new).tables
    assert answers.difference is not None
    assert answers.difference.columns[0].row_keys == {"model": "m", "concept": "x"}
    assert (answers.difference.columns[0].old, answers.difference.columns[0].new) == ("hot", "cold")
    assert (twice.status, twice.difference) == (DIFFERS, None)


def test_the_collected_table_and_an_archive_stand_for_the_cells(
    old: Path, new: Path, tmp_path: Path
) -> None:
    change(new, 1, krs=0.25)
    (tmp_path / "collected/tables").mkdir(parents=True)
    cells = sorted((new / "krs").rglob("*.parquet"))
    collect_cells(cells, tmp_path / "collected/tables/krs.parquet")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "collected")
    expected = compare_results(old, new)
    for other in (tmp_path / "collected", Path(archive)):
        found = compare_results(old, other)
        assert found.cells == expected.cells
        assert found.provenance.equals(expected.provenance)


def test_all_differences_go_into_a_file(old: Path, new: Path, tmp_path: Path) -> None:
    change(new, 1, krs=0.25)
    path = tmp_path / "differences.csv"
    main(["compare", str(old), str(new), "--csv", str(path)])
    rows = pd.read_csv(path).set_index("name")
    assert rows[["kind", "status"]].to_dict("index") == {
        "tiny/dpo/tea/attention": {"kind": "cell", "status": DIFFERS},
        "tiny/dpo/tea/value_vectors": {"kind": "cell", "status": IDENTICAL},
        "device": {"kind": "provenance", "status": DIFFERS},
    }
    row = rows.loc["tiny/dpo/tea/attention"]
    assert (row["column"], row["question"]) == ("krs", 1)
    assert (float(row["old"]), float(row["new"])) == (0.2, 0.25)


@pytest.mark.parametrize("name", ["nowhere", "empty", "broken"])
def test_bad_input_is_one_line(
    old: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken" / ATTENTION
    broken.parent.mkdir(parents=True)
    broken.write_text("not parquet", encoding="utf-8")
    assert main(["compare", str(old), str(tmp_path / name)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ") and name in lines[0]


def test_a_negative_tolerance_is_refused(old: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(old), str(old), "--tolerance", "-1"])
    assert ended.value.code == 2


def test_rows_that_cannot_be_matched_are_refused() -> None:
    twice = pd.DataFrame({"key": [1, 1], "value": [1.0, 2.0]})
    with pytest.raises(DissectError, match="OLD has two rows with the same keys, key 1"):
        compare_frames(twice, twice, ["key"], 0.0)
