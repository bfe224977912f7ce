"""Models whose state is known on the page: scores, answers, and error rates."""

from pathlib import Path
from typing import Any

import pandas as pd

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
from stillknows.analysis.calibration.scores import PRIMARY
from stillknows.analysis.calibration.table import calibration_table
from stillknows.csv_files import read_csv
from stillknows.report.known_state import error_rates, model_tables
from stillknows.report.sources import Sources
from stillknows.terms import REFERENCE, TAUGHT

ROUND = read_csv(ROOT / "calibration/rounds/seed_101.csv")
KRS, UDS, RELEARNED = PRIMARY
REFERENCES = pd.DataFrame({"model": ["seed"], "method": ["retain90"], "origin": [REFERENCE]})


def sources(rounds: pd.DataFrame) -> Sources:
    """A study of one finished round, with the error rates of other rounds."""
    tables = {"calibration.csv": calibration_table(rounds)}
    return Sources(tables, {}, REFERENCES, {}, {"seed": ROUND})


def test_an_alarm_is_a_score_beyond_the_threshold() -> None:
    # UDS tells the states apart, relearning too, KRS tells nothing; treatments are intact.
    scores: Any = {UDS: steady(0.2, 0.8), RELEARNED: steady(0.9, 0.0), KRS: steady(0.7, 0.7)}
    (table,) = model_tables(sources(planted_rounds(6, **scores)))
    models = table["rows"][2:]  # without the original and the reference
    for model in models:
        assert model["alarms"] == {
            "recalled": None,  # no primary score: its error rates are not confirmed
            KRS: model[KRS] > 0.7,
            UDS: model[UDS] < 0.8,
            RELEARNED: model[RELEARNED] > 0,
        }
    assert len(models) == len(ROUND) and len({str(model["alarms"]) for model in models}) > 1


def test_the_page_shows_what_the_models_answer_as_text(tmp_path: Path) -> None:
    study = plant_study(tmp_path, concepts=1, figures=False)
    add_reference(study)
    add_rounds(study, rates_from=0)
    add_recall(study)
    page = study.page()
    found = page.partition('<section id="found"')[2].partition("</section>")[0]
    text = " ".join(found.split()).replace("> <", "><")
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


def test_each_score_has_error_rates_per_treatment_and_group() -> None:
    rounds = planted_rounds(
        6,
        ["hide", "npo"],
        uds=lambda n, state, _: (state != TAUGHT) + n / 100,
        weight_change=lambda n, *_: n / 100,
    )
    errors = error_rates(sources(rounds))
    rates = pd.DataFrame(errors["rows"])
    assert (errors["rounds"], errors["bound"]) == (6, 7)
    groups = ["hide", "npo", "all without unlearning", "all unlearned", "all pooled", "all pooled"]
    for name, auc in (("uds", 1.0), ("weight_change", 0.5)):
        rows = rates[rates["score"] == name]
        assert rows["group"].tolist() == groups
        assert rows["included"].tolist() == ["all models"] * 5 + ["as intended"]
        assert rows["auc"].eq(auc).all()
    assert len(rates) == 2 * len(groups)  # no round has the others
    # The lowest UDS of a never-taught model is below those of all other rounds.
    pooled = rates.iloc[4]
    assert (pooled["false_alarms"], pooled["n_never"]) == (2, 12)
    assert (pooled["false_alarm_rounds"], pooled["rounds"]) == (1, 6)
    assert (pooled["power_count"], pooled["n_taught"], pooled["power"]) == (12, 12, 1)
