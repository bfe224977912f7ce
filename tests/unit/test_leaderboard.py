"""Several audits in one table and on one page."""

import json
from pathlib import Path
from typing import Any

import pytest

from stillknows.__main__ import main
from stillknows.analysis.audit import VERDICT_COLUMNS
from stillknows.csv_files import read_csv


def write_audit(folder: Path, **verdicts: dict[str, Any]) -> Path:
    """An audit's folder with the given numbers of each copy."""
    empty: dict[str, Any] = dict.fromkeys(VERDICT_COLUMNS)
    numbers = {name: 0 for name in VERDICT_COLUMNS if name.endswith("_of") or name == "says"}
    same = empty | numbers | {"model": "model", "concept": "asked", "facts": 9, "knows": 0}
    same |= {"is_control": False, "confidence": 0.95, "exposed": 0, "suppressed": 0, "reasons": ""}
    same |= {"facts_not_tested": 0, "without_decoys": 0}
    rows = [{**same, "method": method, **own} for method, own in verdicts.items()]
    made_from = {"model/known/asked": {"unlearned_weights_sha256": "ab" * 32}}
    (folder / "results").mkdir(parents=True)
    text = json.dumps({"schema": 1, "verdicts": rows, "facts": [], "made_from": made_from})
    (folder / "results" / "verdict.json").write_text(text, encoding="utf-8")
    return folder


def test_the_copies_that_know_most_come_first(tmp_path: Path) -> None:
    one = write_audit(
        tmp_path / "one",
        lost={"verdict": "NOT FOUND", "at_most": 0.3, "power": 1.0},
        known={"verdict": "KNOWS", "knows": 2},
        hide={"verdict": "KNOWS", "knows": 9, "is_control": True},
    )
    other = write_audit(tmp_path / "other", better={"verdict": "KNOWS", "knows": 5})
    status = main(["leaderboard", str(one), str(other / "results"), "--output", f"{tmp_path}/out"])
    assert status == 0
    table = read_csv(tmp_path / "out" / "leaderboard.csv")
    assert table["method"].tolist() == ["better", "known", "lost"]
    assert table["knows"].tolist() == [5, 2, 0]
    assert table["unlearned_weights_sha256"].tolist()[1] == "ab" * 32
    page = (tmp_path / "out" / "leaderboard.html").read_text(encoding="utf-8")
    assert page.index(">better<") < page.index(">known<") < page.index(">lost<")


@pytest.mark.parametrize("content", ['{"schema": 2}', None])
def test_what_is_no_audit_is_one_line(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content:
        (tmp_path / "verdict.json").write_text(content, encoding="utf-8")
    assert main(["leaderboard", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
