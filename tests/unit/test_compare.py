"""Two results folders side by side: planted differences are found, named and measured."""

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dissect.__main__ import main
from dissect.compare.compare import Comparison, compare_results
from dissect.compare.frames import DIFFERS, IDENTICAL, WITHIN
from dissect.results.schema import read_metadata, write_rows
from planted import flat, plant


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A results folder of two sweeps, one of them with a null."""
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


def statuses(comparison: Comparison) -> list[str]:
    """Of each sweep, in their order."""
    differences = comparison.differences
    return list(differences[differences["kind"] == "sweep"].drop_duplicates("name")["status"])


def change(folder: Path, row: int, **values: object) -> None:
    """Change one row of the attention sweep."""
    path = folder / ATTENTION
    rows, metadata = pd.read_parquet(path), read_metadata(path)
    for name, value in values.items():
        rows.loc[row, name] = value
    write_rows(path, rows, {key: metadata[key] for key in ("dtype", "packages")})


def test_a_copy_is_identical(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    differences = compare_results(old, new).differences
    assert differences[["kind", "status"]].to_numpy().tolist() == [["sweep", IDENTICAL]] * 2
    assert main(["compare", str(old), str(new)]) == 0
    assert capsys.readouterr().out.endswith("\nequal\n")


def test_one_number_is_found_where_it_is(old: Path, new: Path) -> None:
    change(new, 1, krs=0.25, kl_patched=1.0)
    krs, kl, other, _ = compare_results(old, new).differences.to_dict("records")
    expected = {
        "name": "tiny/dpo/tea/attention",
        "status": DIFFERS,
        "column": "krs",
        "rows": 4,
        "differ": 1,
        "null_in_one": 0,
        "old": 0.2,
        "new": 0.25,
        "largest": pytest.approx(0.05),
        "window": "sliding_1",
        "layer": 0,
        "first_layer": 0,
        "last_layer": 0,
        "question": 1,
        "donor": "original",
        "span": "notebook",
    }
    assert {name: krs[name] for name in expected} == expected
    # Planted sweeps have no KL: a value beside a null is no number's difference.
    assert (kl["column"], kl["differ"], kl["null_in_one"], kl["new"]) == ("kl_patched", 1, 1, 1.0)
    assert pd.isna(kl["old"]) and pd.isna(kl["largest"])
    assert other["status"] == IDENTICAL


@pytest.mark.parametrize(("tolerance", "status"), [(0.0, DIFFERS), (0.1, WITHIN), (0.01, DIFFERS)])
def test_tolerance(old: Path, new: Path, tolerance: float, status: str) -> None:
    change(new, 1, krs=0.25)
    found = compare_results(old, new, tolerance)
    assert statuses(found) == [status, IDENTICAL]
    assert found.is_equal == (status == WITHIN)
    assert main(["compare", str(old), str(new), "--tolerance", str(tolerance)]) == (
        0 if status == WITHIN else 1
    )


def test_a_null_is_never_within_tolerance(old: Path, new: Path) -> None:
    change(new, 0, krs=None)
    sweep = compare_results(old, new, 1e9).differences.iloc[0]
    assert (sweep["status"], sweep["null_in_one"]) == (DIFFERS, 1)


def test_rows_are_matched_by_their_keys_not_their_order(old: Path, new: Path) -> None:
    path = new / ATTENTION
    write_rows(path, pd.read_parquet(path).iloc[::-1], {"dtype": "float32", "packages": "{}"})
    assert statuses(compare_results(old, new)) == [IDENTICAL] * 2


def write_claims(folder: Path, verdict: str, value: float) -> None:
    path = folder / "tables" / "claims.csv"
    path.parent.mkdir(exist_ok=True)
    row = ["much", "tiny", "own", "all", "sliding_1", "notebook", value, "", "", 2, verdict]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = ["id", "model", "origin", "method", "window", "span"]
        names += ["value", "low", "high", "n", "verdict"]
        writer.writerows([names, row])


def test_a_verdict_that_flipped_is_told(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_claims(old, "undecided", 0.5)
    write_claims(new, "supported", 0.75)
    assert main(["compare", str(old), str(new)]) == 1
    said = capsys.readouterr().out
    flip = "undecided (0.5 [null, null], n 2) -> supported (0.75 [null, null], n 2)"
    assert f"tiny own all sliding_1 notebook  {flip}" in said
    assert "value: 1 differ, by up to 2.50e-01" in said


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
