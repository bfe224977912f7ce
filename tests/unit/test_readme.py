"""The pages give the studies' own numbers, and no text concludes more than KRS shows."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
NUMBERS = ROOT / "docs/pretrained"
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = " ".join(README.split())
PRETRAINED = (ROOT / "pretrained/README.md").read_text(encoding="utf-8")


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
        "`npo`, UDS is {} and {}, so": models.loc[["grad_diff", "npo"], "uds"],
    }
    for words, numbers in values.items():
        assert words.format(*(f"{one:.2f}" for one in np.atleast_1d(numbers))) in TEXT
    assert models.loc["hide", "recalled"] == pytest.approx(1 / 9)
    assert 0 < models.loc[["grad_diff", "npo"], krs].min() - models.loc["never", krs] < 0.05
    assert (models.loc[["grad_diff", "npo"], "relearned"] == 0).all()


def test_the_demos_verdicts_are_those_of_its_audit() -> None:
    rows = pd.read_csv(ROOT / "docs/demo/verdicts.csv").set_index("method")
    assert (
        f"`hide` KNOWS at least {rows.loc['hide', 'knows']} of {rows.loc['hide', 'facts']}" in TEXT
    )
    few, many = rows.loc[["npo", "grad_diff"], "suppressed"]
    assert f"have TRACES: at least {many} and {few} facts are suppressed" in TEXT
    assert (
        f"nothing is found: at most {rows.loc['never', 'at_most']:.0%} are".replace("%", " %")
        in TEXT
    )
    words = ["TRACES", "NOT FOUND", "TRACES", "NOT FOUND", "KNOWS"]
    assert rows["verdict"].tolist() == words


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
