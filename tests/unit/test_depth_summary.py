"""tables/depth.csv with planted fact losses: each number, its interval, and each outcome."""

import numpy as np
import pandas as pd
import pytest

from planted_depth import LAYERS, FactLoss, planted_depth
from stillknows.analysis.bootstrap import INTERVAL, draws
from stillknows.analysis.comparisons import (
    FACTS_SURVIVE,
    LESS,
    MORE,
    NO_REFERENCE,
    NOT_DISTINGUISHABLE,
    NOT_TESTED,
)
from stillknows.analysis.depth import (
    ALL,
    CONCEPT,
    LOWER_AND_MIDDLE,
    ONE,
    QUESTION,
    SUMMARY_COLUMNS,
    depth_summary,
    surviving_facts,
    uds,
)

# What single facts lose by a model that never learned them, as a share of what they lose by another
# one: the demo's `never` (docs/demo/uds.csv), not clipped.
NEVER_TAUGHT = (0.75, 0.89, 0.94, 1.0, 1.02, 1.02, 1.15, 1.2, 1.31)


def steady(value: float, slope: float = 0.0) -> FactLoss:
    """The same loss at all layers; concept c adds c times the slope."""
    return lambda concept, question, layer: value + slope * concept


def row_of(table: pd.DataFrame, layers: str, **only: str) -> pd.Series:
    for column, value in only.items():
        table = table[table[column] == value]
    rows = table[table["layers"] == layers]
    assert len(rows) == 1
    return rows.iloc[0]


def limits(values: np.ndarray) -> list[float]:
    """The bootstrap interval of a mean over units, computed here."""
    means = draws(len(values), 0) @ values / len(values)
    return list(np.percentile(means, INTERVAL, method="inverted_cdf"))


def test_fact_losses_their_difference_and_their_ratio() -> None:
    # Concept c loses 0.2 + 0.1 c by the copy and 2 + 0.2 c by the reference.
    found = depth_summary(planted_depth(steady(0.2, 0.1), steady(2.0, 0.2)))
    assert list(found) == SUMMARY_COLUMNS
    assert found["layers"].tolist() == [ONE] * LAYERS + [LOWER_AND_MIDDLE, ALL]
    assert found["first_layer"].tolist() == [*range(LAYERS), 0, 0]
    assert found["last_layer"].tolist() == [*range(LAYERS), 3, 5]
    number = np.arange(6)
    copy, reference = 0.2 + 0.1 * number, 2.0 + 0.2 * number
    for row in found.to_dict("records"):
        for name, values in [
            ("copy", copy),
            ("reference", reference),
            ("difference", reference - copy),
        ]:
            assert row[name] == pytest.approx(values.mean())
            ends = [row[f"{name}_low"], row[f"{name}_high"]]
            assert ends == pytest.approx(limits(values))
        assert row["ratio"] == pytest.approx(copy.mean() / reference.mean())
        counts = draws(6, 0)
        ratios = (counts @ copy) / (counts @ reference)
        ends = [row["ratio_low"], row["ratio_high"]]
        assert ends == pytest.approx(list(np.percentile(ratios, INTERVAL, method="inverted_cdf")))
    assert (found["n"] == 6).all() and (found["unit"] == CONCEPT).all()


def test_the_mean_is_over_questions_then_concepts() -> None:
    depth = planted_depth(lambda c, q, layer: 1.0 * q, steady(2.0), questions=3)
    # One concept has its first question only, whose loss is 0.
    depth = depth[(depth["concept"] != "c0") | (depth["question"] == 0)]
    assert row_of(depth_summary(depth), ALL)["copy"] == pytest.approx(5 / 6)


def test_uds_has_the_interval_of_its_concepts() -> None:
    depth = planted_depth(steady(0.2, 0.1), steady(2.0))
    row = row_of(depth_summary(depth), ALL)
    values = (0.2 + 0.1 * np.arange(6)) / 2.0
    assert row["uds"] == pytest.approx(values.mean())
    assert [row["uds_low"], row["uds_high"]] == pytest.approx(limits(values))
    means = uds(depth)
    assert means.loc[means["question"].isna(), "uds"].mean() == pytest.approx(row["uds"])
    others = depth_summary(depth)
    assert others.loc[others["layers"] != ALL, "uds"].isna().all()


