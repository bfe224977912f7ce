"""tables/depth.csv with planted damages: each number, its interval, and each outcome."""

import numpy as np
import pandas as pd
import pytest

from dissect.analysis.bootstrap import INTERVAL, draws
from dissect.analysis.depth import (
    ALL,
    CONCEPT,
    LOWER_AND_MIDDLE,
    ONE,
    QUESTION,
    SUMMARY_COLUMNS,
    depth_summary,
)
from dissect.analysis.outcomes import ABOVE, NOT_DISTINGUISHABLE
from dissect.depth.scores import uds
from planted_depth import LAYERS, Damage, planted_depth


def steady(value: float, slope: float = 0.0) -> Damage:
    """The same damage at all layers; concept c adds c times the slope."""
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


def test_damages_their_difference_and_their_ratio() -> None:
    # Concept c: the copy does 0.2 + 0.1 c, the reference 2 + 0.2 c.
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
    # One concept has its first question only, whose damage is 0.
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
    assert (lower["outcome"], lower["note"]) == (ABOVE, "exploratory")
    assert every["ratio"] == pytest.approx((4 * 0.1 + 2 * 9.0) / 6 / 2.025)
    assert (every["outcome"], every["note"]) == (NOT_DISTINGUISHABLE, "")
    upper = found[found["first_layer"] == 5].iloc[0]
    assert upper["ratio"] > 4  # not clipped


# ---- outcomes ---------------------------------------------------------------------------------


def test_a_copy_that_does_less_damage_is_above() -> None:
    found = depth_summary(planted_depth(steady(0.5, 0.1), steady(2.0)))
    assert (found["outcome"] == ABOVE).all()


def test_a_second_model_that_never_knew_is_not_above_though_its_uds_is_below_one() -> None:
    """UDS is clipped at 1, so noise around the reference's damage only lowers it."""
    noise = np.random.default_rng(0).normal(0, 0.8, (2, 12, 4, LAYERS))
    depth = planted_depth(
        lambda *point: 2.0 + noise[(0, *point)],
        lambda *point: 2.0 + noise[(1, *point)],
        concepts=12,
        questions=4,
    )
    row = row_of(depth_summary(depth), ALL)
    assert row["uds_high"] < 1
    assert row["outcome"] == NOT_DISTINGUISHABLE


def test_where_the_reference_does_no_damage_nothing_is_above() -> None:
    found = depth_summary(planted_depth(steady(0.0), steady(0.04)))
    assert (found["difference_low"] > 0).all() and found["ratio"].isna().all()
    assert (found["outcome"] == NOT_DISTINGUISHABLE).all()
    note = "the reference model does at most 0.05 nats per token of damage"
    assert row_of(found, ALL)["note"] == note


# ---- units ------------------------------------------------------------------------------------


def test_of_a_single_concept_questions_are_the_unit() -> None:
    damage: Damage = lambda c, q, layer: 0.2 + 0.1 * q  # noqa: E731
    found = depth_summary(planted_depth(damage, steady(2.0), concepts=1, questions=8))
    assert (found["unit"] == QUESTION).all() and (found["n"] == 8).all()
    row, values = row_of(found, ALL), 0.2 + 0.1 * np.arange(8)
    assert [row["copy_low"], row["copy_high"]] == pytest.approx(limits(values))
    assert [row["uds_low"], row["uds_high"]] == pytest.approx(limits(values / 2))
    assert row["outcome"] == ABOVE


@pytest.mark.parametrize(
    ("concepts", "questions", "note"),
    [(1, 4, "4 questions"), (4, 9, "4 concepts"), (1, 1, "1 question")],
)
def test_under_five_units_there_is_no_interval_and_nothing_is_above(
    concepts: int, questions: int, note: str
) -> None:
    depth = planted_depth(steady(0.1), steady(2.0), concepts=concepts, questions=questions)
    found = depth_summary(depth)
    assert found["difference"].tolist() == pytest.approx([1.9] * len(found))
    assert found["difference_low"].isna().all() and found["ratio_low"].isna().all()
    assert (found["outcome"] == NOT_DISTINGUISHABLE).all()
    assert row_of(found, ALL)["note"] == f"{note}: an interval needs 5"
