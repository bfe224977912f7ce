"""Collected rows, coverage and curves, against sweeps whose means are known by hand."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from dissect.analysis import collect
from dissect.analysis.collect import COVERAGE_COLUMNS, collect_sweeps, coverage
from dissect.analysis.tables import CURVE_COLUMNS, concept_scores, curves
from dissect.errors import DissectError
from dissect.provenance import Stopwatch
from dissect.results.csv_files import read_csv, write_csv
from dissect.results.schema import SWEEP_SCHEMA, read_metadata
from planted import flat, plant


def collected(tmp_path: Path, sweeps: Sequence[Path]) -> Path:
    table = tmp_path / "tables" / "krs.parquet"
    collect_sweeps(sweeps, table)
    return table


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


def test_row_groups_hold_whole_sweeps_and_change_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps = [plant(tmp_path, flat(0.1 * i, questions=i + 1), concept=f"c{i}") for i in range(5)]
    together = concept_scores(collected(tmp_path, sweeps))
    monkeypatch.setattr(collect, "_ROWS_PER_GROUP", 10)
    table = collected(tmp_path, sweeps)
    assert pq.ParquetFile(table).num_row_groups > 1
    apart = concept_scores(table)
    pd.testing.assert_frame_equal(together.astype(str), apart.astype(str))


def test_metadata_keeps_what_is_shared_and_lists_what_differs(tmp_path: Path) -> None:
    sweeps = [
        plant(
            tmp_path, flat(0.5), concept=name, metadata={"weights": name, "wall_seconds": name * 2}
        )
        for name in ("a", "b")
    ]
    found = read_metadata(collected(tmp_path, sweeps))
    assert found["device"] == "cpu"
    assert found["schema_version"] == "2"
    assert json.loads(found["sweeps"]) == {
        "tiny/dpo/a/attention": {"weights": "a"},
        "tiny/dpo/b/attention": {"weights": "b"},
    }


def test_what_differs_per_run_is_what_a_job_measures_of_itself() -> None:
    assert set(Stopwatch().fields()) == collect.PER_RUN


def test_coverage_counts_rows_and_nulls_and_gives_reasons(tmp_path: Path) -> None:
    sweep = plant(tmp_path, [[0.5, None]] * 4, origin="trained_here")
    key = {"model": "tiny", "method": "dpo", "concept": "a", "experiment": "attention"}
    missing = {**key, "reason": "no such folder", "origin": "own"}
    found = coverage(collected(tmp_path, [sweep]), [missing])
    assert list(found.columns) == COVERAGE_COLUMNS
    absent, there = found.to_dict("records")
    assert (absent["status"], absent["reason"], absent["rows"]) == ("missing", "no such folder", 0)
    assert absent["origin"] == "own"
    assert (there["status"], there["origin"]) == ("done", "trained_here")
    assert (there["rows"], there["null_krs"]) == (8, 4)


def test_a_noising_row_without_krs_is_no_null(tmp_path: Path) -> None:
    key = {"experiment": "noising_attention", "donor": "copy", "krs": np.nan}
    sweeps = [
        plant(tmp_path, flat(0.5), damage=0.4, **key),
        plant(tmp_path, flat(0.5), concept="war", damage=np.inf, **key),
        plant(tmp_path, [[0.5, None]] * 4),
    ]
    found = coverage(collected(tmp_path, sweeps), [])
    counts = found.set_index(["concept", "experiment"])["null_krs"]
    assert counts["tea", "noising_attention"] == 0
    assert counts["war", "noising_attention"] == 8  # no damage either
    assert counts["tea", "attention"] == 4


@pytest.mark.parametrize("what", ["nothing", "truncated", "moved", "columns", "version"])
def test_bad_sweeps_are_refused_in_one_line_and_leave_nothing(tmp_path: Path, what: str) -> None:
    sweep = plant(tmp_path, flat(0.5))
    table, schema = pq.read_table(sweep), pq.read_schema(sweep)
    if what == "truncated":
        sweep.write_bytes(sweep.read_bytes()[:-50])
    elif what == "moved":
        sweep = sweep.rename(sweep.with_name("value_vectors.parquet"))
    elif what == "columns":
        pq.write_table(table.drop_columns(["kl_patched"]), sweep)
    elif what == "version":
        metadata = {**schema.metadata, b"schema_version": b"0"}
        pq.write_table(table.replace_schema_metadata(metadata), sweep)
    output = tmp_path / "tables" / "krs.parquet"
    with pytest.raises(DissectError) as caught:
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


def test_a_curve_of_nulls_has_rows_but_no_value(tmp_path: Path) -> None:
    found = curves_of(tmp_path, [plant(tmp_path, flat(None))])
    assert len(found) == 2 * 2 * 4  # methods (dpo, all) x scores x layers
    assert found[["mean", "low", "high"]].isna().all(axis=None)
    assert (found["concepts"] == 0).all() and (found["null"] == 2).all()


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_what_is_not_finite_counts_as_null(tmp_path: Path, bad: float) -> None:
    found = curves_of(tmp_path, [plant(tmp_path, [[bad, 0.5]])])
    assert point(found, method="dpo")["mean"] == pytest.approx(0.5)
    assert point(found, method="dpo")["null"] == 1
    assert np.isnan(point(found, method="dpo", score="krs_of_means")["mean"])


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


def test_rows_are_selected_and_an_empty_selection_is_refused(tmp_path: Path) -> None:
    table = collected(tmp_path, [plant(tmp_path, flat(0.5), span=["notebook", "answer"])])
    found = concept_scores(table, "krs", span="answer", model="tiny")
    assert set(found["span"]) == {"answer"} and set(found["score"]) == {"krs"}
    with pytest.raises(DissectError, match="no row with window sliding_9"):
        concept_scores(table, window="sliding_9")


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


def test_equal_concepts_give_an_interval_of_no_width(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, flat(0.25), concept=f"c{i}") for i in range(6)]
    found = curves_of(tmp_path, sweeps)
    np.testing.assert_allclose(found[["low", "high"]], 0.25, rtol=1e-12)


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


def test_the_interval_is_the_bootstraps(tmp_path: Path) -> None:
    values = np.array([0.0, 0.1, 0.3, 0.6, 0.7, 0.9, 0.2])
    sweeps = [plant(tmp_path, [[v]], concept=f"c{i}") for i, v in enumerate(values)]
    found = point(curves_of(tmp_path, sweeps), method="dpo")
    draws = np.random.default_rng(1).choice(values, size=(40_000, len(values))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    assert found["low"] == pytest.approx(low, abs=0.02)
    assert found["high"] == pytest.approx(high, abs=0.02)


def test_seeds_decide_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sweeps = [plant(tmp_path, rng.random((3, 2)).tolist(), concept=f"c{i}") for i in range(6)]
    scores = concept_scores(collected(tmp_path, sweeps))
    shuffled = scores.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(curves(scores, 3), curves(shuffled, 3))
    assert not curves(scores, 3)["low"].equals(curves(scores, 4)["low"])


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


def test_csv_comes_back_as_it_was_and_the_same_twice(tmp_path: Path) -> None:
    sweeps = [
        plant(tmp_path, [[1 / 3, None], [2 / 3, -4.0]], concept="007", model="NA"),
        plant(tmp_path, [[None, None], [0.1, 0.2]], concept="null", model="NA"),
    ]
    frame = curves_of(tmp_path, sweeps)
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    write_csv(one, frame)
    write_csv(two, curves_of(tmp_path, sweeps[::-1]))
    assert one.read_bytes() == two.read_bytes()
    pd.testing.assert_frame_equal(read_csv(one), frame, check_dtype=False)
    with pytest.raises(DissectError, match="no row with model other"):
        read_csv(one, model="other")


def test_ten_thousand_sweeps_worth_of_curves_take_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    concepts, layers = 250, 32
    frame = pd.DataFrame(
        {
            "model": "m",
            "origin": "own",
            "method": np.repeat(["a", "b"], concepts * layers),
            "experiment": "attention",
            "concept": np.tile(np.repeat([f"c{i}" for i in range(concepts)], layers), 2),
            "concept_name": "",
            "window": "sliding_1",
            "span": "notebook",
            "donor": "original",
            "layer": np.tile(np.arange(layers), 2 * concepts),
            "first_layer": 0,
            "last_layer": 0,
            "score": "krs",
            "value": rng.random(2 * concepts * layers),
            "questions": 10,
            "null": 0,
        }
    )
    started = time.monotonic()
    found = curves(frame)
    assert time.monotonic() - started < 20
    assert len(found) == 3 * layers
