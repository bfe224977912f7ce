"""Models whose state is known, side by side on the page, with the error rates of their scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dissect.calibration.scores import PRIMARY
from dissect.calibration.table import calibration_table
from dissect.report.formatting import DASH
from dissect.report.models import ALARMS, HEADS, model_tables
from dissect.report.sources import Sources
from dissect.results.csv_files import read_csv
from dissect.terms import NEVER, ORIGINAL, REFERENCE
from planted_recall import planted_recall
from planted_rounds import planted_rounds, steady
from planted_study import (
    HOSTILE,
    MODEL,
    REFERENCE_MODEL,
    ROOT,
    add_recall,
    add_reference,
    add_rounds,
    plant_study,
)

ROUND = read_csv(ROOT / "calibration/rounds/seed_101.csv")
KRS, UDS, RELEARNED = PRIMARY
ORDER = list(HEADS)


REFERENCES = pd.DataFrame({"model": ["seed"], "method": ["retain90"], "origin": [REFERENCE]})


def sources(
    frame: pd.DataFrame, calibration: pd.DataFrame | None = None, recall: pd.DataFrame | None = None
) -> Sources:
    """What the table of a round is made from; its reference model is called retain90."""
    tables = {} if calibration is None else {"calibration.csv": calibration}
    asked = {} if recall is None else {"seed": recall}
    return Sources(tables, {}, REFERENCES, {}, {"seed": frame}, asked)


def scored(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows without those of the original and the reference."""
    return table["rows"][2:]


def rates(rounds: int) -> pd.DataFrame:
    """UDS tells the states apart, relearning too, KRS tells nothing; treatments are intact."""
    scores = {UDS: steady(0.2, 0.8), RELEARNED: steady(0.9, 0.0), KRS: steady(0.7, 0.7)}
    return calibration_table(planted_rounds(rounds, **scores))


def test_each_model_has_a_row_with_its_state_and_scores() -> None:
    (table,) = model_tables(sources(ROUND))
    assert table["model"] == "seed"
    assert [row["name"] for row in scored(table)] == ROUND["method"].tolist()
    for row, (_, model) in zip(scored(table), ROUND.iterrows(), strict=True):
        assert row["treatment"] == model["treatment"]
        assert row["learned"] == ("no" if model["state"] == NEVER else "yes")
        assert [cell["value"] for cell in row["cells"]] == [f"{model[name]:.2f}" for name in ORDER]


def test_a_state_that_is_not_confirmed_says_why() -> None:
    (table,) = model_tables(sources(ROUND))
    confirmed = {row["name"]: row["confirmed"] for row in scored(table)}
    open_states = ROUND[~ROUND["as_intended"]]
    assert 0 < len(open_states) < len(ROUND)
    assert table["notes"] == dict(zip("12", open_states["why_not"], strict=True))
    for mark, name in enumerate(open_states["method"], start=1):
        assert confirmed.pop(name) == f"no ({mark})"
    assert set(confirmed.values()) == {"yes"}


def test_the_primary_scores_are_shown_with_their_direction() -> None:
    assert set(PRIMARY) < set(HEADS)
    (table,) = model_tables(sources(ROUND))
    directions = dict(zip(ORDER, (one["direction"] for one in table["heads"]), strict=True))
    assert directions == dict.fromkeys(ORDER, "higher: taught") | {UDS: "lower: taught"}


def test_an_alarm_is_a_score_beyond_the_threshold() -> None:
    (table,) = model_tables(sources(ROUND, rates(6)))
    alarms = {
        row["name"]: dict(zip(ORDER, (cell["alarm"] for cell in row["cells"]), strict=True))
        for row in scored(table)
    }
    for _, model in ROUND.iterrows():
        assert alarms[model["method"]] == {
            "recalled": "",  # no primary score: its error rates are not confirmed
            KRS: ALARMS[model[KRS] > 0.7],
            UDS: ALARMS[model[UDS] < 0.8],
            RELEARNED: ALARMS[model[RELEARNED] > 0],
        }
    assert len(set(alarms["placebo"].values())) > 1


def test_the_rates_are_those_of_all_treatments_pooled() -> None:
    (table,) = model_tables(sources(ROUND, rates(6)))
    by_score = {label: dict(zip(ORDER, row, strict=True)) for label, row in table["rates"].items()}
    assert table["rounds"] == 6
    assert {label: row[UDS] for label, row in by_score.items()} == {
        "threshold": "0.80",
        "rounds": "6",
        "AUC": "1.00",
        "false alarms": "0 of 18",
        "power, all without unlearning": "18 of 18",
        "power, all unlearned": DASH,
    }
    assert {row["recalled"] for row in by_score.values()} == {DASH}
    assert (by_score["AUC"][KRS], by_score["power, all without unlearning"][KRS]) == (
        "0.50",
        "0 of 18",
    )


