"""Which facts are still there in each copy, and a verdict on each copy."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.analysis.audit import (
    as_json,
    fact_table,
    judge,
    read_tables,
    retained_recall,
    wrong_subjects,
)
from stillknows.answers.recall_table import with_origins
from stillknows.csv_files import read_csv, write_csv
from stillknows.files import read_json, write_json
from stillknows.job import run
from stillknows.parquet_files import EXPOSURE_SCHEMA, RECALL_SCHEMA
from stillknows.study.expected import check_results

log = logging.getLogger("stillknows")


def main(
    *,
    exposures: list[Path],
    recalls: list[Path],
    altered: list[Path],
    further_answers: list[Path],
    uds: list[Path],
    texts: list[Path],
    control: str | None,
    alpha: float,
    origins: dict[str, str],
    study: dict[str, Any],
    facts: Path,
    verdicts: Path,
    verdict_json: Path,
) -> None:
    """Write tables/facts.csv, tables/verdicts.csv, and both in verdict.json.

    Args:
        altered: as exposures, of altered copies; may be none.
        further_answers: as recalls, of altered copies or sampled; may be none.
        uds: tables/uds.csv; none without a reference model.
        texts: each concept's JSON, {model}/{concept}.json.
        control: the method of the positive control.
        alpha: 1 less the confidence of each number.
        origins: Study.origins_in_tables.
        study: the parameter of study.expected.check_results.
    """
    check_results(study)
    exposure = read_tables([*exposures, *altered], EXPOSURE_SCHEMA)
    recall = read_tables(recalls, RECALL_SCHEMA)
    if further_answers:
        again = read_tables(further_answers, RECALL_SCHEMA)
        recall = pd.concat([recall[~recall["stage"].isin(again["stage"])], again])
    entries = {(path.parent.name, path.stem): read_json(path) for path in texts}
    depth = read_csv(uds[0]) if uds else None
    table = fact_table(exposure, recall, entries, depth)
    retained = retained_recall(recall)
    judged, table = judge(table, retained, wrong_subjects(exposure), control, alpha)
    judged, table = with_origins(judged, origins), with_origins(table, origins)
    write_csv(facts, table)
    write_csv(verdicts, judged)
    write_json(verdict_json, as_json(judged, table, exposures))
    for row in judged.to_dict("records"):
        log.info(f"{row['model']}/{row['method']}/{row['concept']}: {row['verdict']}")


if __name__ == "__main__":
    run(main)
