"""tables/calibration.csv: its rows, numbers and notes, and the files of rounds it is made from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planted_rounds import TREATMENTS, planted_rounds, row_of, steady
from stillknows.analysis.calibration.scores import SCORES, ScoreSpec
from stillknows.analysis.calibration.table import (
    ALL,
    ALL_MODELS,
    AS_INTENDED,
    CALIBRATION_COLUMNS,
    GROUPS,
    INTACT,
    LACKS,
    TRAINING_COLUMNS,
    UNLEARNED,
    calibration_table,
    read_rounds,
)
from stillknows.csv_files import write_csv
from stillknows.errors import StudyError
from stillknows.terms import NEVER, TAUGHT

UDS = next(spec for spec in SCORES if spec.name == "uds")
RELEARNED = next(spec for spec in SCORES if spec.name == "relearned")
SURVIVING = next(spec for spec in SCORES if spec.name == "surviving_facts")


def table_of(rounds: pd.DataFrame, *specs: ScoreSpec) -> pd.DataFrame:
    return calibration_table(rounds, scores=specs or (UDS,))


# ---- numbers ----------------------------------------------------------------------------------


def test_scores_that_point_down_are_turned() -> None:
    rounds = planted_rounds(12, uds=steady(0.1, 0.9), relearned=steady(0.1, 0.9))
    table = table_of(rounds, UDS, RELEARNED)
    uds = row_of(table, score="uds", treatment="hide", included=ALL_MODELS)
    assert uds["auc"] == 1.0
    assert uds["threshold"] == 0.9
    assert (uds["false_alarms"], uds["power_count"]) == (0, 12)
    relearned = row_of(table, score="relearned", treatment="hide", included=ALL_MODELS)
    assert relearned["auc"] == 0.0
    assert (relearned["false_alarms"], relearned["power_count"]) == (0, 0)
    for row in (uds, relearned):  # twelve equal rounds do not say how certain it is
        assert row[["auc_low", "auc_high"]].isna().all() and "no interval" in row["note"]


def test_a_row_per_score_treatment_group_and_selection() -> None:
    rounds = planted_rounds(
        6, [*TREATMENTS, "npo"], uds=steady(0.1, 0.9, 0.2), relearned=steady(0.5, 0.5, 0.2)
    )
    table = table_of(rounds, UDS, RELEARNED)
    assert list(table) == CALIBRATION_COLUMNS
    # Relearning is a check of the states: not rated on those that it confirmed.
    assert len(table) == 2 * (len(TREATMENTS) + 1 + len(GROUPS)) + len(GROUPS)
    assert (table["rounds"] == 6).all()
    rows = {
        group: row_of(table, score="uds", treatment=group, included=ALL_MODELS) for group in GROUPS
    }
    # The taught models are split; all never-taught ones stand against each part.
    assert {group: (row["n_taught"], row["n_never"]) for group, row in rows.items()} == {
        INTACT: (18, 24),
        UNLEARNED: (6, 24),
        ALL: (24, 24),
    }
    assert "power counts models of one round as independent" in rows[ALL]["note"]
    alone = row_of(table, score="uds", treatment="npo", included=ALL_MODELS)
    assert "independent" not in alone["note"]


def test_a_group_without_taught_models_has_no_row() -> None:
    table = table_of(planted_rounds(6, ["hide"], uds=steady(0.1, 0.9)))
    assert set(table["treatment"]) == {"hide", INTACT, ALL}


def test_errors_are_counted_per_round_too() -> None:
    rounds = planted_rounds(6, uds=steady(0.1, 0.9))
    never = rounds["state"] == NEVER
    rounds.loc[never & (rounds["round"] == "3"), "uds"] = 0.5  # three false alarms in one round
    rounds.loc[~never & (rounds["round"] == "4"), "uds"] = 0.95  # three misses in another
    row = row_of(table_of(rounds), treatment=ALL, included=ALL_MODELS)
    assert (row["false_alarms"], row["false_alarm_rounds"]) == (3, 1)
    assert (row["power_count"], row["missed_rounds"]) == (15, 1)
    assert row["threshold"] == 0.5 and row["false_alarm_bound"] == 1 / 7


def test_a_score_with_a_threshold_of_its_own_needs_no_other_rounds() -> None:
    """Depth's outcome is decided by how many facts survive: one is enough."""
    rounds = planted_rounds(1, surviving_facts=steady(3.0, 1.0))
    row = row_of(table_of(rounds, SURVIVING), treatment=ALL, included=ALL_MODELS)
    assert (row["threshold"], row["false_alarms"], row["power_count"]) == (0, 3, 3)
    rounds = planted_rounds(1, surviving_facts=steady(3.0, 0.0))
    row = row_of(table_of(rounds, SURVIVING), treatment=ALL, included=ALL_MODELS)
    assert (row["false_alarms"], row["power_count"]) == (0, 3)
    assert np.isnan(row["false_alarm_bound"])


def test_models_that_are_not_as_intended_are_left_out_of_one_selection() -> None:
    rounds = planted_rounds(6, ["hide"], uds=steady(0.1, 0.9))
    wrong = (rounds["round"] == "0") & (rounds["state"] == TAUGHT)
    rounds.loc[wrong, ["as_intended", "uds"]] = [False, 1.0]
    table = table_of(rounds)
    whole, strict = (
        row_of(table, treatment=ALL, included=name) for name in (ALL_MODELS, AS_INTENDED)
    )
    assert (whole["n_taught"], strict["n_taught"], strict["n_never"]) == (6, 5, 6)
    assert whole["auc"] < strict["auc"] == 1.0
    assert strict["rounds"] == 6


