"""From planted answers to answers.parquet and behaviour.csv."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from planted_answers import planted_answer
from stillknows.analysis.behaviour import BEHAVIOUR_COLUMNS, gap_closed, summarise_behaviour
from stillknows.analysis.collect import collect_answers
from stillknows.csv_files import read_csv, write_csv
from stillknows.parquet_files import ANSWER_SCHEMA, read_table, write_rows


def row(score: float | None, **more: Any) -> dict[str, Any]:
    bleu = None if score is None else score / 2
    return planted_answer(**{"bleu": bleu, "rouge_l": score} | more)


def plant(root: Path, rows: list[dict[str, Any]], name: str = "", **metadata: str) -> Path:
    """Write a job's answers where the workflow would."""
    first = rows[0]
    path = root / "behaviour/tiny" / first["method"] / f"{first['concept']}{name}.parquet"
    write_rows(path, pd.DataFrame(rows), {"device": "cpu", **metadata}, ANSWER_SCHEMA)
    return path


def summary(tmp_path: Path, files: list[Path]) -> Path:
    table, csv = tmp_path / "answers.parquet", tmp_path / "behaviour.csv"
    collect_answers(files, table)
    write_csv(csv, summarise_behaviour(read_table(table)))
    return csv


PATCH = {"experiment": "attention", "first_layer": 0, "last_layer": 4}


def files_of(tmp_path: Path) -> list[Path]:
    plain = [row(0.2), row(0.4, question=1), row(None, question=2), row(0.8, set="unrelated")]
    patched = [row(0.9, **PATCH), row(0.7, question=1, **PATCH)]
    other = [row(0.5, concept="war", concept_name="War", set="unrelated")]
    return [
        plant(tmp_path, plain, seconds="1"),
        plant(tmp_path, patched, ".patched", seconds="2"),
        plant(tmp_path, other, seconds="3"),
    ]


def test_a_concepts_score_is_the_mean_over_its_questions(tmp_path: Path) -> None:
    csv = summary(tmp_path, files_of(tmp_path))
    found = read_csv(csv, concept="tea", set="target")
    assert list(found.columns) == BEHAVIOUR_COLUMNS
    by = found.set_index("experiment")
    assert by["rouge_l"].to_dict() == pytest.approx({"": 0.3, "attention": 0.8})
    assert by["bleu"].to_dict() == pytest.approx({"": 0.15, "attention": 0.4})
    assert by["questions"].to_dict() == {"": 2, "attention": 2}  # the third has no score
    assert by.loc["attention", ["first_layer", "last_layer"]].tolist() == [0, 4]
    assert by.loc[""].isna()["first_layer"]
    assert (
        csv.read_text(encoding="utf-8").splitlines()[1].startswith("tiny,own,dpo,tea,Tea,target,")
    )


def test_the_share_of_the_lost_answers_that_came_back(tmp_path: Path) -> None:
    other = [row(0.6, method="npo"), row(0.7, method="npo", **PATCH)]
    unpatched_only = [row(0.9, concept="war", concept_name="War")]
    files = [plant(tmp_path, rows) for rows in (other[:1], unpatched_only)]
    csv = summary(
        tmp_path, [*files_of(tmp_path)[:2], *files, plant(tmp_path, other[1:], ".patched")]
    )
    (found,) = gap_closed(read_csv(csv)).to_dict("records")
    # The concept war has no answers under the patch: its unpatched ones do not count either.
    assert found.pop("unpatched") == pytest.approx((0.3 + 0.6) / 2)
    assert found.pop("patched") == pytest.approx((0.8 + 0.7) / 2)
    assert found.pop("share") == pytest.approx(0.3 / 0.55)
    assert found == {"model": "tiny", "origin": "own", **PATCH}
