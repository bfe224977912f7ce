"""The finished rounds: whole files, and docs/explanation/calibration.md has their numbers."""

import sys
from pathlib import Path

from dissect.calibration.scores import PRIMARY, SCORES
from dissect.calibration.table import LACKS, calibration_table, read_rounds

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from print_rates import rows_of  # noqa: E402

FILES = sorted((ROOT / "calibration/rounds").glob("*.csv"))


def test_every_round_has_every_score() -> None:
    rounds = read_rounds(FILES)
    assert (rounds[LACKS] == "").all()
    assert rounds[[*PRIMARY]].notna().all(axis=None)
    assert set(calibration_table(rounds)["score"]) == {spec.name for spec in SCORES}


def test_confirming_rounds_begin_at_101() -> None:
    """Seeds below were used to choose recipes and scores."""
    assert FILES
    assert all(int(path.stem.removeprefix("seed_")) >= 101 for path in FILES)


def test_the_page_has_the_rates_of_all_rounds() -> None:
    page = (ROOT / "docs/explanation/calibration.md").read_text(encoding="utf-8")
    section = page.partition("## Confirming rounds")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| `")]
    assert shown == [f"| {' | '.join(cells)} |" for cells in rows_of(read_rounds(FILES))]
    for path in FILES:
        assert f"calibration/rounds/{path.name}" in section
