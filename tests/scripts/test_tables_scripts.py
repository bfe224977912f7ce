"""summarise_*.py and decide_claims.py: from sweeps to the tables."""

from pathlib import Path

import decide_claims
import pandas as pd
import pytest
import summarise
import summarise_scores

from dissect.analysis.collect import collect_sweeps, coverage
from dissect.analysis.scores import EVERY_SCORE
from dissect.results.csv_files import read_csv, write_csv
from planted import flat, plant


def run(tmp_path: Path, sweeps: list[Path]) -> Path:
    """All tables, one script after another; returns the tables' folder."""
    tables = tmp_path / "tables"
    key = {"model": "tiny", "method": "dpo", "concept": "war", "experiment": "attention"}
    krs, missing = tables / "krs.parquet", key | {"reason": "demo/war is not there"}
    collect_sweeps(sweeps, krs)
    write_csv(tables / "coverage.csv", coverage(krs, [missing | {"origin": "own"}]))
    summarise.main(krs=krs, part="tables", seed=0, table=tables / "curves.csv")
    summarise_scores.main(
        krs=krs, seed=0, scores=tables / "scores.csv", differing=tables / "disagreements.csv"
    )
    summarise.main(krs=krs, part="statistics", seed=0, table=tables / "statistics.csv")
    decide_claims.main(
        krs=krs, behaviour=[], windows=["suffix", "sliding_1"], seed=0, table=tables / "claims.csv"
    )
    return tables


def test_sweeps_become_tables(tmp_path: Path) -> None:
    tables = run(tmp_path, [plant(tmp_path, [[0.2, 0.4], [0.5, None]])])
    assert len(pd.read_parquet(tables / "krs.parquet")) == 4
    coverage = pd.read_csv(tables / "coverage.csv", keep_default_na=False)
    assert coverage["status"].tolist() == ["done", "missing"]
    assert coverage["null_krs"].tolist() == [1, 0]
    assert coverage["reason"].tolist() == ["", "demo/war is not there"]
    curves = pd.read_csv(tables / "curves.csv")
    krs = curves[(curves["score"] == "krs") & (curves["method"] == "all")]
    assert krs["mean"].tolist() == pytest.approx([0.3, 0.5])
    assert krs["low"].isna().all()
    scores = read_csv(tables / "scores.csv", method="all")
    assert set(scores["score"]) == set(EVERY_SCORE)
    assert scores.loc[scores["score"] == "krs", "mean"].tolist() == pytest.approx([0.3, 0.5])
    assert (tables / "disagreements.csv").read_text().count("\n") == 1  # no other score to differ
    statistics = read_csv(tables / "statistics.csv")
    peak = statistics[(statistics["statistic"] == "peak") & (statistics["score"] == "krs")]
    assert peak["value"].tolist() == pytest.approx([0.5, 0.5])
    assert (peak["n"] == 1).all() and peak["layer"].isna().all()
    claims = read_csv(tables / "claims.csv")
    assert set(claims["verdict"]) == {"undecided"}
    much = claims[claims["id"] == "attention_much"].iloc[0]
    assert (much["window"], much["method"], much["n"]) == ("sliding_1", "all", 0)
    assert pd.isna(much["value"]) and much["note"] == "0 concepts decide: a decision needs 9"


def test_tables_have_the_same_bytes_twice(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, flat(0.1 * i), concept=f"c{i}") for i in range(6)]
    first = {path.name: path.read_bytes() for path in run(tmp_path, sweeps).iterdir()}
    again = {path.name: path.read_bytes() for path in run(tmp_path, sweeps[::-1]).iterdir()}
    assert sorted(first) == [
        "claims.csv",
        "coverage.csv",
        "curves.csv",
        "disagreements.csv",
        "krs.parquet",
        "scores.csv",
        "statistics.csv",
    ]
    assert first == again
