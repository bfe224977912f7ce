"""Each of the paper's claims, made true, false and undecided by planted curves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissect.analysis.bootstrap import Estimate
from dissect.analysis.claim_list import CLAIMS, UNRELATED, Claim
from dissect.analysis.claims import CLAIM_COLUMNS, claims, decide
from dissect.analysis.collect import collect_sweeps
from dissect.analysis.tables import concept_scores
from dissect.terms import ATTENTION, BOTH, MLP_COEFFICIENTS, VALUE_VECTORS, WEIGHT_EXPERIMENTS
from planted import EXPERIMENTS, flat, plant

DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"
WINDOWS = ["sliding_3", "sliding_1", "suffix"]
CONCEPTS = [f"c{i}" for i in range(6)]

Curve = list[float]
Case = dict[str, tuple[Curve, Curve]]


def thirds(early: float, middle: float, late: float) -> Curve:
    """Of nine layers."""
    return [early] * 3 + [middle] * 3 + [late] * 3


# Per claim: per experiment a curve with which it holds, and one with which it does not.
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
    table = root / "tables" / "krs.parquet"
    collect_sweeps(sweeps, table)
    return concept_scores(table)


def planted(
    root: Path, case: dict[str, tuple[Curve, Curve]], truth: Sequence[bool]
) -> pd.DataFrame:
    """A concept per entry of `truth`, with the curves that make the claim true of it or not."""
    return scores_of(
        root,
        [
            plant(
                root,
                [[value] for value in (true if holds else false)],
                concept=f"c{i}",
                experiment=experiment,
                window=WINDOWS,
            )
            for i, holds in enumerate(truth)
            for experiment, (true, false) in case.items()
        ],
    )


def row(found: pd.DataFrame, id: str, **only: str) -> pd.Series:
    for column, value in {"id": id, **only}.items():
        found = found[found[column] == value]
    assert len(found) == 1, f"{len(found)} rows {id} {only}"
    return found.iloc[0]


def test_every_statement_has_a_case() -> None:
    assert [claim.id for claim in CLAIMS] == list(CASES)


@pytest.mark.parametrize("claim", [*CLAIMS, UNRELATED], ids=lambda claim: claim.id)
def test_the_docs_give_each_statements_mark(claim: Claim) -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"| `{claim.id}` |")]
    assert line.endswith(f"| {claim.bound} {claim.threshold:g} |")


@pytest.mark.parametrize("id", CASES)
@pytest.mark.parametrize(
    ("truth", "verdict"),
    [([True] * 6, "holds"), ([False] * 6, "not supported"), ([True, False] * 3, "undecided")],
)
def test_planted_curves_decide_each_statement(
    tmp_path: Path, id: str, truth: list[bool], verdict: str
) -> None:
    found = row(claims(planted(tmp_path, CASES[id], truth), WINDOWS), id)
    assert (found["verdict"], found["n"]) == (verdict, 6)
    assert found["low"] <= found["value"] <= found["high"]
    assert found["note"].startswith("the interval spans the threshold") == (verdict == "undecided")


@pytest.mark.parametrize("id", CASES)
@pytest.mark.parametrize("concepts", [1, 4])
def test_under_five_concepts_nothing_is_decided(tmp_path: Path, id: str, concepts: int) -> None:
    found = row(claims(planted(tmp_path, CASES[id], [True] * concepts), WINDOWS), id)
    assert (found["verdict"], found["n"]) == ("undecided", concepts)
    assert np.isfinite(found["value"]) and np.isnan(found["low"])
    assert found["note"].endswith("an interval needs 5")


def unrelated(values: Sequence[float]) -> pd.DataFrame:
    rows = [
        {"model": "tiny", "origin": "own", "method": method, "concept": f"c{i}", "value": value}
        for i, value in enumerate(values)
        for method in ("dpo", "npo")
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.5] * 6, "holds"), ([1.0] * 6, "not supported"), ([0.5, 1.0] * 3, "undecided")],
)
def test_harm_to_unrelated_knowledge_is_decided_by_the_answers(
    tmp_path: Path, values: list[float], verdict: str
) -> None:
    scores = scores_of(tmp_path, [plant(tmp_path, flat(0.5))])
    found = row(claims(scores, WINDOWS, unrelated=unrelated(values)), UNRELATED.id)
    assert (found["verdict"], found["n"]) == (verdict, 6)
    found = row(claims(scores, WINDOWS), UNRELATED.id)
    assert (found["verdict"], found["note"]) == (
        "undecided",
        "answers to unrelated questions were not computed",
    )


def test_value_vectors_that_do_harm_are_not_nothing(tmp_path: Path) -> None:
    case = {VALUE_VECTORS: (thirds(0.0, 0.0, -0.5), [0.0] * 9)}
    found = row(claims(planted(tmp_path, case, [True] * 6), WINDOWS), "value_vectors_nothing")
    assert (found["verdict"], found["value"]) == ("not supported", pytest.approx(0.5))


def test_no_layer_leads_a_flat_curve(tmp_path: Path) -> None:
    case = {name: ([0.5] * 9, []) for name in EXPERIMENTS}
    found = claims(planted(tmp_path, case, [True] * 6), WINDOWS)
    assert not (found[found["bound"] == "above"]["verdict"] == "holds").any()


def test_there_is_a_row_per_statement_model_origin_and_span(tmp_path: Path) -> None:
    both = ["notebook", "answer"]
    sweeps = [
        plant(tmp_path, flat(0.5), model=model, concept=origin, origin=origin, span=both)
        for model in ("m1", "m2")
        for origin in ("published", "trained_here")
    ]
    found = claims(scores_of(tmp_path, sweeps), ["sliding_1"])
    assert list(found.columns) == CLAIM_COLUMNS
    assert len(found) == 2 * 2 * (2 * len(CLAIMS) + 1)
    assert not found.duplicated(["id", "model", "origin", "span"]).any()
    assert set(found["verdict"]) == {"undecided"} and (found["note"] != "").all()


def test_controls_decide_nothing(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, flat(0.95, 9), concept=name, experiment=BOTH) for name in CONCEPTS]
    sweeps += [
        plant(tmp_path, flat(0.0, 9), concept=f"{name}_", experiment=BOTH, donor="noise")
        for name in CONCEPTS
    ]
    found = row(claims(scores_of(tmp_path, sweeps), ["sliding_1"]), "both_nearly_all")
    assert (found["value"], found["verdict"]) == (pytest.approx(0.95), "holds")


def test_the_first_sliding_window_of_the_config_decides(tmp_path: Path) -> None:
    case = {name: ([0.5] * 9, []) for name in EXPERIMENTS}
    scores = planted(tmp_path, case, [True] * 6)
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
    expected = claims(planted(tmp_path / "paper", case, [True] * 6), WINDOWS)
    further: Case = {name: (thirds(0.9, 0.2, 0.4), []) for name in WEIGHT_EXPERIMENTS}
    scores = planted(tmp_path / "more", case | further, [True] * 6)
    pd.testing.assert_frame_equal(claims(scores, ["prefix", *WINDOWS]), expected)
    assert expected["verdict"].isin(["holds", "not supported"]).sum() > 5


def test_what_was_not_computed_is_said(tmp_path: Path) -> None:
    scores = scores_of(tmp_path, [plant(tmp_path, flat(0.5), window="suffix")])
    said = dict(claims(scores, ["suffix"])[["id", "note"]].to_numpy())
    assert said["both_nearly_all"] == "no sliding window was computed"
    assert said["last_layer_best"] == "the window sliding_1 was not computed"
    assert said["last_layer_half"] == "mlp_coefficients not computed"


def test_curves_without_a_value_decide_nothing(tmp_path: Path) -> None:
    sweeps = [plant(tmp_path, flat(None), concept=c, experiment=BOTH) for c in CONCEPTS]
    found = row(claims(scores_of(tmp_path, sweeps), ["sliding_1"]), "both_nearly_all")
    assert (found["verdict"], found["n"], found["note"]) == (
        "undecided",
        0,
        "no concept has a value",
    )


@pytest.mark.parametrize(
    ("id", "low", "high", "verdict"),
    [
        ("both_nearly_all", 0.9, 0.95, "holds"),
        ("both_nearly_all", 0.8, 0.9, "undecided"),
        ("both_nearly_all", 0.8, 0.89, "not supported"),
        ("value_vectors_nothing", 0.0, 0.1, "holds"),
        ("value_vectors_nothing", 0.1, 0.2, "undecided"),
        ("value_vectors_nothing", 0.11, 0.2, "not supported"),
        ("last_layer_best", 0.0, 0.1, "undecided"),
        ("last_layer_best", -0.1, 0.0, "not supported"),
        ("last_layer_best", np.nan, np.nan, "undecided"),
    ],
)
def test_only_a_whole_interval_decides(id: str, low: float, high: float, verdict: str) -> None:
    claim = next(claim for claim in CLAIMS if claim.id == id)
    assert decide(claim, Estimate(0.5, low, high, 10)) == verdict
