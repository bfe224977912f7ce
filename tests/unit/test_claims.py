"""Each of the paper's claims, made true, false and undecided by planted curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from planted import EXPERIMENTS, collected, flat, plant
from stillknows.analysis.claims import (
    CLAIM_SCORES,
    CLAIMS,
    OTHER_SCORES,
    UNRELATED,
    Claim,
    claims,
    decide,
)
from stillknows.analysis.tables import concept_scores
from stillknows.terms import ATTENTION, BOTH, MLP_COEFFICIENTS, VALUE_VECTORS, WEIGHT_EXPERIMENTS

DOCS = Path(__file__).parents[2] / "docs/explanation/statistics.md"
WINDOWS = ["sliding_3", "sliding_1", "suffix"]
CONCEPTS = [f"c{i}" for i in range(10)]
TEN = len(CONCEPTS)  # one chooses, nine decide

Curve = list[float]
Case = dict[str, tuple[Curve, Curve]]


def thirds(early: float, middle: float, late: float) -> Curve:
    """Of nine layers."""
    return [early] * 3 + [middle] * 3 + [late] * 3


# Per claim: per experiment a curve with which it is supported, and one with which it is not.
CASES: dict[str, Case] = {
    "value_vectors_nothing": {VALUE_VECTORS: ([0.02] * 9, thirds(0.0, 0.3, 0.0))},
    "attention_much": {ATTENTION: (thirds(0.0, 0.8, 0.3), thirds(0.9, 0.2, 0.1))},
    "attention_not_early": {ATTENTION: (thirds(0.1, 0.4, 0.2), thirds(0.3, 0.1, 0.0))},
    "coefficients_very_much": {MLP_COEFFICIENTS: (thirds(0.0, 0.1, 0.9), thirds(0.9, 0.9, 0.5))},
    "coefficients_late": {MLP_COEFFICIENTS: (thirds(0.1, 0.2, 0.3), thirds(0.1, 0.3, 0.2))},
    # Of width 3, the windows at 7 and 8 cover the last layer, 8.
    "last_layer_needed": {
        MLP_COEFFICIENTS: (
            [*thirds(0.0, 0.2, 0.4)[:7], 0.6, 0.4],
            [*thirds(0.0, 0.2, 0.3)[:7], 0.1, 0.1],
        )
    },
    "last_layer_best": {MLP_COEFFICIENTS: ([0.1] * 8 + [0.3], [0.1] * 7 + [0.3, 0.1])},
    "last_layer_half": {MLP_COEFFICIENTS: ([0.8] * 8 + [0.6], [0.8] * 8 + [0.1])},
    "both_nearly_all": {BOTH: (thirds(0.0, 0.97, 0.9), thirds(0.0, 0.7, 0.6))},
    "both_over_value_vectors": {
        BOTH: ([0.9] * 9, [0.6] * 9),
        VALUE_VECTORS: (thirds(0.0, 0.1, 0.0), thirds(0.0, 0.5, 0.0)),
    },
}


def scores_of(root: Path, sweeps: Sequence[Path]) -> pd.DataFrame:
    return concept_scores(collected(root, sweeps), CLAIM_SCORES)


def sweep(root: Path, curve: Curve, concept: str, experiment: str, **more: Any) -> Path:
    """A sweep over the answer span in which all scores are the same, but for those in `more`."""
    values = [[value] for value in curve]
    given: dict[str, Any] = {"others": dict.fromkeys(OTHER_SCORES, values), "span": "answer"}
    given |= {"window": WINDOWS, "concept": concept, "experiment": experiment}
    return plant(root, values, **given | more)


def planted(root: Path, case: Case, truth: Sequence[bool], **more: Any) -> pd.DataFrame:
    """A concept per entry of `truth`, with the curves that make the claim true of it or not."""
    return scores_of(
        root,
        [
            sweep(root, true if is_true else false, f"c{i}", experiment, **more)
            for i, is_true in enumerate(truth)
            for experiment, (true, false) in case.items()
        ],
    )


def row(found: pd.DataFrame, id: str, **only: str) -> pd.Series:
    for column, value in {"id": id, "method": "all", **only}.items():
        found = found[found[column] == value]
    assert len(found) == 1, f"{len(found)} rows {id} {only}"
    return found.iloc[0]


def test_every_claim_has_a_case() -> None:
    assert [claim.id for claim in CLAIMS] == list(CASES)


@pytest.mark.parametrize("claim", [*CLAIMS, UNRELATED], ids=lambda claim: claim.id)
def test_the_docs_give_each_claims_threshold(claim: Claim) -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"| `{claim.id}` |")]
    assert line.endswith(f"| {claim.bound} {claim.threshold:g} |")


@pytest.mark.parametrize("id", CASES)
@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        ([True] * TEN, "supported"),
        ([False] * TEN, "not supported"),
        ([True, False] * 5, "undecided"),
    ],
)
def test_planted_curves_decide_each_claim(
    tmp_path: Path, id: str, truth: list[bool], verdict: str
) -> None:
    found = row(claims(planted(tmp_path, CASES[id], truth), WINDOWS), id)
    assert (found["verdict"], found["n"]) == (verdict, TEN - 1)
    assert found["low"] <= found["value"] <= found["high"]
    assert found["note"].startswith("the adjusted p, ") == (verdict == "undecided")


@pytest.mark.parametrize("id", CASES)
@pytest.mark.parametrize("concepts", [1, 2, 8])
def test_under_nine_concepts_nothing_is_decided(tmp_path: Path, id: str, concepts: int) -> None:
    found = row(claims(planted(tmp_path, CASES[id], [True] * concepts), WINDOWS), id)
    assert (found["verdict"], found["n"]) == ("undecided", concepts - 1)
    assert np.isfinite(found["value"]) == (concepts > 1)
    needed = 8 if found["family"] == "primary" else 9
    assert found["note"].endswith(f": a decision needs {needed}")
    assert found["n_needed"] == needed


def test_the_primary_family_is_four_claims_over_all_methods_and_the_answer(tmp_path: Path) -> None:
    case: Case = {name: ([0.5] * 9, []) for name in EXPERIMENTS}
    found = claims(planted(tmp_path, case, [True] * 3, span=["notebook", "answer"]), WINDOWS)
    primary = found[found["family"] == "primary"]
    assert set(primary["method"]) == {"all"} and set(primary["span"]) == {"answer"}
    assert primary["id"].tolist() == [claim.id for claim in CLAIMS if claim.primary]
    assert len(primary) == 4 and (primary["n_needed"] == 8).all()


def test_methods_are_shown_apart_and_corrected_on_their_own(tmp_path: Path) -> None:
    sweeps = [
        sweep(tmp_path, [value] * 9, concept, ATTENTION, method=method)
        for concept in CONCEPTS
        for method, value in (("dpo", 0.9), ("npo", 0.3))
    ]
    found = claims(scores_of(tmp_path, sweeps), WINDOWS)
    by_method = {name: row(found, "attention_much", method=name) for name in ("all", "dpo", "npo")}
    assert [one["verdict"] for one in by_method.values()] == [
        "supported",
        "supported",
        "not supported",
    ]
    assert [one["family"] for one in by_method.values()] == ["primary", *["exploratory"] * 2]
    assert [one["value"] for one in by_method.values()] == pytest.approx([0.6, 0.9, 0.3])
    assert by_method["dpo"]["p_holm"] == pytest.approx(11 * 2 / 2**9)


# The other scores.


@pytest.mark.parametrize("id", CASES)
@pytest.mark.parametrize("differing", OTHER_SCORES)
def test_what_another_score_denies_is_mixed(tmp_path: Path, id: str, differing: str) -> None:
    sweeps = []
    for concept in CONCEPTS:
        for experiment, (true, false) in CASES[id].items():
            against = false if id in ("value_vectors_nothing", *NO_THRESHOLD) else [-0.2] * 9
            if id == "both_over_value_vectors":  # the signs the other way round
                against = [-0.2 if experiment == BOTH else 0.2] * 9
            others = {name: [[value] for value in true] for name in OTHER_SCORES}
            others[differing] = [[value] for value in against]
            sweeps.append(sweep(tmp_path, true, concept, experiment, others=others))
    found = row(claims(scores_of(tmp_path, sweeps), WINDOWS), id)
    assert found["verdict"] == "mixed"
    assert found["note"] == f"not confirmed by {differing} ({found[differing]:.2f})"


NO_THRESHOLD = [
    "attention_not_early",
    "coefficients_late",
    "last_layer_needed",
    "last_layer_best",
    "last_layer_half",
]


def test_without_the_other_scores_nothing_is_supported(tmp_path: Path) -> None:
    case = CASES["attention_much"]
    scores = planted(tmp_path, case, [True] * TEN, others={})
    found = row(claims(scores, WINDOWS), "attention_much")
    assert (found["verdict"], found["value"]) == ("undecided", pytest.approx(0.8))
    assert found["note"] == "kl_recovered has no value for 9 of the 9 concepts that decide"
    found = row(claims(scores[scores["score"] == "krs"], WINDOWS), "attention_much")
    assert found["note"] == "kl_recovered was not computed over the span answer"
    assert np.isnan(found["kl_recovered"])
    found = planted(tmp_path / "against", case, [False] * TEN, others={})
    assert row(claims(found, WINDOWS), "attention_much")["verdict"] == "not supported"


def unrelated(values: Sequence[float]) -> pd.DataFrame:
    rows = [
        {"model": "tiny", "origin": "own", "method": method, "concept": f"c{i}", "value": value}
        for i, value in enumerate(values)
        for method in ("dpo", "npo")
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.5] * TEN, "supported"), ([1.0] * TEN, "not supported"), ([0.5, 1.0] * 5, "undecided")],
)
def test_harm_to_unrelated_knowledge_is_decided_by_the_answers(
    tmp_path: Path, values: list[float], verdict: str
) -> None:
    scores = scores_of(tmp_path, [plant(tmp_path, flat(0.5))])
    found = row(claims(scores, WINDOWS, unrelated=unrelated(values)), UNRELATED.id)
    assert (found["verdict"], found["n"]) == (verdict, TEN)
    found = row(claims(scores, WINDOWS), UNRELATED.id)
    assert (found["verdict"], found["note"]) == (
        "undecided",
        "answers to unrelated questions were not computed",
    )


def test_the_first_sliding_window_of_the_config_decides(tmp_path: Path) -> None:
    case = {name: ([0.5] * 9, []) for name in EXPERIMENTS}
    scores = planted(tmp_path, case, [True] * TEN)
    named = {"last_layer_best": "sliding_1", "last_layer_half": "suffix"}
    for windows, first in (
        (["suffix", "prefix", *WINDOWS], "sliding_3"),
        (WINDOWS[1:], "sliding_1"),
    ):
        found = claims(scores, windows)
        for claim in CLAIMS:
            assert row(found, claim.id)["window"] == named.get(claim.id, first)


def test_further_experiments_and_windows_change_no_claim(tmp_path: Path) -> None:
    case: Case = {name: (thirds(0.1, 0.6, 0.9), []) for name in EXPERIMENTS}
    expected = claims(planted(tmp_path / "paper", case, [True] * TEN), WINDOWS)
    further: Case = {name: (thirds(0.9, 0.2, 0.4), []) for name in WEIGHT_EXPERIMENTS}
    scores = planted(tmp_path / "more", case | further, [True] * TEN)
    pd.testing.assert_frame_equal(claims(scores, ["prefix", *WINDOWS]), expected)
    assert expected["verdict"].isin(["supported", "not supported"]).sum() > 5


@pytest.mark.parametrize(
    ("id", "p_holm", "is_above", "verdict"),
    [
        ("both_nearly_all", 0.05, True, "supported"),
        ("both_nearly_all", 0.051, True, "undecided"),
        ("both_nearly_all", 0.05, False, "not supported"),
        ("value_vectors_nothing", 0.05, False, "mixed"),  # the others recover 0.5
        ("value_vectors_nothing", 0.05, True, "not supported"),
        ("last_layer_best", np.nan, False, "undecided"),
    ],
)
def test_only_a_small_adjusted_p_decides(
    id: str, p_holm: float, is_above: bool, verdict: str
) -> None:
    claim = next(claim for claim in CLAIMS if claim.id == id)
    found = {"p_holm": p_holm, "is_above": is_above, "n": 9, "n_needed": 8}
    found["note"] = "why" if np.isnan(p_holm) else ""
    found |= dict.fromkeys(OTHER_SCORES, 0.5)
    assert decide(claim, found)[0] == verdict
