"""Two results folders side by side: planted differences are found, named and measured."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planted import flat, plant
from stillknows.__main__ import main
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.compare import (
    DIFFERS,
    IDENTICAL,
    ONLY_NEW,
    ONLY_OLD,
    WITHIN,
    Comparison,
    compare_frames,
    compare_results,
)
from stillknows.parquet_files import read_metadata, write_rows


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


@pytest.mark.parametrize(
    ("krs", "tolerance", "status", "nulls"),
    [
        (0.25, 0.0, DIFFERS, 0),
        (0.25, 0.1, WITHIN, 0),
        (0.25, 0.01, DIFFERS, 0),
        (np.nextafter(0.2, 1), 0.0, DIFFERS, 0),
        (np.nextafter(0.2, 1), 1e-15, WITHIN, 0),
        (None, 1e9, DIFFERS, 1),
    ],
)
def test_tolerance(
    old: Path, new: Path, krs: float | None, tolerance: float, status: str, nulls: int
) -> None:
    change(new, 1, krs=krs)
    found = compare_results(old, new, tolerance)
    assert statuses(found) == [status, IDENTICAL]
    assert found.differences.iloc[0]["null_in_one"] == nulls
    assert found.is_equal == (status == WITHIN)
    assert main(["compare", str(old), str(new), "--tolerance", str(tolerance)]) == (
        0 if status == WITHIN else 1
    )


def test_infinities_equal_themselves_only() -> None:
    values = pd.DataFrame({"key": range(3), "krs": [-np.inf, -np.inf, 1.0]})
    assert compare_frames(values, values, ["key"], 0.0)[0]["status"] == IDENTICAL
    other = values.assign(krs=[-np.inf, 0.0, 1.0])
    (column,) = compare_frames(values, other, ["key"], 1e9)
    assert (column["differ"], column["largest"]) == (1, np.inf)


def test_columns_of_one_side_are_named() -> None:
    left = pd.DataFrame({"key": [1, 2], "left": 0.0})
    right = pd.DataFrame({"key": [2, 3], "right": 0.0})
    records = compare_frames(left, right, ["key"], 0.0)
    assert [(one["column"], one["note"]) for one in records] == [
        ("left", ONLY_OLD),
        ("right", ONLY_NEW),
    ]
    counts = {"status": DIFFERS, "rows": 1, "only_old": 1, "only_new": 1}
    assert all(one.items() >= counts.items() for one in records)


def test_rows_are_matched_by_their_keys_not_their_order(old: Path, new: Path) -> None:
    path = new / ATTENTION
    write_rows(path, pd.read_parquet(path).iloc[::-1], {"dtype": "float32", "packages": "{}"})
    assert statuses(compare_results(old, new)) == [IDENTICAL] * 2


def test_controls_are_compared_too(old: Path, new: Path) -> None:
    for folder, krs in ((old, 0.1), (new, 0.4)):
        path = folder / ATTENTION
        rows = pd.read_parquet(path)
        noise = rows.assign(donor="noise", krs=krs)
        write_rows(path, pd.concat([rows, noise]), {"dtype": "float32", "packages": "{}"})
    krs = compare_results(old, new).differences.iloc[0]
    assert (krs["rows"], krs["column"], krs["differ"], krs["donor"]) == (8, "krs", 4, "noise")


def test_sweeps_in_one_only(old: Path, new: Path) -> None:
    (new / ATTENTION).unlink()
    plant(new, flat(0.5), concept="mate")
    found = compare_results(old, new)
    assert statuses(found) == [ONLY_NEW, ONLY_OLD, IDENTICAL]
    assert not found.is_equal


def test_provenance_is_counted_by_sweeps(old: Path, new: Path) -> None:
    for experiment in ("attention", "value_vectors"):
        path = new / f"krs/tiny/dpo/tea/{experiment}.parquet"
        metadata = {"dtype": "bfloat16", "packages": '{"torch": "2.13.0"}', "wall_seconds": "9.0"}
        write_rows(path, pd.read_parquet(path), metadata)
    found = compare_results(old, new)
    assert found.is_equal
    provenance = found.differences[found.differences["kind"] == "provenance"]
    assert provenance[["name", "old", "new", "rows"]].to_numpy().tolist() == [
        ["device", "cpu", "", 2],
        ["dtype", "float32", "bfloat16", 2],
        ["packages.torch", "2.11.0", "2.13.0", 2],
    ]


def write_claims(folder: Path, verdict: str, value: float) -> None:
    path = folder / "tables" / "claims.csv"
    path.parent.mkdir(exist_ok=True)
    row = {"id": "much", "model": "tiny", "origin": "own", "method": "all"}
    row |= {"window": "sliding_1", "span": "notebook", "value": value, "low": "", "high": ""}
    pd.DataFrame([row | {"n": 2, "verdict": verdict}]).to_csv(path, index=False)


def test_a_verdict_that_flipped_is_told(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_claims(old, "undecided", 0.5)
    write_claims(new, "supported", 0.75)
    assert main(["compare", str(old), str(new)]) == 1
    *_, flip, _, _ = (line.split() for line in capsys.readouterr().out.splitlines())
    keys = ["much", "tiny", "own", "all", "sliding_1", "notebook"]
    assert flip == [*keys, "undecided", "0.5", "2", "supported", "0.75", "2"]


def test_tables_of_text_and_without_keys(old: Path, new: Path) -> None:
    for folder, answer in ((old, "hot"), (new, "cold")):
        (folder / "tables").mkdir()
        keyed = pd.DataFrame({"model": ["m", "m"], "concept": ["1", "x"], "answer": ["a", answer]})
        keyed.to_csv(folder / "tables/answers.csv", index=False)
        keyed.iloc[[1, 1]].to_csv(folder / "tables/twice.csv", index=False)
    *_, answers, twice = compare_results(old, new).differences.to_dict("records")
    row = {"model": "m", "concept": "x", "old": "hot", "new": "cold"}
    assert answers.items() >= {"name": "answers.csv", "column": "answer", **row}.items()
    assert (twice["status"], twice["note"][:19]) == (DIFFERS, "compared as a whole")


def test_the_collected_table_and_an_archive_stand_for_the_sweeps(
    old: Path, new: Path, tmp_path: Path
) -> None:
    change(new, 1, krs=0.25)
    (tmp_path / "collected/tables").mkdir(parents=True)
    sweeps = sorted((new / "krs").rglob("*.parquet"))
    collect_sweeps(sweeps, tmp_path / "collected/tables/krs.parquet")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "collected")
    expected = compare_results(old, new)
    for other in (tmp_path / "collected", Path(archive)):
        found = compare_results(old, other)
        found_in_sweeps = found.differences[found.differences["kind"] != "table"]
        pd.testing.assert_frame_equal(found_in_sweeps, expected.differences, check_index_type=False)


def test_all_differences_go_into_a_file(old: Path, new: Path, tmp_path: Path) -> None:
    change(new, 1, krs=0.25)
    path = tmp_path / "differences.csv"
    main(["compare", str(old), str(new), "--csv", str(path)])
    rows = pd.read_csv(path).set_index("name")
    assert rows[["kind", "status"]].to_dict("index") == {
        "tiny/dpo/tea/attention": {"kind": "sweep", "status": DIFFERS},
        "tiny/dpo/tea/value_vectors": {"kind": "sweep", "status": IDENTICAL},
        "device": {"kind": "provenance", "status": DIFFERS},
    }
    row = rows.loc["tiny/dpo/tea/attention"]
    assert (row["column"], row["question"]) == ("krs", 1)
    assert (float(row["old"]), float(row["new"])) == (0.2, 0.25)


def test_a_negative_tolerance_is_refused(old: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(old), str(old), "--tolerance", "-1"])
    assert ended.value.code == 2
