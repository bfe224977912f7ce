"""Models whose state is known, side by side on the page, with the error rates of their scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissect.calibration.scores import PRIMARY
from dissect.calibration.table import calibration_table
from dissect.report.formatting import DASH
from dissect.report.models import CALLS, HEADS, model_tables
from dissect.results.csv_files import read_csv
from dissect.terms import KNOWS
from planted_rounds import planted_rounds, steady
from planted_study import MODEL, ROOT, add_rounds, plant_study

ROUND = read_csv(ROOT / "calibration/rounds/seed_101.csv")
KRS, UDS, RELEARNED = PRIMARY
ORDER = list(HEADS)


def rates(rounds: int) -> pd.DataFrame:
    """UDS tells the states apart at 0.5, relearning at 0.45, KRS tells nothing."""
    scores = {UDS: steady(0.2, 0.8), RELEARNED: steady(0.9, 0.0), KRS: steady(0.7, 0.7)}
    return calibration_table(planted_rounds(rounds, **scores))


def test_each_model_has_a_row_with_its_state_and_scores() -> None:
    (table,) = model_tables({"seed": ROUND}, None)
    assert table["model"] == "seed"
    assert [row["name"] for row in table["rows"]] == ROUND["method"].tolist()
    for row, (_, model) in zip(table["rows"], ROUND.iterrows(), strict=True):
        assert row["treatment"] == model["treatment"]
        assert row["learned"] == ("yes" if model["state"] == KNOWS else "no")
        assert [cell["value"] for cell in row["cells"]] == [f"{model[name]:.2f}" for name in ORDER]


def test_a_state_that_is_not_confirmed_says_why() -> None:
    (table,) = model_tables({"seed": ROUND}, None)
    confirmed = {row["name"]: row["confirmed"] for row in table["rows"]}
    open_states = ROUND[~ROUND["as_intended"]]
    assert 0 < len(open_states) < len(ROUND)
    assert table["notes"] == dict(zip("12", open_states["why_not"], strict=True))
    for mark, name in enumerate(open_states["method"], start=1):
        assert confirmed.pop(name) == f"no ({mark})"
    assert set(confirmed.values()) == {"yes"}


def test_the_primary_scores_are_shown_with_their_direction() -> None:
    assert set(PRIMARY) < set(HEADS)
    (table,) = model_tables({"seed": ROUND}, None)
    directions = dict(zip(ORDER, (one["direction"] for one in table["heads"]), strict=True))
    assert directions == dict.fromkeys(ORDER, "higher: knows") | {UDS: "lower: knows"}


def test_a_call_is_a_score_beyond_the_threshold() -> None:
    (table,) = model_tables({"seed": ROUND}, rates(6))
    calls = {
        row["name"]: dict(zip(ORDER, (cell["call"] for cell in row["cells"]), strict=True))
        for row in table["rows"]
    }
    for _, model in ROUND.iterrows():
        assert calls[model["method"]] == {
            "recalled": "",  # no primary score: its error rates are not confirmed
            KRS: "",  # no threshold has more power than false alarms
            UDS: CALLS[model[UDS] < 0.5],
            RELEARNED: CALLS[model[RELEARNED] > 0.45],
        }
    assert len(set(calls["placebo"].values())) > 1


def test_the_rates_are_those_of_all_treatments_pooled() -> None:
    (table,) = model_tables({"seed": ROUND}, rates(6))
    by_score = {label: dict(zip(ORDER, row, strict=True)) for label, row in table["rates"].items()}
    assert table["rounds"] == 6
    assert {label: row[UDS] for label, row in by_score.items()} == {
        "threshold": "0.50",
        "rounds": "6",
        "AUC": "1.00 [0.61, 1.00]",  # 0.05 ** (1 / 6)
        "false alarms": "0 of 18",
        "power": "18 of 18",
    }
    assert {row["recalled"] for row in by_score.values()} == {DASH}
    # What tells nothing has no threshold, but its rates say so.
    assert {label: row[KRS] for label, row in by_score.items()} == {
        "threshold": DASH,
        "rounds": "6",
        "AUC": "0.50 [0.50, 0.50]",
        "false alarms": "0 of 18",
        "power": "0 of 18",
    }


@pytest.mark.parametrize("calibration", [None, rates(1)], ids=["no table", "one round"])
def test_without_rates_nothing_is_called(calibration: pd.DataFrame | None) -> None:
    (table,) = model_tables({"seed": ROUND}, calibration)
    assert table["rounds"] == 0
    assert {cell["call"] for row in table["rows"] for cell in row["cells"]} == {""}


def test_a_score_without_a_value_is_a_dash_and_no_call() -> None:
    (table,) = model_tables({"seed": ROUND.assign(uds=np.nan)}, rates(6))
    cells = [row["cells"][ORDER.index(UDS)] for row in table["rows"]]
    assert cells == [{"value": DASH, "call": ""}] * len(ROUND)


@pytest.mark.parametrize("rates_from", [0, 6])
def test_the_page_shows_the_models_first_of_what_was_found(rates_from: int, tmp_path: Path) -> None:
    study = plant_study(tmp_path, concepts=1, figures=False)
    assert "state is known" not in found(study.page())
    add_rounds(study, rates_from)
    page = study.page()
    assert "It is known which of them ever learned the facts" in " ".join(page.split())
    assert "alone (exploratory): no value" not in page
    text = found(page)
    assert text.index("Models whose state is known") < text.index('<div class="summary">')
    assert text.partition("<tfoot>")[0].count('<tr><th scope="row">') == len(ROUND)
    assert ("<tfoot>" in text) == ("● knows" in text) == (rates_from > 0)
    assert ("How often these scores are wrong is not known" in text) == (rates_from == 0)
    assert ("“What the rates do not cover”" in text) == (rates_from > 0)
    assert f"rounds/{MODEL}.csv" in text
    for why in ROUND.loc[~ROUND["as_intended"], "why_not"]:
        assert f"not confirmed: {why}" in text


def found(page: str) -> str:
    """The section on what was found, on one line."""
    return " ".join(page.partition('<section id="found"')[2].partition("</section>")[0].split())
