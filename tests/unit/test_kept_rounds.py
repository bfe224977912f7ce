"""The finished rounds: whole files, and docs/explanation/calibration.md has their numbers."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from dissect.calibration.scores import PRIMARY, SCORES
from dissect.calibration.table import LACKS, calibration_table, read_rounds

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from make_study import TREATMENTS  # noqa: E402
from print_rates import BY_ROUND, METHODS, by_round, candidate_by_round, lines_of, rates_of  # noqa: E402

FILES = sorted((ROOT / "calibration/rounds").glob("*.csv"))
COUNTS = [
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
]


def test_every_round_has_every_score() -> None:
    rounds = read_rounds(FILES)
    assert (rounds[LACKS] == "").all()
    assert rounds[[*PRIMARY]].notna().all(axis=None)
    assert set(calibration_table(rounds)["score"]) == {spec.name for spec in SCORES}


def test_confirming_rounds_begin_at_101() -> None:
    """Seeds below were used to choose recipes and scores."""
    assert FILES
    assert all(int(path.stem.removeprefix("seed_")) >= 101 for path in FILES)


def test_the_pages_have_the_numbers_of_all_rounds() -> None:
    page = (ROOT / "docs/explanation/calibration.md").read_text(encoding="utf-8")
    assert "\n".join(lines_of(rates_of(read_rounds(FILES)))) in page
    page = (ROOT / "calibration/rounds/README.md").read_text(encoding="utf-8")
    for score in BY_ROUND:
        assert "\n".join(lines_of(by_round(read_rounds(FILES), score))) in page
    assert "\n".join(lines_of(candidate_by_round(read_rounds(FILES)))) in page


@pytest.mark.parametrize("page", ["README.md", "docs/explanation/calibration.md"])
def test_the_pages_say_how_many_rounds_there_are(page: str) -> None:
    words = f"{COUNTS[len(FILES) - 1]} of at least twelve"
    assert words.lower() in (ROOT / page).read_text(encoding="utf-8").lower()


def test_readme_says_how_many_pairs_are_in_the_right_order() -> None:
    """A pair: a model that knows, and one that never knew, after the same treatment."""
    rounds = read_rounds(FILES)
    in_order = {}
    for score, sign in ((PRIMARY[0], +1), (PRIMARY[1], -1)):
        values = rounds.pivot(index="round", columns="method", values=score) * sign
        excess = pd.DataFrame({one: values[one] - values[f"never_{one}"] for one in TREATMENTS})
        in_order[score] = int((excess > 0).sum(axis=None))
    krs, uds = in_order.values()
    sentence = (
        f"of {excess.size} pairs of models with the same treatment, of which one knows the facts, "
        f"UDS has the right order in {uds} and KRS in {krs}."
    )
    assert sentence in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_the_order_of_models_that_the_page_names() -> None:
    """By UDS: one that never knew above grad_diff above one that only refuses, in each round."""
    uds = read_rounds(FILES).pivot(index="round", columns="method", values="uds")
    assert (uds["never"] > uds["grad_diff"]).all()
    assert (uds["grad_diff"] > uds["hide"]).all()
    assert {*METHODS} <= {*uds.columns}


def test_krs_of_the_untreated_model_that_never_knew_is_the_lower_one() -> None:
    """README says so, since it is the other way round in the demo."""
    krs = read_rounds(FILES).pivot(index="round", columns="method", values=PRIMARY[0])
    assert (krs["never"] < krs[["grad_diff", "npo"]].min(axis=1)).all()


def test_krs_of_the_model_that_learned_apart_is_below_that_of_models_that_never_knew() -> None:
    """README and docs/explanation/calibration.md say so of round 106, the only one with it."""
    rounds = read_rounds(FILES)
    again = rounds[rounds["method"] == "again"]
    assert [*again["round"]] == ["seed_106"]
    krs, uds, recalled = again[[PRIMARY[0], "uds", "recalled"]].iloc[0]
    others = rounds[(rounds["round"] == "seed_106") & (rounds["method"] != "again")]
    assert krs < others[PRIMARY[0]].min()
    assert (round(krs, 2), round(uds, 2), recalled) == (0.61, 0.01, 1.0)
