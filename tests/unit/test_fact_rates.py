"""Error rates of the audit over rounds of facts, on tables whose rates are known."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "calibration"))

import print_fact_rates as rates
from draw_fact_rates import draw

COPIES = [  # method, host, dose, treatment, verdict, knows
    ("never", "never", 0.0, "none", "NOT FOUND", 0),
    ("never_hide", "never", 0.0, "hide", "KNOWS", 1),
    ("shuffled", "shuffled", 0.0, "none", "TRACES", 0),
    ("half_hide", "taught_50", 0.5, "hide", "KNOWS", 2),
    ("half_npo", "taught_50", 0.5, "npo_1", "TRACES", 0),
    ("half_refuse", "taught_50", 0.5, "refuse", "NOT FOUND", 0),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copies = pd.DataFrame(
        COPIES, columns=["method", "host", "dose", "treatment", "verdict", "knows"]
    ).assign(round="seed_1", facts=4, recipe="npo_1", weight_change=0.5, retained_recall=0.9)
    copies = copies.assign(steps=6, final_loss_forget=3.0)
    copies["at_most"] = copies["verdict"].map({"NOT FOUND": 0.4})
    names = ["round", "method", "host", "dose", "treatment", "recipe"]
    facts = copies[names].merge(pd.DataFrame({"question": range(4)}), how="cross")
    facts["taught"] = (facts["dose"] == 0.5) & (facts["question"] < 2)
    facts["found"] = facts["taught"] & (facts["treatment"] == "hide")
    facts = facts.assign(original_says=True, says=False, exposure_p=0.5, uds=0.5, logprob=-1.0)
    facts["association_p"] = facts["question"].map({0: 0.01, 1: 0.2, 2: 0.6, 3: 0.9})
    facts["relearned"] = (facts["question"] == 0).astype(object)
    facts = facts.assign(logprob_decoys=-2.0, logprob_lowest=-3.0, logprob_lens=-1.0)
    for kind, table in (("facts", facts), ("copies", copies)):
        table.to_csv(tmp_path / f"seed_1_{kind}.csv", index=False)
    return tmp_path


def test_rates_are_counted_by_state(folder: Path) -> None:
    facts, copies = rates.read(folder, "facts"), rates.read(folder, "copies")
    assert copies["state"].tolist() == [
        *("never", "never", "shuffled", "intact", "unlearned", "intact")
    ]
    untaught = {row[0]: row[2:4] for row in [*rates.false_discoveries(facts)][1:]}
    assert untaught["never"][0].startswith("0 of 8 ")
    assert untaught["never"][1].startswith("2 of 8 ")
    assert untaught["intact"][0].startswith("0 of 4 ")
    bounds = {row[0]: row[1:] for row in rates.false_bounds(rates.with_known(copies, facts))}
    assert bounds["never"][0].startswith("1 of 2 ")
    assert bounds["intact"][0].startswith("0 of 2 ")
    assert bounds["all"][1].startswith("1 of 1 ")
    # Half of the facts are known to the refusing copy, and at most 40 % are said to be.
    assert [bounds[name][2].split(" [")[0] for name in ("never", "intact")] == ["0 of 1", "1 of 1"]
    row = next(row for row in rates.power(facts, copies) if row[1] == "hide")
    assert row[:3] == ("0.50", "hide", "1")
    assert row[3].startswith("2 of 2 ")
    assert row[4] == "0.50"
    scored = rates.with_scores(facts, copies)
    foretold = {row[0]: row[1:] for row in rates.foretelling(scored)}
    assert foretold["association_p"][:2] == ("1 of 2", "1.00")
    assert foretold["uds"] == ("1 of 2", "0.50", "+0.00")
    assert (scored["truth_ratio"] == 1).all()
    verdicts = {row[:2]: row[2:] for row in rates.confusion(copies)}
    assert verdicts["never", "hide"][:5] == ("0", "1", "0", "0", "0")
    assert verdicts["intact", "all"][5].startswith("1 of 2 ")


def test_the_known_share_is_compared_with_what_each_test_finds(folder: Path) -> None:
    facts, copies = rates.read(folder, "facts"), rates.read(folder, "copies")
    table = rates.estimates(copies, facts).set_index("method")
    assert "half_npo" not in table.index  # what it still knows is open
    assert table["known"].to_dict() == {
        "half_hide": 0.5,
        "half_refuse": 0.5,
        "never": 0,
        "never_hide": 0,
        "shuffled": 0,
    }
    assert (table["association, p ≤ 0.05"] == 0.25).all()
    assert table.loc["never_hide", "lower bound"] == 0.25
    row = {one[0]: one[1:] for one in rates.known_fraction(table.reset_index())}
    assert row["says"] == ("5", "0.00", "0.20", "0.00")
    assert row["lower bound"] == ("5", "0.33", "0.15", "0.25")


def test_the_ladder_has_what_is_left_of_the_taught_facts(folder: Path) -> None:
    facts, copies = rates.read(folder, "facts"), rates.read(folder, "copies")
    [row] = rates.ladder(copies, facts).to_dict("records")
    assert (row["host"], row["recipe"], row["steps"]) == ("taught_50", "npo_1", 6)
    assert (row["association"], row["UDS"], row["comes back"]) == (0.5, 1.0, 0.5)


def test_verdicts_are_given_again_by_the_present_rule(folder: Path) -> None:
    """Each copy has a fact with p = 0.001 among four of two subjects."""
    facts, copies = rates.read(folder, "facts"), rates.read(folder, "copies")
    copies = copies.assign(power=0.5, reasons=float("nan"))
    smaller = facts["association_p"].where(facts["question"] > 0, 0.001)
    facts = facts.assign(suppressed_p=float("nan"), association_p=smaller)
    again = rates.by_present_rule(copies, facts)
    assert (again["verdict"] == "KNOWS").all()
    assert (again["knows"] == 1).all()
    nothing = rates.by_present_rule(copies, facts.assign(association_p=0.5)).set_index("method")
    assert (nothing["verdict"] == "NOT FOUND").all()
    assert (nothing["at_most"] == 1).all()  # 0 of 4 facts, of which half would be found


def test_a_folder_without_rounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no seed_N_facts"):
        rates.read(tmp_path, "facts")


def test_the_figure_has_both_panels(folder: Path) -> None:
    facts, copies = rates.read(folder, "facts"), rates.read(folder, "copies")
    figure = draw(rates.estimates(copies, facts), rates.ladder(copies, facts))
    left, right = figure.axes
    labels, named = [line.get_label() for line in left.lines], 5
    assert len([label for label in labels if not str(label).startswith("_")]) == named
    assert len(right.lines) == 1 + 4
    assert len(figure.legends[0].get_texts()) == 5 + 2