@pytest.mark.parametrize("calibration", [None, rates(1)], ids=["no table", "one round"])
def test_without_rates_there_is_no_alarm(calibration: pd.DataFrame | None) -> None:
    (table,) = model_tables(sources(ROUND, calibration))
    assert table["rounds"] == 0
    assert {cell["alarm"] for row in table["rows"] for cell in row["cells"]} == {""}


def test_a_score_without_a_value_is_a_dash_and_no_alarm() -> None:
    (table,) = model_tables(sources(ROUND.assign(uds=np.nan), rates(6)))
    cells = [row["cells"][ORDER.index(UDS)] for row in scored(table)]
    assert cells == [{"value": DASH, "alarm": ""}] * len(ROUND)


def test_the_original_and_the_reference_come_first_with_their_recall_only() -> None:
    known = {ORIGINAL: "111111110", "retain90": "010000000", "never": "000000000"}
    given = sources(ROUND, rates(6), planted_recall(known, "seed"))
    (table,) = model_tables(given)
    original, reference = (row["cells"] for row in table["rows"][:2])
    keys = ("name", "treatment", "learned", "confirmed")
    assert [[row[key] for key in keys] for row in table["rows"][:2]] == [
        ["original", "none", "yes", DASH],
        ["retain90 (reference)", "none", "no", DASH],
    ]
    # After relearning: of the four questions with odd numbers; `planted_recall` has it turned.
    values = {"recalled": ["0.89", "0.11"], RELEARNED: ["0.00", "0.75"]}
    for score, *cells in zip(ORDER, original, reference, strict=True):
        wanted = values.get(score, [DASH, DASH])
        assert cells == [{"value": value, "alarm": ""} for value in wanted], score
    assert [row["is_scored"] for row in table["rows"]] == [False] * 2 + [True] * len(ROUND)
    assert [row["name"] for row in table["answers"]["rows"]] == [
        row["name"] for row in table["rows"]
    ]


@pytest.mark.parametrize("known", [None, {"never": "0"}], ids=["no recall", "of others only"])
def test_without_recall_the_original_and_the_reference_have_dashes(
    known: dict[str, str] | None,
) -> None:
    (table,) = model_tables(
        sources(ROUND, recall=None if known is None else planted_recall(known, "seed"))
    )
    assert [row["cells"] for row in table["rows"][:2]] == [
        [{"value": DASH, "alarm": ""}] * len(ORDER)
    ] * 2
    assert (table["answers"] is None) == (known is None)


def test_a_study_without_a_reference_has_no_row_of_it() -> None:
    given = replace(sources(ROUND), scores=REFERENCES.assign(model="other"))
    (table,) = model_tables(given)
    assert [row["name"] for row in table["rows"]] == [ORIGINAL, *ROUND["method"]]


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
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    assert body.count('<tr><th scope="row">') == len(ROUND)
    assert body.count('<tr class="unscored"><th scope="row">') == 1  # there is no reference
    assert "What they answer" not in text and "recall/" not in text
    assert ("<tfoot>" in text) == ("● taught" in text) == (rates_from > 0)
    assert ("How often these scores are wrong is not known" in text) == (rates_from == 0)
    assert ("What the rates do not cover" in text) == (rates_from > 0)
    assert f"rounds/{MODEL}.csv" in text
    for why in ROUND.loc[~ROUND["as_intended"], "why_not"]:
        assert f"not confirmed: {why}" in text


def test_the_page_shows_what_the_models_answer_as_text(tmp_path: Path) -> None:
    study = plant_study(tmp_path, concepts=1, figures=False)
    add_reference(study)
    add_rounds(study, rates_from=0)
    add_recall(study)
    page = study.page()
    text = found(page)
    tables = text.split("<table>")[1:]
    assert text.index("Models whose state is known") < text.index("What they answer")
    assert f'<tr class="unscored"><th scope="row">{REFERENCE_MODEL} (reference)</th>' in tables[0]
    assert "The 3 questions are evenly spread over the list of 4," in text
    row = [f"{REFERENCE_MODEL}, {number}, as_it_is, first" for number in range(3)]
    cells = f'<td>○ {row[0]}</td><td class="has-fact">● {row[1]}</td><td>○ {row[2]}</td>'
    assert f'<th scope="row">{REFERENCE_MODEL} (reference)</th>{cells}</tr>' in tables[1]
    assert "relearned, first" not in page and "second" not in tables[1]
    # A hostile answer is text, in the cell and in its title.
    assert "<b>" not in text and HOSTILE not in page
    assert 'title="&lt;/script&gt;' in tables[1] and "&lt;b&gt;bold&lt;/b&gt;" in tables[1]
    assert f"recall/{MODEL}/" in text


def found(page: str) -> str:
    """The section on what was found, on one line."""
    return " ".join(page.partition('<section id="found"')[2].partition("</section>")[0].split())
