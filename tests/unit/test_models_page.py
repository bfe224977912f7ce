"""Models whose state is known, side by side on the page, with the error rates of their scores."""

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
from stillknows.report.models import ALARMS, HEADS, model_tables
from stillknows.report.sources import Sources
from stillknows.terms import REFERENCE

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
