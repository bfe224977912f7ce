"""The finished rounds: whole files, and docs/explanation/calibration.md has their numbers."""

import sys
from functools import cache
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from dissect.calibration.scores import PRIMARY, SCORES
from dissect.calibration.table import ALL_MODELS, AS_INTENDED, LACKS, alarms_of, read_rounds
from dissect.results.csv_files import read_csv
from dissect.terms import BOTH, MLP_COEFFICIENTS, PAPER_EXPERIMENTS, TAUGHT, VALUE_VECTORS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from make_study import TREATMENTS, TREATMENTS_APART  # noqa: E402
from print_rates import (  # noqa: E402
    APART,
    BY_ROUND,
    EARLIER,
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


@cache
def finished() -> pd.DataFrame:
    """All rounds, read once."""
    return read_rounds(FILES)


def test_every_round_has_every_score() -> None:
    rounds = finished()
    assert (rounds[LACKS] == "").all()
    assert rounds[[*PRIMARY]].notna().all(axis=None)
    assert set(read_csv(WRITTEN)["score"]) == {spec.name for spec in SCORES}


def test_confirmatory_rounds_begin_at_101() -> None:
    """Seeds below were used to choose recipes and scores."""
    assert FILES
    assert all(int(path.stem.removeprefix("seed_")) >= 101 for path in FILES)


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


@pytest.mark.parametrize(
    "page",
    ["README.md", *(f"docs/explanation/{name}.md" for name in ("calibration", "depth", "scores"))],
)
def test_the_pages_say_how_many_rounds_there_are(page: str) -> None:
    words = f"{COUNTS[len(FILES) - 1]} rounds"
    assert words.lower() in (ROOT / page).read_text(encoding="utf-8").lower()


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
    knows = rounds["state"] == TAUGHT
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


def test_the_page_says_how_many_confirmed_pairs_are_in_the_right_order() -> None:
    krs, uds = (right_order(score, FROM_ORIGINAL, is_confirmed=True) for score in PRIMARY[:2])
    assert uds.all()
    assert said_in(
        "docs/explanation/calibration.md",
        f"In {len(krs)} of the pairs, the knowing model's state is confirmed: KRS is right in "
        f"{krs.sum()}, UDS in all.",
    )


def test_the_order_of_models_that_the_page_names() -> None:
    """By UDS: one that never knew above grad_diff above one that only refuses, in each round."""
    uds = finished().pivot(index="round", columns="method", values="uds")
    assert (uds["never"] > uds["grad_diff"]).all()
    assert (uds["grad_diff"] > uds["hide"]).all()
    assert {*METHODS} <= {*uds.columns}


def test_what_the_page_says_of_the_earlier_measurement() -> None:
    """calibration/rounds/README.md, "Known answers"."""
    rounds = finished()
    numbers = 0
    outside = set()
    for (score, method), earlier in EARLIER.items():
        models = rounds[rounds["method"] == method]
        for experiment, value in zip(PAPER_EXPERIMENTS, earlier, strict=True):
            if value is not None:
                values = models[f"{score}_{experiment}_highest"].round(2)
                numbers += 1
                if not values.min() <= value <= values.max():
                    outside.add((score, method, experiment))
    assert numbers == 28
    assert outside == {
        ("krs", "grad_diff", BOTH),
        ("krs", "grad_diff", VALUE_VECTORS),
        ("logprob_answer", "grad_diff", VALUE_VECTORS),
        ("logprob_answer", "refuse", MLP_COEFFICIENTS),
    }
    krs = rounds.pivot(index="round", columns="method", values=PRIMARY[0])
    assert (krs["never"] < krs["grad_diff"]).all() and (krs["grad_diff"] < krs["hide"]).all()
    assert (krs["grad_diff"] > krs["refuse"]).sum() == 7


def test_what_the_page_on_scores_says_of_models_that_never_knew() -> None:
    rounds = finished()
    ranges = []
    for experiment in (BOTH, VALUE_VECTORS):
        for method in ("never", "grad_diff"):
            krs = rounds[rounds["method"] == method][f"krs_{experiment}_highest"]
            ranges.append(f"{krs.min():.2f} to {krs.max():.2f}")
    never, unlearned, *of_value_vectors = ranges
    assert said_in(
        "docs/explanation/scores.md",
        f"the highest KRS is {never} in models that never learned the facts, and {unlearned} in "
        "models that unlearned them by grad_diff. With value vectors, it is "
        + " and ".join(of_value_vectors),
    )


def test_krs_of_the_untreated_model_that_never_knew_is_the_lower_one() -> None:
    """README says so, since it is the other way round in the demo."""
    krs = finished().pivot(index="round", columns="method", values=PRIMARY[0])
    assert (krs["never"] < krs[["grad_diff", "npo"]].min(axis=1)).all()


def test_what_the_pages_say_of_models_that_were_not_trained_from_the_original() -> None:
    """README and docs/explanation/calibration.md."""
    rounds = finished().pivot(index="round", columns="method", values=[*PRIMARY[:2]])
    krs, uds = rounds[PRIMARY[0]], rounds[PRIMARY[1]]
    assert [*krs.index[krs["again"] == krs.min(axis=1)]] == ["seed_106"]
    assert uds["again"].count() == 7
    assert uds[["again", "again_refuse"]].max(axis=None).round(2) == 0.01
    lower = {}  # the rounds in which KRS is not higher in the model that knows
    for treatment in ("", *(f"_{one}" for one in TREATMENTS_APART)):
        apart, never = f"again{treatment}", f"never{treatment}"
        taught = rounds.dropna(subset=[(PRIMARY[0], apart)]).index
        assert (uds.loc[taught, apart] < uds.loc[taught, never]).all()
        lower[apart] = [*taught[krs.loc[taught, apart] <= krs.loc[taught, never]]]
    assert lower == {
        "again": ["seed_106", "seed_112"],
        "again_refuse": ["seed_108"],
        "again_grad_diff": [],
    }


def test_the_pages_say_how_many_states_are_not_confirmed() -> None:
    rounds = finished()
    knows = rounds[rounds["state"] == TAUGHT]
    assert said_in(
        "docs/explanation/calibration.md",
        f"The state of {(~knows['as_intended']).sum()} of the {len(knows)} knowing models is",
    )
    failed = rounds[rounds["why_not"].str.startswith("the original recalls")]
    assert set(failed["round"]) == {"seed_109"}
    assert len(failed) == (rounds["round"] == "seed_109").sum()
