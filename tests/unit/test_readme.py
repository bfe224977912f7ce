"""The pages give the studies' own numbers, and no text concludes more than KRS shows."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissect.analysis.behaviour import gap_closed
from dissect.report.formatting import number
from dissect.results.csv_files import read_csv

ROOT = Path(__file__).parents[2]
NUMBERS = ROOT / "docs/pretrained"
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = " ".join(README.split())
PRETRAINED = (ROOT / "pretrained/README.md").read_text(encoding="utf-8")
PRETRAINED_TEXT = " ".join(PRETRAINED.split())
BOTH = "mlp_coefficients_and_attention"
PATCHED = (25, 29)


def pretrained_claims() -> pd.DataFrame:
    """The claims over all methods, by the answer span or by none."""
    table = pd.read_csv(NUMBERS / "claims.csv", keep_default_na=False)
    return table[table["span"].isin(["answer", ""]) & (table["method"] == "all")]


def rows(text: str) -> dict[str, list[str]]:
    """The table's rows by the claim's id: supported if, value, verdict."""
    found = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.M)
    return {id_: [sweep.strip() for sweep in sweeps] for id_, *sweeps in found}


def test_the_demos_scores_are_those_of_its_round() -> None:
    models = pd.read_csv(ROOT / "docs/demo/round.csv").set_index("method")
    krs = "krs_mlp_coefficients_and_attention_highest"
    values = {
        "is {} for `hide`, {} for `never`, {} for `grad_diff` and {} for `npo`.": models.loc[
            ["hide", "never", "grad_diff", "npo"], krs
        ],
        "But its UDS is {} (`never`: {})": models.loc[["hide", "never"], "uds"],
        "its recall of the others is {} (`never`: {}).": models.loc[["hide", "never"], "relearned"],
        "`npo`, UDS is {} and {} (single": models.loc[["grad_diff", "npo"], "uds"],
    }
    for words, numbers in values.items():
        assert words.format(*(f"{one:.2f}" for one in np.atleast_1d(numbers))) in TEXT
    assert models.loc["hide", "recalled"] == 0
    assert models.loc["never", krs] > models.loc[["grad_diff", "npo"], krs].max()
    assert (models.loc[["grad_diff", "npo"], "relearned"] == 0).all()


def test_the_demos_facts_are_lost_unequally() -> None:
    uds = pd.read_csv(ROOT / "docs/demo/uds.csv").dropna(subset="question")
    for method in ("grad_diff", "npo"):
        each = uds[uds["method"] == method]["uds"]
        assert f"(single facts: {each.min():.2f} to {each.max():.2f})" in TEXT


def test_the_pages_claims_are_the_studys() -> None:
    expected = {
        row.id: [
            f"{row.bound} {row.threshold:g}",
            f"{float(row.value):.2f}" if row.value else "none",
            row.verdict,
        ]
        for row in pretrained_claims().itertuples()
    }
    assert rows(PRETRAINED) == expected


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        (BOTH, "{} % of what the answers had lost"),
        ("value_vectors", "value vectors of these layers restored, it is {} %."),
    ],
)
def test_the_pages_answers_are_the_studys(experiment: str, words: str) -> None:
    patches = gap_closed(read_csv(NUMBERS / "behaviour.csv")).set_index(
        ["experiment", "first_layer", "last_layer"]
    )
    assert (
        words.format(number(100 * patches.loc[(experiment, *PATCHED), "share"], 0))
        in PRETRAINED_TEXT
    )


def test_the_pages_facts_are_counted() -> None:
    facts = pd.read_csv(NUMBERS / "facts.csv")
    unpatched = facts[facts["experiment"].isna()]
    assert (
        f"{unpatched['kept'].sum()} of the copies' {unpatched['questions'].sum()} answers"
        in PRETRAINED_TEXT
    )
    assert (unpatched["original"] == unpatched["questions"]).all()
    there = (facts["experiment"] == BOTH) & (facts["first_layer"] == PATCHED[0])
    assert f"patched: {facts.loc[there, 'kept'].sum()})" in PRETRAINED_TEXT