def test_the_lower_and_middle_layers_are_a_number_of_their_own() -> None:
    # In the two upper layers the copy is more broken than the reference, as after grad_diff.
    depth = planted_depth(lambda c, q, layer: 9.0 if layer > 3 else 0.1, steady(2.0, 0.01))
    found = depth_summary(depth)
    lower, every = row_of(found, LOWER_AND_MIDDLE), row_of(found, ALL)
    assert lower["ratio"] == pytest.approx(0.1 / 2.025)
    assert (lower["outcome"], lower["note"]) == ("", "exploratory")
    assert every["ratio"] == pytest.approx((4 * 0.1 + 2 * 9.0) / 6 / 2.025)
    assert every["note"] == ""
    upper = found[found["first_layer"] == 5].iloc[0]
    assert upper["ratio"] > 4  # not clipped
    others = found[found["layers"] != ALL]
    assert (others["outcome"] == "").all() and others["facts_tested"].isna().all()


# ---- outcomes ---------------------------------------------------------------------------------


def outcome_of(copy: FactLoss, reference: FactLoss, **size: int) -> pd.Series:
    """The row of all layers; one concept, unless another number is given."""
    return row_of(depth_summary(planted_depth(copy, reference, **({"concepts": 1} | size))), ALL)


@pytest.mark.parametrize(
    ("copy", "outcome"),
    [(0.6, FACTS_SURVIVE), (1.4, LESS), (2.0, NOT_DISTINGUISHABLE), (2.6, MORE)],
)
def test_each_outcome(copy: float, outcome: str) -> None:
    row = outcome_of(lambda c, q, layer: copy + 0.01 * (q % 3), steady(2.01), questions=9)
    assert row["outcome"] == outcome
    assert row["facts_surviving"] == (9 if outcome == FACTS_SURVIVE else 0)
    assert row["facts_tested"] == 9


def survivors(ratio: np.ndarray) -> np.ndarray:
    """Which facts survive in simulated copies: ratio and result are (copies, facts)."""
    copies, facts = ratio.shape
    noise = np.random.default_rng(1).normal(0, 0.1, (*ratio.shape, 2))  # of two layers
    depth = planted_depth(
        lambda c, q, layer: 2 * (ratio[c, q] + noise[c, q, layer]),
        steady(2.0),
        concepts=copies,  # each simulated copy has the facts of one concept
        questions=facts,
        layers=2,
    )
    found = surviving_facts(uds(depth)).pivot(
        index="concept", columns="question", values="survives"
    )
    return found.loc[[f"c{copy}" for copy in range(copies)]].to_numpy()


def test_intact_facts_are_found_among_facts_that_lose_too_much() -> None:
    """Five of 24 are intact; the others lose up to four times as much as with the reference."""
    ratio = np.random.default_rng(0).uniform(1, 4, (200, 24))
    ratio[:, :5] = 0.05
    found = survivors(ratio)
    assert found[:, :5].all(axis=1).mean() >= 0.95
    assert not found[:, 5:].any()
    row = outcome_of(lambda c, q, layer: 2 * ratio[0, q], steady(2.0), questions=24)
    assert row["difference_high"] < 0  # the mean says that more is lost
    assert (row["outcome"], row["facts_surviving"]) == (FACTS_SURVIVE, 5)
    assert row["surviving_questions"] == "c0: 0, 1, 2, 3, 4"
    assert row["surviving_share_low"] == pytest.approx(0.0713, abs=1e-4)
    assert row["surviving_share_high"] == pytest.approx(0.4215, abs=1e-4)


def test_facts_that_were_never_taught_rarely_survive() -> None:
    ratio = np.random.default_rng(0).choice(NEVER_TAUGHT, (200, 24))
    assert survivors(ratio).any(axis=1).mean() <= 0.05


@pytest.mark.parametrize("questions", [1, 3, 24])
def test_facts_that_are_all_intact_never_read_as_erased(questions: int) -> None:
    row = outcome_of(steady(0.0), steady(2.0), questions=questions)
    assert row["uds"] == 0
    assert (row["outcome"], row["facts_surviving"]) == (FACTS_SURVIVE, questions)


def test_surviving_facts_are_named_by_concept() -> None:
    depth = planted_depth(
        lambda c, q, layer: 0.1 if (c, q) in ((1, 0), (4, 0), (4, 1)) else 3.0, steady(2.0)
    )
    row = row_of(depth_summary(depth), ALL)
    assert row["surviving_questions"] == "c1: 0; c4: 0, 1"
    assert (row["facts_surviving"], row["facts_tested"], row["n"]) == (3, 12, 6)


def test_a_copy_that_differs_by_less_than_its_concepts_do_is_not_distinguishable() -> None:
    # Concepts differ by more than the copy and the reference do.
    found = depth_summary(planted_depth(steady(2.0), lambda c, q, layer: 1.9 + 0.5 * (c % 2)))
    assert (found["difference"] > 0).all() and (found["difference_low"] < 0).all()
    assert row_of(found, ALL)["outcome"] == NOT_DISTINGUISHABLE


