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
from stillknows.analysis.calibration.scores import PRIMARY, SCORES
from stillknows.analysis.calibration.table import calibration_table
from stillknows.csv_files import read_csv
from stillknows.report.known_state import ALARMS, HEADS, error_rates, model_tables
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
    alarms = {
        row["name"]: dict(zip(HEADS, (alarm for _, alarm in row["cells"]), strict=True))
        for row in table["rows"][2:]  # without the original and the reference
    }
    for _, model in ROUND.iterrows():
        assert alarms[model["method"]] == {
            "recalled": "",  # no primary score: its error rates are not confirmed
            KRS: ALARMS[model[KRS] > 0.7],
            UDS: ALARMS[model[UDS] < 0.8],
            RELEARNED: ALARMS[model[RELEARNED] > 0],
        }
    assert len(set(alarms["placebo"].values())) > 1


def test_the_page_shows_what_the_models_answer_as_text(tmp_path: Path) -> None:
    study = plant_study(tmp_path, concepts=1, figures=False)
    add_reference(study)
    add_rounds(study, rates_from=0)
    add_recall(study)
    page = study.page()
    found = page.partition('<section id="found"')[2].partition("</section>")[0]
    text = " ".join(found.split())
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
    rates = errors["rates"]
    assert (errors["rounds"], errors["bound"]) == (6, 7)
    treatments = ["hide", "npo", "all without unlearning", "all unlearned", "all pooled"]
    treatments += ["all pooled, confirmed states only"]
    definitions = {spec.name: spec.definition for spec in SCORES}
    for name, auc in (("uds", "1.00"), ("weight_change", "0.50")):
        rows = rates[rates["score"] == definitions[name]]
        assert rows["treatment"].tolist() == treatments
        assert rows["AUC"].str.startswith(auc).all()
    assert len(rates) == 2 * len(treatments)  # no round has the others
    # The lowest UDS of a never-taught model is below those of all other rounds.
    assert rates["false alarms"].tolist()[4] == "2 of 12"
    assert rates["rounds with a false alarm"].tolist()[4] == "1 of 6"
    assert rates["power"].tolist()[4].startswith("12 of 12: 1.00")