def test_alarms_need_no_knowledge_of_the_treatment() -> None:
    """Thresholds come from all treatments of the other rounds, and serve each treatment."""
    heights = {"hide": (0.1, 0.3), "refuse": (0.6, 0.9)}  # no threshold serves both
    rounds = planted_rounds(
        6, [*heights], uds=lambda _, state, treatment: heights[treatment][state != TAUGHT]
    )
    table = table_of(rounds)
    hide, refuse = (
        row_of(table, treatment=name, included=ALL_MODELS) for name in ("hide", "refuse")
    )
    assert hide["auc"] == refuse["auc"] == 1.0
    assert hide["threshold"] == refuse["threshold"] == 0.3
    assert (hide["power_count"], refuse["power_count"]) == (6, 0)


def test_null_scores_are_counted_and_no_alarms() -> None:
    rounds = planted_rounds(6, ["hide"], uds=steady(0.1, 0.9))
    rounds.loc[(rounds["round"] == "0") & (rounds["state"] == TAUGHT), "uds"] = np.nan
    row = row_of(table_of(rounds), treatment="hide", included=ALL_MODELS)
    assert (row["n_taught"], row["nulls_taught"], row["nulls_never"]) == (6, 1, 0)
    assert (row["auc"], row["power_count"]) == (1.0, 5)


def test_rounds_that_lack_a_score_are_not_counted_for_it() -> None:
    rounds = planted_rounds(8, ["hide"], uds=steady(0.1, 0.9))
    lacking = rounds["round"].isin(["0", "1"])
    rounds.loc[lacking, "uds"] = np.nan
    rounds.loc[lacking, LACKS] += " uds"
    row = row_of(table_of(rounds), treatment="hide", included=ALL_MODELS)
    assert (row["rounds"], row["n_taught"], row["nulls_taught"]) == (6, 6, 0)


def test_a_round_without_one_of_its_models_stays_in_use() -> None:
    rounds = planted_rounds(6, ["hide"], uds=steady(0.1, 0.9))
    rounds = rounds[(rounds["round"] != "0") | (rounds["state"] != NEVER)]
    row = row_of(table_of(rounds), treatment="hide", included=ALL_MODELS)
    assert (row["rounds"], row["n_taught"], row["n_never"]) == (6, 6, 5)
    assert (row["false_alarm_bound"], row["power_count"]) == (1 / 6, 6)


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
        (lambda rows: rows.replace({"state": {TAUGHT: "tought"}}), "did you mean taught"),
        (lambda rows: rows[:0], "has no models"),
        (lambda rows: rows.assign(round=""), "round is empty in a row"),
        (lambda rows: rows.assign(treatment=INTACT), "no treatment may be called intact"),
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
    with pytest.raises(StudyError, match=message) as error:
        read_rounds([tmp_path / "round.csv"])
    assert "round.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change", [lambda line: line + ",1", lambda line: line[: line.rindex(",")]]
)
@pytest.mark.parametrize("number", [1, 2, 6])
def test_a_row_of_another_length_is_refused(
    tmp_path: Path, change: Callable[[str], str], number: int
) -> None:
    """pandas would take the first column for an index, or fill the row with nulls."""
    [path] = written(tmp_path, planted_rounds(1, uds=steady(0.1, 0.9)))
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number] = change(lines[number])
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(StudyError, match=f"row {number + 1} has") as error:
        read_rounds([path])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("again", ["101.0", "101 ", "0101", "seed_101"])
def test_a_seed_in_another_form_is_the_same_round(tmp_path: Path, again: str) -> None:
    rows = planted_rounds(1, uds=steady(0.1, 0.9)).assign(round="101")
    write_csv(tmp_path / "a.csv", rows)
    write_csv(tmp_path / "b.csv", rows.assign(round=again))
    with pytest.raises(StudyError, match="give each round once"):
        read_rounds([tmp_path / "a.csv", tmp_path / "b.csv"])
    other = rows.assign(round=again, method=rows["method"] + "_again")
    write_csv(tmp_path / "a.csv", pd.concat([rows, other]))
    with pytest.raises(StudyError, match="give each round once"):
        read_rounds([tmp_path / "a.csv"])


def test_files_of_older_code_are_read(tmp_path: Path) -> None:
    """They say `knows`, and lack what later rounds record."""
    rows = planted_rounds(1, uds=steady(0.1, 0.9))
    new = rows.assign(round="9", steps=12)
    write_csv(tmp_path / "new.csv", new)
    write_csv(tmp_path / "old.csv", rows.replace({"state": {TAUGHT: "knows"}}))
    found = read_rounds([tmp_path / "old.csv", tmp_path / "new.csv"])
    assert [*found["state"]] == [*rows["state"]] * 2
    assert found["steps"].isna().tolist() == [True] * len(rows) + [False] * len(rows)
    assert set(TRAINING_COLUMNS) < set(found)


def test_a_round_in_two_files_is_refused(tmp_path: Path) -> None:
    rows = planted_rounds(1, uds=steady(0.1, 0.9))
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / name, rows)
    with pytest.raises(StudyError, match=r"b\.csv .*a\.csv"):
        read_rounds([tmp_path / "a.csv", tmp_path / "b.csv"])
    write_csv(tmp_path / "b.csv", rows.assign(model="other"))
    with pytest.raises(StudyError, match="other, tiny"):
        read_rounds([tmp_path / "a.csv", tmp_path / "b.csv"])