def test_a_second_model_that_never_knew_is_not_distinguishable_though_uds_is_below_one() -> None:
    """UDS is clipped at 1, so noise around the reference's fact loss only lowers it."""
    noise = np.random.default_rng(0).normal(0, 0.4, (2, 12, 4, LAYERS))
    depth = planted_depth(
        lambda *point: 2.0 + noise[(0, *point)],
        lambda *point: 2.0 + noise[(1, *point)],
        concepts=12,
        questions=4,
    )
    row = row_of(depth_summary(depth), ALL)
    assert row["uds_high"] < 1
    assert row["outcome"] == NOT_DISTINGUISHABLE


def test_where_the_reference_loses_no_fact_nothing_is_tested() -> None:
    found = depth_summary(planted_depth(steady(0.0), steady(0.04)))
    assert (found["difference_low"] > 0).all() and found["ratio"].isna().all()
    row = row_of(found, ALL)
    assert (row["outcome"], row["facts_tested"]) == (NOT_TESTED, 0)
    assert "at most 0.05 nats" in row["note"]


def test_a_copy_without_a_reference_model_has_one_row() -> None:
    depth = planted_depth(steady(0.5), steady(2.0))
    lone = {"model": "other", "origin": "own", "method": "npo"}
    dpo = {"model": "tiny", "origin": "own", "method": "dpo"}
    found = depth_summary(depth, [lone, lone, dpo])
    (row,) = found[found["outcome"] == NO_REFERENCE].to_dict("records")
    assert (row["model"], row["method"], row["n"]) == ("other", "npo", 0)
    assert np.isnan(row["difference"])
    assert set(found["outcome"]) == {"", FACTS_SURVIVE, NO_REFERENCE}
    assert len(found) == LAYERS + 2 + 1


# ---- units ------------------------------------------------------------------------------------


def test_of_a_single_concept_questions_are_the_unit() -> None:
    loss: FactLoss = lambda c, q, layer: 0.2 + 0.1 * q  # noqa: E731
    found = depth_summary(planted_depth(loss, steady(2.0), concepts=1, questions=8))
    assert (found["unit"] == QUESTION).all() and (found["n"] == 8).all()
    row, values = row_of(found, ALL), 0.2 + 0.1 * np.arange(8)
    assert [row["copy_low"], row["copy_high"]] == pytest.approx(limits(values))
    assert [row["uds_low"], row["uds_high"]] == pytest.approx(limits(values / 2))


@pytest.mark.parametrize(
    ("concepts", "questions", "note"),
    [(1, 4, "4 questions"), (4, 9, "4 concepts"), (1, 1, "1 question")],
)
def test_under_five_units_there_is_no_interval_and_means_are_not_tested(
    concepts: int, questions: int, note: str
) -> None:
    depth = planted_depth(steady(1.9), steady(2.0), concepts=concepts, questions=questions)
    found = depth_summary(depth)
    assert found["difference"].tolist() == pytest.approx([0.1] * len(found))
    assert found["difference_low"].isna().all() and found["ratio_low"].isna().all()
    row = row_of(found, ALL)
    assert row["outcome"] == NOT_TESTED
    assert row["note"] == f"{note}: an interval needs 5"
    assert row["facts_surviving"] == 0 and row["surviving_share_high"] > 0.05


def test_methods_forms_and_origins_stay_apart() -> None:
    parts = [
        planted_depth(steady(0.5), steady(2.0)),
        planted_depth(steady(1.0), steady(2.0), form="published"),
        planted_depth(steady(1.5), steady(2.0), method="npo"),
        planted_depth(steady(3.0), steady(2.0), origin="published"),
    ]
    found = depth_summary(pd.concat(parts, ignore_index=True))
    for only, ratio in [
        ({"method": "dpo", "form": "corrected", "origin": "own"}, 0.25),
        ({"form": "published"}, 0.5),
        ({"method": "npo"}, 0.75),
        ({"origin": "published"}, 1.5),
    ]:
        assert row_of(found, ALL, **only)["ratio"] == pytest.approx(ratio)


def test_a_question_that_only_one_side_has_is_left_out() -> None:
    depth = planted_depth(steady(0.5), steady(2.0))
    depth.loc[depth["question"] == 1, "logprob_reference"] = np.nan
    depth.loc[depth["question"] == 1, "logprob_copy"] = -100.0
    assert row_of(depth_summary(depth), ALL)["copy"] == pytest.approx(0.5)
