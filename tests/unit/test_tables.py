"""Collected rows, coverage and curves, against sweeps whose means are known by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from planted import collected, flat, plant
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.comparisons import reference
from stillknows.analysis.tables import CURVE_COLUMNS, concept_scores, coverage, curves
from stillknows.csv_files import read_csv, write_csv
from stillknows.errors import StudyError
from stillknows.parquet_files import SWEEP_SCHEMA, read_metadata
from stillknows.terms import REFERENCE


def curves_of(tmp_path: Path, sweeps: Sequence[Path]) -> pd.DataFrame:
    return curves(concept_scores(collected(tmp_path, sweeps)), seed=0)


def point(frame: pd.DataFrame, **only: str | int) -> pd.Series:
    for column, value in {"score": "krs", **only}.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1, f"{len(frame)} rows for {only}"
    return frame.iloc[0]


# ---- collecting -------------------------------------------------------------------------------


def test_collected_rows_are_the_sweeps_rows_in_the_order_of_their_keys(tmp_path: Path) -> None:
    one = plant(tmp_path, flat(0.5), method="grad_diff")
    two = plant(tmp_path, flat(0.25), method="dpo", concept="war")
    table = collected(tmp_path, [one, two])
    rows = pd.read_parquet(table)
    expected = pd.concat([pd.read_parquet(two).astype(str), pd.read_parquet(one).astype(str)])
    assert rows.astype(str).to_numpy().tolist() == expected.to_numpy().tolist()
    assert pq.read_schema(table).equals(SWEEP_SCHEMA)
    assert isinstance(rows["method"].dtype, pd.CategoricalDtype)


def test_collection_has_the_same_bytes_whatever_order_sweeps_come_in(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, flat(0.5), concept=name) for name in ("a", "b", "c")]
    first = collected(tmp_path, sweeps).read_bytes()
    again = [
        plant(tmp_path, flat(0.5), concept=name, metadata={"wall_seconds": name})
        for name in ("a", "b", "c")
    ]
    assert collected(tmp_path, again[::-1]).read_bytes() == first


def test_metadata_keeps_what_is_shared_and_lists_what_differs(tmp_path: Path) -> None:
    sweeps = [
        plant(
            tmp_path, flat(0.5), concept=name, metadata={"weights": name, "wall_seconds": name * 2}
        )
        for name in ("a", "b")
    ]
    found = read_metadata(collected(tmp_path, sweeps))
    assert found["device"] == "cpu"
    assert found["schema_version"] == "3"
    assert json.loads(found["sweeps"]) == {
        "tiny/dpo/a/attention": {"weights": "a"},
        "tiny/dpo/b/attention": {"weights": "b"},
    }


def test_a_noising_row_without_krs_is_no_null(tmp_path: Path) -> None:
    key = {"experiment": "noising_attention", "donor": "copy", "krs": np.nan}
    sweeps = [
        plant(tmp_path, flat(0.5), noising_ratio=0.4, **key),
        plant(tmp_path, flat(0.5), concept="war", noising_ratio=np.inf, **key),
        plant(tmp_path, [[0.5, None]] * 4),
    ]
    found = coverage(collected(tmp_path, sweeps), [])
    counts = found.set_index(["concept", "experiment"])["null_krs"]
    assert counts["tea", "noising_attention"] == 0
    assert counts["war", "noising_attention"] == 8  # no ratio either
    assert counts["tea", "attention"] == 4


@pytest.mark.parametrize("what", ["nothing", "truncated", "columns", "version"])
def test_bad_sweeps_are_refused_in_one_line_and_leave_nothing(tmp_path: Path, what: str) -> None:
    sweep = plant(tmp_path, flat(0.5))
    table, schema = pq.read_table(sweep), pq.read_schema(sweep)
    if what == "truncated":
        sweep.write_bytes(sweep.read_bytes()[:-50])
    elif what == "columns":
        pq.write_table(table.drop_columns(["kl_patched"]), sweep)
    elif what == "version":
        metadata = {**schema.metadata, b"schema_version": b"0"}
        pq.write_table(table.replace_schema_metadata(metadata), sweep)
    output = tmp_path / "tables" / "krs.parquet"
    with pytest.raises(StudyError) as caught:
        collect_sweeps([] if what == "nothing" else [sweep], output)
    assert "\n" not in str(caught.value)
    assert not list(output.parent.glob("*")) if output.parent.exists() else True


# ---- means ------------------------------------------------------------------------------------


def test_questions_are_averaged_before_concepts_and_concepts_before_methods(tmp_path: Path) -> None:
    sweeps = [
        plant(tmp_path, [[0.2, 0.4]] * 2, method="dpo", concept="tea"),
        plant(tmp_path, [[1.0, 1.0, 1.0, 0.0]] * 2, method="dpo", concept="war"),
        plant(tmp_path, [[0.1]] * 2, method="grad_diff", concept="tea"),
    ]
    found = curves_of(tmp_path, sweeps)
    assert list(found.columns) == CURVE_COLUMNS
    dpo = point(found, method="dpo", layer=0)
    assert dpo["mean"] == pytest.approx((0.3 + 0.75) / 2)  # pooled questions would give 0.6
    assert (dpo["concepts"], dpo["questions"], dpo["null"]) == (2, 6, 0)
    every = point(found, method="all", layer=0)
    assert every["mean"] == pytest.approx(((0.3 + 0.75) / 2 + 0.1) / 2)  # pooled: 0.383
    assert (every["concepts"], every["questions"]) == (2, 7)


def test_ratio_of_means_beside_mean_of_ratios(tmp_path: Path) -> None:
    # Losses 1 -> 0.5 and 9 -> 0: KRS 0.5 and 1; of the means 1 - 0.25 / 5.
    found = curves_of(tmp_path, [plant(tmp_path, [[0.5, 1.0]], unlearned=(1.0, 9.0))])
    assert point(found, method="dpo")["mean"] == pytest.approx(0.75)
    assert point(found, method="dpo", score="krs_of_means")["mean"] == pytest.approx(0.95)


def test_nulls_are_left_out_and_counted(tmp_path: Path) -> None:
    sweeps = [
        plant(tmp_path, [[0.5, None]], concept="tea"),
        plant(tmp_path, [[None, None]], concept="war"),
    ]
    found = curves_of(tmp_path, sweeps)
    krs = point(found, method="dpo")
    assert krs["mean"] == pytest.approx(0.5)
    assert (krs["concepts"], krs["questions"], krs["null"]) == (1, 1, 3)
    of_means = point(found, method="dpo", score="krs_of_means")
    assert of_means["mean"] == pytest.approx(0.5)
    assert (of_means["concepts"], of_means["questions"], of_means["null"]) == (1, 2, 2)


def test_origins_spans_windows_donors_and_experiments_stay_apart(tmp_path: Path) -> None:
    both = {"window": ["sliding_1", "sliding_3"], "span": ["notebook", "answer"]}
    sweeps = [
        plant(tmp_path, flat(0.2), origin="published", concept="a", **both),
        plant(tmp_path, flat(0.8), origin="trained_here", concept="b", **both),
        plant(tmp_path, flat(0.4), concept="c", experiment="value_vectors"),
        plant(tmp_path, flat(0.6), concept="d", donor="noise"),
    ]
    found = curves_of(tmp_path, sweeps)
    only = {"method": "all", "layer": 1}
    for window in both["window"]:
        for span in both["span"]:
            here = {**only, "window": window, "span": span}
            assert point(found, origin="published", **here)["mean"] == pytest.approx(0.2)
            assert point(found, origin="trained_here", **here)["mean"] == pytest.approx(0.8)
    assert point(found, experiment="value_vectors", **only)["mean"] == pytest.approx(0.4)
    assert point(found, donor="noise", **only)["mean"] == pytest.approx(0.6)
    wide = point(found, origin="published", window="sliding_3", span="answer", **only)
    assert (wide["first_layer"], wide["last_layer"]) == (0, 2)


# ---- intervals --------------------------------------------------------------------------------


def test_intervals_from_five_concepts_on_and_per_layer(tmp_path: Path) -> None:
    sweeps = [
        plant(tmp_path, [[0.1 * i], [0.1 * i if i < 4 else None]], concept=f"c{i}")
        for i in range(5)
    ]
    found = curves_of(tmp_path, sweeps)
    first, second = (point(found, method="dpo", layer=layer) for layer in (0, 1))
    assert 0.0 < first["low"] < first["mean"] < first["high"] < 0.4
    assert second["concepts"] == 4
    assert np.isnan(second["low"]) and np.isnan(second["high"])


def test_the_interval_of_all_methods_draws_concepts_not_sweeps(tmp_path: Path) -> None:
    # Method b is the mirror image of a, so the mean over methods is 0.5 for every draw of
    # concepts; were sweeps drawn, it would scatter.
    sweeps = [
        plant(tmp_path, flat(value), concept=f"c{i}", method=method)
        for i in range(6)
        for method, value in (("a", i / 6), ("b", 1 - i / 6))
    ]
    every = point(curves_of(tmp_path, sweeps), method="all", layer=0)
    assert (every["low"], every["high"]) == (pytest.approx(0.5), pytest.approx(0.5))
    assert every["concepts"] == 6


# ---- files ------------------------------------------------------------------------------------


def test_a_text_that_a_spreadsheet_would_compute_is_quoted_and_read_back(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-x", "@x", "'=x", "''-", "\t=x", "'x", "tea", "a=b"]
    frame = pd.DataFrame({"concept_name": texts, "other": texts, "krs": -0.5, "n": [-1, *range(9)]})
    path = tmp_path / "table.csv"
    write_csv(path, frame)
    written = pd.read_csv(path)
    assert not written["concept_name"].str.match(r"[=+\-@\t\r]").any()
    assert list(written["krs"]) == [-0.5] * len(texts) and list(written["n"]) == list(frame["n"])
    assert list(written["other"][-3:]) == texts[-3:]
    pd.testing.assert_frame_equal(read_csv(path), frame)


@pytest.mark.parametrize("concepts", [4, 5])
def test_the_outcome_says_on_which_side_of_the_reference_a_score_is(
    tmp_path: Path, concepts: int
) -> None:
    """As it stands: a noising ratio below the reference's means that more is left."""
    noising = {"experiment": "noising_attention", "donor": "copy", "krs": np.nan}
    sweeps = [
        plant(tmp_path, flat(krs), method=method, concept=f"c{number}", **more)
        for number in range(concepts)
        for method, krs, ratio in (("dpo", 0.6, 0.4), ("npo", 0.3, 0.9), ("retain", 0.5, 0.8))
        for more in ({}, {**noising, "noising_ratio": ratio})
    ]
    origins = {f"tiny/retain/c{number}": REFERENCE for number in range(concepts)}
    collect_sweeps(sweeps, tmp_path / "krs.parquet", origins)
    rows = reference(concept_scores(tmp_path / "krs.parquet", ["krs", "noising_ratio"]))
    found = rows.groupby(["method", "score"])["outcome"].unique().map(list)
    above, below = (["above the reference"], ["below the reference"])
    if concepts < 5:
        above = below = ["not tested"]
    assert (found["dpo", "krs"], found["dpo", "noising_ratio"]) == (above, below)
    assert (found["npo", "krs"], found["npo", "noising_ratio"]) == (below, above)
