"""The finished rounds: whole files, and docs/explanation/calibration.md has their numbers."""

import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from dissect.calibration.scores import PRIMARY, SCORES
from dissect.calibration.table import LACKS, calibration_table, read_rounds

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from make_study import TREATMENTS, TREATMENTS_APART  # noqa: E402
from print_rates import APART, BY_ROUND, METHODS, by_round, candidate_by_round, lines_of, rates_of  # noqa: E402

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


def test_confirmatory_rounds_begin_at_101() -> None:
    """Seeds below were used to choose recipes and scores."""
    assert FILES
    assert all(int(path.stem.removeprefix("seed_")) >= 101 for path in FILES)


def test_the_pages_have_the_numbers_of_all_rounds() -> None:
    page = (ROOT / "docs/explanation/calibration.md").read_text(encoding="utf-8")
    assert "\n".join(lines_of(rates_of(read_rounds(FILES)))) in page
    page = (ROOT / "calibration/rounds/README.md").read_text(encoding="utf-8")
    for score, methods in product(BY_ROUND, (METHODS, APART)):
        assert "\n".join(lines_of(by_round(read_rounds(FILES), score, methods))) in page
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


def test_what_the_pages_say_of_models_that_were_not_trained_from_the_original() -> None:
    """README and docs/explanation/calibration.md."""
    rounds = read_rounds(FILES).pivot(index="round", columns="method", values=[*PRIMARY[:2]])
    krs, uds = rounds[PRIMARY[0]], rounds[PRIMARY[1]]
    assert [*krs.index[krs["again"] == krs.min(axis=1)]] == ["seed_106"]
    assert uds["again"].count() == 4
    assert uds[["again", "again_refuse"]].max(axis=None).round(2) == 0.01
    lower = {}  # the rounds in which KRS is not higher in the model that knows
    for treatment in ("", *(f"_{one}" for one in TREATMENTS_APART)):
        apart, never = f"again{treatment}", f"never{treatment}"
        taught = rounds.dropna(subset=[(PRIMARY[0], apart)]).index
        assert (uds.loc[taught, apart] < uds.loc[taught, never]).all()
        lower[apart] = [*taught[krs.loc[taught, apart] <= krs.loc[taught, never]]]
    assert lower == {"again": ["seed_106"], "again_refuse": ["seed_108"], "again_grad_diff": []}


def test_the_page_names_the_round_whose_original_recalls_too_little() -> None:
    rounds = read_rounds(FILES)
    failed = rounds[rounds["why_not"].str.startswith("the original recalls")]
    assert set(failed["round"]) == {"seed_109"}
    assert len(failed) == (rounds["round"] == "seed_109").sum()
