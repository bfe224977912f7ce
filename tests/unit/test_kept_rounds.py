"""The finished rounds: whole files, and the pages and tables have their numbers."""

import sys
from functools import cache
from pathlib import Path

import pandas as pd

from stillknows.analysis.calibration.rates import interval_of_share
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
# What was not recorded yet before round 113.
FIRST_WITH_ALL = "seed_113"
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
    is_older = rounds["round"] < FIRST_WITH_ALL
    older, later = rounds[is_older], rounds[~is_older]
    assert {*" ".join(older[LACKS]).split()} == NOT_RECORDED
    assert older[TRAINING_COLUMNS].isna().all(axis=None)
    assert (later[LACKS] == "").all()
    assert later[["retained_recalled", "steps", "final_loss_retain"]].notna().all(axis=None)
    assert rounds[[*PRIMARY]].notna().all(axis=None)
    scored = {spec.name for spec in SCORES if rounds[spec.name].notna().any()}
    assert set(rates().index) == scored | {print_rates.CONTRAST.name}


def test_the_written_tables_are_those_of_the_rounds() -> None:
    for path, table in (
        (RATES, print_rates.rates(finished())),
        (DIFFERENCES, print_rates.differences(finished())),
    ):
        counts = dict.fromkeys(table.select_dtypes("Int64"), float)  # a missing count: NaN
        pd.testing.assert_frame_equal(
            read_csv(path), table.astype(counts), check_dtype=False, atol=2e-4
        )


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
    assert table.loc[[NORM, UDS, KRS], "right_same"].tolist() == [65, 64, 61]
    assert table.loc[[NORM, KRS, UDS], "right_apart"].tolist() == [18, 22, 26]
    assert table.loc[UDS, ["pairs_same", "pairs_apart"]].tolist() == [65, 26]
    assert table.loc["uds_published", ["right_same", "auc"]].tolist() == [65, 0.994]
    assert table.loc["krs_contrast", "auc"].round(2) == 0.85
    assert table.loc[UDS, ["n_intact", "n_unlearned"]].tolist() == [58, 33]
    differences = read_csv(DIFFERENCES).set_index(["score", "other"])
    ends = ["auc_difference", "low", "high"]
    assert differences.loc[(UDS, KRS), ends].round(2).tolist() == [0.11, 0.04, 0.17]
    assert differences.loc[(UDS, NORM), ends].round(3).tolist() == [0.037, -0.004, 0.079]
    assert read_csv(DIFFERENCES)["p"][0] == 0.375


def test_at_most_one_round_has_a_false_alarm_of_a_score() -> None:
    """That is what the threshold is for: the extreme of the other rounds."""
    assert (rates()["false_alarm_rounds"].dropna() <= 1).all()
    rounds = finished()
    by_round = {
        score: rounds[(rounds["state"] == NEVER) & alarms_of(rounds, SPECS[score])].value_counts(
            "round"
        )
        for score in ("relearned", NORM)
    }
    # The page: they come together.
    assert {score: one.max() for score, one in by_round.items()} == {"relearned": 4, NORM: 3}


def said_in(page: str, sentence: str) -> bool:
    return sentence in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_readme_has_the_numbers() -> None:
    table = rates()
    page = "README.md"
    uds, krs, norm = (table.loc[score] for score in (UDS, KRS, NORM))
    apart = ", ".join(f"{row['right_apart']:g}" for row in (uds, krs))
    assert said_in(page, f"UDS {apart.replace(', ', ', KRS ')}, the norm {norm['right_apart']:g}")
    assert said_in(page, f"UDS {uds['right_same']:g}, KRS {krs['right_same']:g}, the norm")
    n_intact, n_unlearned = (f"{uds[name]:g}" for name in ("n_intact", "n_unlearned"))
    assert said_in(page, f"at most 1 of {uds['rounds'] + 1:g} similar rounds")
    assert said_in(page, f"UDS finds all {n_intact} taught models")
    assert said_in(page, f"(KRS: {krs['power_count_intact']:g}), and")
    assert said_in(page, f"{uds['power_count_unlearned']:g} of {n_unlearned} that were unlearned")
    assert said_in(page, f"unlearned (KRS: {krs['power_count_unlearned']:g})")


def test_the_false_alarms_of_the_outcome_of_depth() -> None:
    """docs/explanation/calibration.md: in the one round that has it."""
    row = rates().loc[OUTCOME]
    count, models = int(row["false_alarms"]), int(row["n_never"])
    low, high = interval_of_share(count, models)
    assert row["rounds"] == 1
    page = "docs/explanation/calibration.md"
    assert said_in(
        page,
        f"for {count} of the {models} never-taught models (exact 95 % interval of the share: "
        f"{low:.2f} to {high:.2f})",
    )
    rounds = finished()
    surviving = rounds.loc[rounds["state"] == TAUGHT, OUTCOME].dropna()
    assert said_in(
        page,
        f"At least {surviving.min():g} of the {surviving.max():g} facts survive in each of the "
        f"{len(surviving)} taught models",
    )


def test_what_uds_of_taught_models_is() -> None:
    """docs/explanation/calibration.md: the positives are two kinds of models."""
    rounds = finished()
    taught = rounds[rounds["state"] == TAUGHT]
    is_intact = taught["treatment"].isin((NONE, *CONTROL_TREATMENTS))
    assert taught.loc[is_intact, "uds"].max().round(2) == 0.05
    unlearned = taught.loc[~is_intact, "uds"]
    assert (unlearned.min().round(2), unlearned.max().round(2)) == (0.44, 0.94)
    no_alarm = len(unlearned) - rates().loc[UDS, "power_count_unlearned"]
    assert said_in("docs/explanation/calibration.md", f"{no_alarm:g} have no alarm")
    assert rounds.loc[rounds["state"] == NEVER, "uds"].min().round(2) == 0.79


def test_the_pairs_whose_state_is_confirmed() -> None:
    rounds = finished()
    confirmed = rounds[rounds["as_intended"]].set_index(["round", "method"]).index
    rights = {score: right_order(rounds, SPECS[score], SAME) for score in (KRS, UDS)}
    rights = {score: one[one.index.isin(confirmed)] for score, one in rights.items()}
    assert rights[UDS].all()
    assert said_in(
        "docs/explanation/calibration.md",
        f"In {len(rights[UDS])} of the 65 pairs, the taught model's state is confirmed: KRS is "
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
    text = f"missed a taught model in {missed} of {later['round'].nunique()} rounds"
    assert said_in("calibration/rounds/README.md", text)
