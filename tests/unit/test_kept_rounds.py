"""The finished rounds: whole files, and docs/explanation/calibration.md has their numbers."""

import re
from pathlib import Path

import pandas as pd

from dissect.calibration.scores import PRIMARY, SCORES
from dissect.calibration.table import LACKS, calibration_table, read_rounds
from dissect.terms import KNOWS, NEVER

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "calibration/rounds").glob("*.csv"))
SHOWN = (*PRIMARY, "recalled")


def pair(models: pd.DataFrame, column: str) -> str:
    """A score of the knowing and of the never-knowing model, as the page writes them."""
    of_state = models.set_index("state")[column]
    write = {True: "yes", False: "no"}.get if column == "as_intended" else "{:.2f}".format
    values = [of_state.get(state) for state in (KNOWS, NEVER)]
    return " / ".join("-" if value is None else str(write(value)) for value in values)


def test_every_round_has_every_score() -> None:
    rounds = read_rounds(FILES)
    assert (rounds[LACKS] == "").all()
    assert rounds[[*PRIMARY]].notna().all(axis=None)
    assert set(calibration_table(rounds)["score"]) == {spec.name for spec in SCORES}


def test_confirming_rounds_begin_at_101() -> None:
    """Seeds below were used to choose recipes and scores."""
    assert FILES
    assert all(int(path.stem.removeprefix("seed_")) >= 101 for path in FILES)


def test_the_page_has_the_numbers_of_the_first_round() -> None:
    page = (ROOT / "docs/explanation/calibration.md").read_text(encoding="utf-8")
    section = page.partition("## Confirming rounds")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+)[^|]* \| (.*) \|$", section, re.MULTILINE)[1:]
    rounds = read_rounds([ROOT / "calibration/rounds/seed_101.csv"])
    expected = {
        treatment: [pair(models, column) for column in (*SHOWN, "as_intended")]
        for treatment, models in rounds.groupby("treatment")
    }
    assert {treatment: cells.split(" | ") for treatment, cells in rows} == expected
