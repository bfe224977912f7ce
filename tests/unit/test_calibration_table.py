"""tables/calibration.csv: its rows, numbers and notes, and the files of rounds it is made from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissect.calibration.scores import SCORES, ScoreSpec
from dissect.calibration.table import ALL, ALL_MODELS, AS_INTENDED, calibration_table, read_rounds
from dissect.errors import DissectError
from dissect.results.csv_files import write_csv
from dissect.terms import KNOWS, NEVER
from planted_rounds import planted_rounds, row_of, steady

UDS = next(spec for spec in SCORES if spec.name == "uds")
RELEARNED = next(spec for spec in SCORES if spec.name == "relearned")


def table_of(rounds: pd.DataFrame, *specs: ScoreSpec) -> pd.DataFrame:
    return calibration_table(rounds, scores=specs or (UDS,))


# ---- scores -----------------------------------------------------------------------------------


# ---- numbers ----------------------------------------------------------------------------------


def test_scores_that_point_down_are_turned() -> None:
    rounds = planted_rounds(12, uds=steady(0.1, 0.9), relearned=steady(0.1, 0.9))
    table = table_of(rounds, UDS, RELEARNED)
    uds = row_of(table, score="uds", treatment="hide", included=ALL_MODELS)
    assert (uds["auc"], uds["auc_low"], uds["auc_high"]) == (1.0, 0.05 ** (1 / 12), 1.0)
    assert uds["threshold"] == pytest.approx(0.5)
    assert (uds["false_alarms"], uds["power_count"]) == (0, 12)
    relearned = row_of(table, score="relearned", treatment="hide", included=ALL_MODELS)
    assert (relearned["auc"], relearned["auc_low"]) == (0.0, 0.0)
    assert relearned["auc_high"] == 1 - 0.05 ** (1 / 12)
    assert np.isnan(relearned["threshold"])
    assert (relearned["false_alarms"], relearned["power_count"]) == (0, 0)
    assert relearned["note"] == "at no threshold is the power above the rate of false alarms"


def test_models_that_are_not_as_intended_are_left_out_of_one_selection() -> None:
    rounds = planted_rounds(6, ["hide"], uds=steady(0.1, 0.9))
    wrong = (rounds["round"] == "0") & (rounds["state"] == KNOWS)
    rounds.loc[wrong, ["as_intended", "uds"]] = [False, 1.0]
    table = table_of(rounds)
    whole, strict = (
        row_of(table, treatment="hide", included=name) for name in (ALL_MODELS, AS_INTENDED)
    )
    assert (whole["n_knows"], strict["n_knows"], strict["n_never"]) == (6, 5, 6)
    assert whole["auc"] < strict["auc"] == 1.0
    assert strict["rounds"] == 6


def test_at_most_5_percent_may_be_written_from_59_models_on() -> None:
    for count, expected in [(58, False), (59, True)]:
        rounds = planted_rounds(count, ["hide"], uds=steady(0.1, 0.9))
        row = row_of(table_of(rounds), treatment="hide", included=ALL_MODELS)
        assert row["at_most_5_percent"] == expected


def test_alarms_need_no_knowledge_of_the_treatment() -> None:
    """Thresholds come from all treatments of the other rounds, and serve each treatment."""
    heights = {"hide": (0.1, 0.3), "refuse": (0.6, 0.9)}  # no threshold serves both
    rounds = planted_rounds(
        6, [*heights], uds=lambda _, state, treatment: heights[treatment][state != KNOWS]
    )
    table = table_of(rounds)
    hide, refuse = (
        row_of(table, treatment=name, included=ALL_MODELS) for name in ("hide", "refuse")
    )
    assert hide["auc"] == refuse["auc"] == 1.0
    assert hide["threshold"] == refuse["threshold"]
    assert hide["false_alarms"] + refuse["false_alarms"] + (12 - hide["power_count"]) > 6


def test_at_most_5_percent_needs_values_and_rounds_of_their_own() -> None:
    rounds = planted_rounds(60, ["hide"], uds=steady(0.1, 0.9))
    never = rounds["state"] != KNOWS
    rounds.loc[never & (rounds["round"].astype(int) < 30), "uds"] = np.nan
    row = row_of(table_of(rounds), treatment="hide", included=ALL_MODELS)
    assert (row["nulls_never"], row["false_alarms"], row["at_most_5_percent"]) == (30, 0, False)
    twice = planted_rounds(30, ["hide"], uds=steady(0.1, 0.9))
    twice = pd.concat([twice, twice.assign(method=twice["method"] + "_again")])
    row = row_of(table_of(twice), treatment="hide", included=ALL_MODELS)
    assert (row["n_never"], row["false_alarms"], row["at_most_5_percent"]) == (60, 0, False)


def test_null_scores_are_counted_and_no_alarms() -> None:
    rounds = planted_rounds(6, ["hide"], uds=steady(0.1, 0.9))
    rounds.loc[(rounds["round"] == "0") & (rounds["state"] == KNOWS), "uds"] = np.nan
    row = row_of(table_of(rounds), treatment="hide", included=ALL_MODELS)
    assert (row["n_knows"], row["nulls_knows"], row["nulls_never"]) == (6, 1, 0)
    assert (row["auc"], row["power_count"], row["note"]) == (1.0, 5, "")


def test_a_round_without_one_of_its_models_stays_in_use() -> None:
    rounds = planted_rounds(6, ["hide"], uds=steady(0.1, 0.9))
    rounds = rounds[(rounds["round"] != "0") | (rounds["state"] != NEVER)]
    row = row_of(table_of(rounds), treatment="hide", included=ALL_MODELS)
    assert (row["rounds"], row["n_knows"], row["n_never"]) == (6, 6, 5)
    assert row["auc_low"] == 0.05 ** (1 / 5)


# ---- files ------------------------------------------------------------------------------------


def written(tmp_path: Path, rounds: pd.DataFrame) -> list[Path]:
    """A file per round."""
    paths = []
    for name, rows in rounds.groupby("round"):
        paths.append(tmp_path / f"{name}.csv")
        write_csv(paths[-1], rows)
    return paths


def test_rounds_are_read_as_they_were_written(tmp_path: Path) -> None:
    rounds = planted_rounds(2, uds=steady(0.1, 0.9), relearned=steady(np.nan, 0.5))
    rounds.loc[0, ["as_intended", "why_not"]] = [False, "answers 3 of 8 facts"]
    found = read_rounds(written(tmp_path, rounds))
    pd.testing.assert_frame_equal(found[list(rounds)], rounds, check_dtype=False)
    assert found["round"].tolist()[0] == "0" and found["as_intended"].dtype == bool
    lacking = [spec.name for spec in SCORES if spec.name not in rounds]
    assert found[lacking].isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns=["state", "code"]), "has no column state, code"),
        (lambda rows: rows.replace({"state": {KNOWS: "know"}}), "did you mean knows"),
        (lambda rows: rows.assign(as_intended="perhaps"), "must be True or False"),
        (lambda rows: rows.assign(treatment=ALL), "no treatment may be called all"),
        (lambda rows: rows.assign(method="hide"), "has method hide of round 0, model tiny, twice"),
        (lambda rows: rows.assign(uds="high"), "uds is 'high'; give a finite number"),
        (lambda rows: rows.assign(uds=np.inf), "uds is 'inf'; give a finite number"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, change: object, message: str) -> None:
    rows = change(planted_rounds(1, uds=steady(0.1, 0.9)))  # type: ignore[operator]
    write_csv(tmp_path / "round.csv", rows)
    with pytest.raises(DissectError, match=message) as error:
        read_rounds([tmp_path / "round.csv"])
    assert "round.csv" in str(error.value) and "\n" not in str(error.value)


def test_a_round_in_two_files_is_refused(tmp_path: Path) -> None:
    rows = planted_rounds(1, uds=steady(0.1, 0.9))
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / name, rows)
    with pytest.raises(DissectError, match=r"b\.csv .*a\.csv"):
        read_rounds([tmp_path / "a.csv", tmp_path / "b.csv"])
    write_csv(tmp_path / "b.csv", rows.assign(model="other"))
    with pytest.raises(DissectError, match="other, tiny"):
        read_rounds([tmp_path / "a.csv", tmp_path / "b.csv"])
