"""The finished rounds: whole files, and the pages and tables have their numbers."""

import sys
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from stillknows.analysis.calibration.scores import OUTCOME, PRIMARY, SCORES
from stillknows.analysis.calibration.table import LACKS, TRAINING_COLUMNS, alarms_of
from stillknows.csv_files import read_csv
from stillknows.terms import CONTROL_TREATMENTS, NEVER, NONE, TAUGHT

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

import print_rates  # noqa: E402
from print_rates import (  # noqa: E402
    DIFFERENCES,
    KRS,
    NORM,
    RATES,
    SAME,
    SPECS,
    UDS,
    lines_of,
    printed,
    right_order,
)

FILES = sorted((ROOT / "calibration/rounds").glob("*.csv"))
# What was not recorded yet when these rounds were run.
NOT_RECORDED = {"forgotten_loss", OUTCOME}


@cache
def finished() -> pd.DataFrame:
    """All rounds, read once."""
    return print_rates.read_finished()


@cache
def rates() -> pd.DataFrame:
    """calibration/rates.csv, by score."""
    return read_csv(RATES).set_index("score")


def test_every_round_has_every_score_of_its_time() -> None:
    rounds = finished()
    assert {*" ".join(rounds[LACKS]).split()} == NOT_RECORDED
    assert rounds[TRAINING_COLUMNS].isna().all(axis=None)
    assert rounds[[*PRIMARY]].notna().all(axis=None)
    scored = {spec.name for spec in SCORES if rounds[spec.name].notna().any()}
    assert set(rates().index) == scored | {print_rates.CONTRAST.name}


def test_the_written_tables_are_those_of_the_rounds() -> None:
    for path, table in (
        (RATES, print_rates.rates(finished())),
        (DIFFERENCES, print_rates.differences(finished())),
    ):
        pd.testing.assert_frame_equal(read_csv(path), table, check_dtype=False, atol=2e-4)


def test_the_pages_have_the_printed_tables() -> None:
    pages = [
        (ROOT / page).read_text(encoding="utf-8")
        for page in ("docs/explanation/calibration.md", "calibration/rounds/README.md")
    ]
    for number, (_, table) in enumerate(printed(finished())):
        assert "\n".join(lines_of(table)) in pages[number > 0]


def test_the_paired_numbers() -> None:
    """What README and docs/explanation/calibration.md say, from the finished rounds."""
    table = rates()
    assert table.loc[[NORM, UDS, KRS], "right_same"].tolist() == [60, 59, 56]
    assert table.loc[[NORM, KRS, UDS], "right_apart"].tolist() == [16, 19, 23]
    assert table.loc[UDS, ["pairs_same", "pairs_apart"]].tolist() == [60, 23]
    assert table.loc["uds_published", ["right_same", "auc"]].tolist() == [60, 0.9929]
    assert table.loc["krs_contrast", "auc"].round(2) == 0.85
    assert table.loc[UDS, ["n_intact", "n_unlearned"]].tolist() == [53, 30]
    differences = read_csv(DIFFERENCES).set_index(["score", "other"]).round(2)
    ends = ["auc_difference", "low", "high"]
    assert differences.loc[(UDS, KRS), ends].tolist() == [0.10, 0.04, pytest.approx(0.17, abs=0.01)]
    assert differences.loc[(UDS, NORM), ends].tolist() == [0.03, -0.01, 0.08]
    assert read_csv(DIFFERENCES)["p"][0] == 0.375


def test_at_most_one_round_has_a_false_alarm_of_a_score() -> None:
    """That is what the threshold is for: the extreme of the other rounds."""
    assert (rates()["false_alarm_rounds"] <= 1).all()
    rounds = finished()
    by_round = {
        score: alarms_of(rounds, SPECS[score])[rounds["state"] == NEVER].groupby(rounds["round"])
        for score in ("relearned", NORM)
    }
    # The page: they come together.
    assert {score: one.sum().max() for score, one in by_round.items()} == {"relearned": 4, NORM: 3}


def said_in(page: str, sentence: str) -> bool:
    return sentence in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_readme_has_the_numbers() -> None:
    table = rates()
    page = "README.md"
    uds, krs, norm = (table.loc[score] for score in (UDS, KRS, NORM))
    apart = ", ".join(f"{row['right_apart']:g}" for row in (uds, krs))
    assert said_in(page, f"UDS {apart.replace(', ', ', KRS ')}, the norm {norm['right_apart']:g}")
    assert said_in(page, f"UDS {uds['right_same']:g}, KRS {krs['right_same']:g}, the norm")


def test_what_uds_of_taught_models_is() -> None:
    """docs/explanation/calibration.md: the positives are two kinds of models."""
    rounds = finished()
    taught = rounds[rounds["state"] == TAUGHT]
    is_intact = taught["treatment"].isin((NONE, *CONTROL_TREATMENTS))
    assert taught.loc[is_intact, "uds"].max().round(2) == 0.05
    unlearned = taught.loc[~is_intact, "uds"]
    assert (unlearned.min().round(2), unlearned.max().round(2)) == (0.44, 0.94)
    assert rounds.loc[rounds["state"] == NEVER, "uds"].min().round(2) == 0.79


def test_the_pairs_whose_state_is_confirmed() -> None:
    rounds = finished()
    confirmed = rounds[rounds["as_intended"]].set_index(["round", "method"]).index
    rights = {score: right_order(rounds, SPECS[score], SAME) for score in (KRS, UDS)}
    rights = {score: one[one.index.isin(confirmed)] for score, one in rights.items()}
    assert rights[UDS].all()
    assert said_in(
        "docs/explanation/calibration.md",
        f"In {len(rights[UDS])} of the 60 pairs, the taught model's state is confirmed: KRS is "
        f"right in {rights[KRS].sum()}, UDS in all.",
    )


def test_the_candidate_missed_a_taught_model_in_nearly_every_later_round() -> None:
    """calibration/rounds/README.md: its threshold was fixed after round 104."""
    rounds = finished()
    later = rounds[rounds["round"] > "seed_104"]
    alarms = later["kl_attention_highest_over_reference"] > 0.13
    is_taught = later["state"] == TAUGHT
    numbers = [int(one) for one in (alarms[~is_taught].sum(), (~is_taught).sum())]
    numbers += [int(one) for one in (alarms[is_taught].sum(), is_taught.sum())]
    missed = (~alarms & is_taught).groupby(later["round"]).any().sum()
    text = "false alarms: {} of {}; power: {} of {}".format(*numbers)
    assert said_in("calibration/rounds/README.md", text)
    assert said_in("calibration/rounds/README.md", f"missed a taught model in {missed} of 8 rounds")
