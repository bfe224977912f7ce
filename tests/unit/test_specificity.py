"""The score on the concept's questions less that on unrelated ones."""

from pathlib import Path

import pandas as pd
import pytest

from planted import collected, flat, plant
from stillknows.analysis.comparisons import SPECIFICITY_COLUMNS, specificity
from stillknows.analysis.tables import concept_scores
from stillknows.texts.concepts import is_unrelated, unrelated_id, with_unrelated

CONCEPTS = [f"c{number}" for number in range(6)]


def scores(folder: Path, krs: dict[str, float], others: dict[str, float]) -> pd.DataFrame:
    """Of sweeps with these KRS by concept, and of a donor `noise` with 0 in some."""
    sweeps = [plant(folder, flat(value), concept=concept) for concept, value in krs.items()]
    sweeps += [
        plant(folder, flat(value), concept=concept, method="npo")
        for concept, value in others.items()
    ]
    return concept_scores(collected(folder, sweeps), "krs")


def test_the_difference_is_paired_by_concept(tmp_path: Path) -> None:
    high = {concept: 0.5 + number / 20 for number, concept in enumerate(CONCEPTS)}
    low = {concept: value - 0.2 for concept, value in high.items()}
    rows = specificity(
        scores(tmp_path / "target", high, {"c0": 0.9}),
        scores(tmp_path / "unrelated", low, {"c0": 1.0, "c1": 0.5}),
    )
    assert rows.columns.tolist() == SPECIFICITY_COLUMNS
    rows = rows[rows["layer"] == 0]
    one = rows[(rows["method"] == "dpo") & (rows["concept"] == "c3")].iloc[0]
    assert (one["target"], one["unrelated"]) == pytest.approx((0.65, 0.45))
    assert one["difference"] == pytest.approx(0.2) and pd.isna(one["low"])
    mean = rows[(rows["method"] == "dpo") & (rows["concept"] == "")].iloc[0]
    assert mean[["target", "unrelated"]].tolist() == pytest.approx([0.625, 0.425])
    # Concepts differ, but every concept by the same: the interval has no width.
    assert mean[["difference", "low", "high"]].tolist() == pytest.approx([0.2] * 3)
    assert mean["n_concepts"] == 6
    # Only what has both is compared.
    npo = rows[rows["method"] == "npo"]
    assert npo["concept"].tolist() == ["", "c0"]
    assert npo["difference"].tolist() == pytest.approx([-0.1, -0.1])


def entry(name: str, questions: int, **more: list[str]) -> dict[str, object]:
    asked = [f"{name} {number}?" for number in range(questions)]
    return {"id": name, "Concept": name.title(), "QA": asked, "QA_with_answers": asked} | more


def test_unrelated_questions_are_the_files_or_another_concepts() -> None:
    entries = {
        "tea": entry("tea", 2),
        "mate": entry("mate", 3, unrelated_QA=["a?", "b?", "c?", "d?"]),
        "cocoa": entry("cocoa", 1),
    }
    extended = with_unrelated(entries)
    assert {name: one for name, one in extended.items() if not is_unrelated(name)} == entries
    asked = {name: extended[unrelated_id(name)] for name in entries}
    # Of the second entry; its own; of the one before it.
    assert asked["tea"] == {"id": "tea", "Concept": "Tea", "QA": ["mate 0?", "mate 1?"]}
    assert asked["mate"]["QA"] == ["a?", "b?", "c?"]
    assert asked["cocoa"]["QA"] == ["mate 0?"]
    # An entry that is added at the end changes none of them.
    more = with_unrelated(entries | {"chai": entry("chai", 2)})
    assert extended.items() <= more.items()
    assert with_unrelated({"tea": entry("tea", 2)}).keys() == {"tea"}
