"""Error rates of the audit over rounds of facts, on tables whose rates are known."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "calibration"))

import print_fact_rates as rates

COPIES = [  # method, host, dose, treatment, verdict, knows
    ("never", "never", 0.0, "none", "NOT FOUND", 0),
    ("never_hide", "never", 0.0, "hide", "KNOWS", 1),
    ("shuffled", "shuffled", 0.0, "none", "TRACES", 0),
    ("half_hide", "taught_50", 0.5, "hide", "KNOWS", 2),
    ("half_npo", "taught_50", 0.5, "npo_1", "TRACES", 0),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copies = pd.DataFrame(
        COPIES, columns=["method", "host", "dose", "treatment", "verdict", "knows"]
    ).assign(round="seed_1", facts=4)
    facts = copies.merge(pd.DataFrame({"question": range(4)}), how="cross")
    facts["taught"] = (facts["dose"] == 0.5) & (facts["question"] < 2)
    facts["found"] = facts["taught"] & (facts["treatment"] == "hide")
    facts = facts.assign(original_says=True, says=False, exposure_p=0.5, uds=0.5, logprob=-1.0)
    facts["association_p"] = facts["question"].map({0: 0.01, 1: 0.2, 2: 0.6, 3: 0.9})
    facts["relearned"] = (facts["question"] == 0).astype(object)
    for kind, table in (("facts", facts), ("copies", copies)):
        table.to_csv(tmp_path / f"seed_1_{kind}.csv", index=False)
    return tmp_path


def test_rates_are_counted_by_state(folder: Path) -> None:
    facts, copies = rates.read(folder, "facts"), rates.read(folder, "copies")
    assert copies["state"].tolist() == ["never", "never", "shuffled", "intact", "unlearned"]
    untaught = {row[0]: row[2:4] for row in [*rates.false_discoveries(facts)][1:]}
    assert untaught["never"][0].startswith("0 of 8 ")
    assert untaught["never"][1].startswith("2 of 8 ")
    assert untaught["intact"][0].startswith("0 of 2 ")
    bounds = {row[0]: row[1:] for row in rates.false_bounds(rates.with_known(copies, facts))}
    assert bounds["never"][0].startswith("1 of 2 ")
    assert bounds["intact"][0].startswith("0 of 1 ")
    assert bounds["all"][1].startswith("1 of 1 ")
    _, row = rates.power(facts, copies)
    assert row[:3] == ("0.50", "hide", "1")
    assert row[3].startswith("2 of 2 ")
    assert row[4] == "0.50"
    assert ("association_p", "1 of 2", "1.00") in [*rates.foretelling(facts)]
    verdicts = {row[:2]: row[2:] for row in rates.confusion(copies)}
    assert verdicts["never", "hide"] == ("0", "1", "0", "0", "0")


def test_a_folder_without_rounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no seed_N_facts"):
        rates.read(tmp_path, "facts")
