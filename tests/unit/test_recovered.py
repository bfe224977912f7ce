"""The other scores, and where KRS differs from them: planted, so known by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planted import Values, collected, flat, plant
from stillknows.analysis.tables import (
    DISAGREEMENT_COLUMNS,
    EVERY_SCORE,
    MEASURES,
    OTHERS,
    concept_scores,
    curves,
    disagreements,
)
from stillknows.parquet_files import write_rows


def others(kl: Values, top1: Values, logprob: Values) -> dict[str, Values]:
    return dict(zip(OTHERS, (kl, top1, logprob), strict=True))


def point(frame: pd.DataFrame, score: str, layer: int = 0, method: str = "dpo") -> pd.Series:
    here = (frame["score"] == score) & (frame["layer"] == layer) & (frame["method"] == method)
    assert here.sum() == 1
    return frame[here].iloc[0]


# ---- scores.csv -------------------------------------------------------------------------------


def test_scores_are_told_apart(tmp_path: Path) -> None:
    planted = others(flat(0.2), flat(-0.4), flat(1.5))
    sweep = plant(tmp_path, flat(0.7), others=planted)
    found = curves(concept_scores(collected(tmp_path, [sweep]), EVERY_SCORE))
    means = {score: point(found, score)["mean"] for score in EVERY_SCORE}
    assert means == pytest.approx(
        {
            "krs": 0.7,
            "krs_of_means": 0.7,
            "kl_recovered": 0.2,
            "top1_recovered": -0.4,
            "logprob_recovered": 1.5,  # more likely than by the original itself
        }
    )


def test_means_are_taken_of_questions_before_the_ratio_and_of_concepts_after_it(
    tmp_path: Path,
) -> None:
    # a: 4 to 1 nats and 0.1 to 0.3: of the means 1 - 1.3 / 4.1; the mean of ratios is -0.625.
    sweeps = [
        plant(tmp_path, flat(0.0, questions=1), concept=f"{concept}{q}", **given)
        for concept, q, given in (
            ("a", 0, {"kl_unlearned": 4.0, "kl_patched": 1.0}),
            ("a", 1, {"kl_unlearned": 0.1, "kl_patched": 0.3}),
            ("b", 0, {"kl_unlearned": 1.0, "kl_patched": 0.5}),
        )
    ]
    frames = {sweep.parts[-2]: pd.read_parquet(sweep) for sweep in sweeps}
    both = pd.concat([frames["a0"], frames["a1"].assign(question=1)]).assign(
        concept="a", concept_name="A"
    )
    folder = tmp_path / "krs/tiny/dpo/a"
    write_rows(folder / "attention.parquet", both, {})
    table = collected(tmp_path, [folder / "attention.parquet", sweeps[2]])
    found = point(curves(concept_scores(table, "kl_recovered")), "kl_recovered")
    assert found["mean"] == pytest.approx(((1 - 1.3 / 4.1) + 0.5) / 2)
    assert (found["concepts"], found["questions"]) == (2, 3)


def test_where_nothing_was_lost_there_is_no_value_and_it_is_counted(tmp_path: Path) -> None:
    lost, kept = flat(0.5), flat(None)
    sweeps = [
        plant(tmp_path, flat(0.5), concept="lost", others=others(lost, lost, lost)),
        plant(tmp_path, flat(0.5), concept="kept", others=others(kept, kept, kept)),
    ]
    found = curves(concept_scores(collected(tmp_path, sweeps), EVERY_SCORE))
    for score in OTHERS:
        here = point(found, score)
        assert (here["mean"], here["concepts"]) == (pytest.approx(0.5), 1)
        assert (here["questions"], here["null"]) == (2, 2)
    assert point(found, "krs")["concepts"] == 2


def test_an_answer_that_became_likelier_by_unlearning_has_no_value() -> None:
    measure = MEASURES["logprob_recovered"]
    frame = pd.DataFrame(
        {measure.unlearned: [-0.1, -1.0], measure.patched: [-0.2, -0.5], measure.original: -0.3}
    )
    assert measure.recovered(frame).tolist() == pytest.approx([np.nan, 5 / 7], nan_ok=True)


@pytest.mark.parametrize("name", ["kl_recovered", "logprob_recovered"])
def test_rounding_is_not_divided_by_itself(name: str) -> None:
    measure = MEASURES[name]
    sign = -1 if measure.rises else 1
    frame = pd.DataFrame(
        {
            measure.unlearned: [sign * 3e-6, sign * 3e-3],
            measure.patched: [sign * -2e-6, sign * 1e-3],
            "answer_logprob_original": 0.0,
        }
    )
    assert measure.recovered(frame).tolist() == pytest.approx([np.nan, 2 / 3], nan_ok=True)


# ---- disagreements.csv ------------------------------------------------------------------------


def test_the_questions_that_differ_most_come_first_with_their_layer(tmp_path: Path) -> None:
    # Question 0 differs by 0.3 at layer 1, question 1 by 0.6 at layer 2, question 2 not at all.
    krs = [[0.5, 0.5, 0.5], [0.8, 0.5, 0.5], [0.5, 0.3, 0.5]]
    logprob = [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 0.9, 0.5]]
    same = flat(0.5, layers=3, questions=3)
    kl = [krs[0], [0.8, 0.5, 0.5], [0.5, 0.3, 0.5]]
    top1 = [same[0], [0.75, 0.5, 0.5], [0.5, 0.3, 0.5]]
    sweep = plant(tmp_path, krs, others=others(kl, top1, logprob))
    found = disagreements(collected(tmp_path, [sweep]))
    assert list(found.columns) == DISAGREEMENT_COLUMNS
    assert found["rank"].tolist() == [1, 2, 3]
    assert found["question"].tolist() == [1, 0, 2]
    assert found["layer"].tolist()[:2] == [2, 1]
    assert found["difference"].tolist() == pytest.approx([-0.6, 0.3, 0.0], abs=1e-12)
    assert found["other"].tolist()[:2] == ["logprob_recovered", "logprob_recovered"]
    first = found.iloc[0]
    assert (first["krs"], first["kl_recovered"]) == pytest.approx((0.3, 0.3))
    assert first["answer_logprob_patched"] == pytest.approx(-0.35)


def test_what_lies_far_below_0_is_nothing_back_and_no_more(tmp_path: Path) -> None:
    # -9 beside -1: both say that nothing is back. 0.4 beside -0.1 is the larger difference.
    krs = [[-9.0, 0.4]]
    sweep = plant(tmp_path, krs, others=others([[-1.0, -0.1]], krs, krs))
    found = disagreements(collected(tmp_path, [sweep]))
    assert found["question"].tolist() == [1, 0]
    assert found["difference"].tolist() == pytest.approx([0.4, 0.0])
    assert found["krs"].tolist() == pytest.approx([0.4, -9.0])  # told uncut
