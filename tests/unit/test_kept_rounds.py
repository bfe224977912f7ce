"""The finished rounds: whole files, and docs/explanation/calibration.md has their numbers."""

import sys
from functools import cache
from itertools import product
from pathlib import Path

import pandas as pd

from dissect.calibration.scores import PRIMARY, SCORES
from dissect.calibration.table import ALL_MODELS, AS_INTENDED, LACKS, alarms_of, read_rounds
from dissect.results.csv_files import read_csv
from dissect.terms import KNOWS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from make_study import TREATMENTS, TREATMENTS_APART  # noqa: E402
from print_rates import (  # noqa: E402
    APART,
    BY_ROUND,
    METHODS,
    WRITTEN,
    alarms_by_method,
    all_rates,
    by_round,
    candidate_by_round,
    known_answers,
    lines_of,
    rates_of,
)

FILES = sorted((ROOT / "calibration/rounds").glob("*.csv"))


@cache
def finished() -> pd.DataFrame:
    """All rounds, read once."""
    return read_rounds(FILES)


def test_every_round_has_every_score() -> None:
    rounds = finished()
    assert (rounds[LACKS] == "").all()
    assert rounds[[*PRIMARY]].notna().all(axis=None)
    assert set(read_csv(WRITTEN)["score"]) == {spec.name for spec in SCORES}


def test_the_pages_have_the_numbers_of_all_rounds() -> None:
    page = (ROOT / "docs/explanation/calibration.md").read_text(encoding="utf-8")
    assert "\n".join(lines_of(rates_of(finished(), ALL_MODELS))) in page
    page = (ROOT / "calibration/rounds/README.md").read_text(encoding="utf-8")
    assert "\n".join(lines_of(rates_of(finished(), AS_INTENDED))) in page
    for score, methods in product(BY_ROUND, (METHODS, APART)):
        assert "\n".join(lines_of(by_round(finished(), score, methods))) in page
    assert "\n".join(lines_of(known_answers(finished()))) in page
    assert "\n".join(lines_of(candidate_by_round(finished()))) in page
    assert "\n".join(lines_of(alarms_by_method(finished()))) in page


def test_the_rates_of_all_scores_are_those_of_all_rounds() -> None:
    counts = {"false_alarms": float, "power_count": float}
    expected = all_rates(finished()).astype(counts)
    pd.testing.assert_frame_equal(read_csv(WRITTEN), expected, check_dtype=False, atol=2e-4)


# Of models that know: those trained from the original, and the others, each with the model that
# never knew and got the same treatment.
FROM_ORIGINAL = {one: f"never_{one}" for one in TREATMENTS}
APART_OR_BRIEF = {
    "again": "never",
    "brief": "never",
    **{f"again_{one}": f"never_{one}" for one in TREATMENTS_APART},
}


def right_order(
    score: str, counterparts: dict[str, str], *, is_confirmed: bool = False
) -> "pd.Series[bool]":
    """Per pair, whether a score indicates more knowledge in the model that knows.

    Args:
        is_confirmed: only the pairs whose knowing model's state is confirmed.
    """
    rounds = finished()
    spec = next(spec for spec in SCORES if spec.name == score)
    table = rounds.pivot(index="round", columns="method", values=[score, "as_intended"])
    values = table[score] * spec.sign
    excess = pd.DataFrame({one: values[one] - values[other] for one, other in counterparts.items()})
    if is_confirmed:
        excess = excess[table["as_intended"][[*counterparts]].eq(True)]
    return (excess.stack().dropna() > 0).rename(score)


def said_in(page: str, sentence: str) -> bool:
    return sentence in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_readme_says_how_many_pairs_are_in_the_right_order() -> None:
    krs, uds = (right_order(score, FROM_ORIGINAL) for score in PRIMARY[:2])
    assert said_in(
        "README.md",
        f"In each of {len(krs)} pairs of models with the same treatment, one learned the facts: "
        f"UDS has the right order in {uds.sum()} pairs and KRS in {krs.sum()}.",
    )
    krs, uds = (right_order(score, APART_OR_BRIEF) for score in PRIMARY[:2])
    assert said_in(
        "README.md", f"UDS is right in {uds.sum()} of {len(uds)} pairs and KRS in {krs.sum()}."
    )


def test_readme_says_how_many_alarms_are_wrong() -> None:
    rounds = finished()
    knows = rounds["state"] == KNOWS
    krs, uds = (
        alarms_of(rounds, next(spec for spec in SCORES if spec.name == name))
        for name in PRIMARY[:2]
    )
    assert said_in(
        "README.md",
        f"KRS wrongly reports knowledge in {krs[~knows].sum()} of {(~knows).sum()} models that "
        f"never knew the facts, and misses it in {(~krs[knows]).sum()} of {knows.sum()} that "
        "learned them; for UDS, the numbers are "
        f"{uds[~knows].sum()} and {(~uds[knows]).sum()}.",
    )
