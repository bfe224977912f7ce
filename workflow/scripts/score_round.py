"""Put every score of one model's round, whose states are known, in one small table."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from stillknows.analysis.calibration.round import round_table
from stillknows.analysis.calibration.trainings import read_trainings, with_round, with_versions
from stillknows.analysis.depth import read_depth
from stillknows.csv_files import read_csv, write_csv
from stillknows.job import run
from stillknows.parquet_files import RECALL_SCHEMA, SWEEP_SCHEMA, read_table
from stillknows.study.expected import check_results
from stillknows.terms import ANSWER, COPY, FACT

_TEXTS = ["model", "method", "origin", "concept", "concept_name", "experiment"]


def main(
    *,
    krs: Path,
    scores: Path,
    depth: Path,
    weight_changes: Path,
    recall: list[Path],
    model: str,
    base: str,
    states: list[dict[str, str]],
    reference: str,
    settings: str,
    digest_of_code: str,
    manifests: list[Path],
    study: dict[str, Any],
    table: Path,
) -> None:
    """Write one row per model of known state.

    Args:
        model: the name of the round in the checkpoints table.
        base: what was taught: the source of the round's base row.
        states: method, concept, state, treatment and recipe of each model.
        settings, digest_of_code: of what models are made and scored with.
        study: the parameter of study.expected.check_results.
    """
    check_results(study)
    answers = [read_table(path, RECALL_SCHEMA).to_pandas() for path in recall]
    rows = round_table(
        states,
        reference=reference,
        recall=pd.concat([part.astype({"method": str}) for part in answers]),
        curves=read_csv(scores, model=model),
        sweeps=sweep_rows(krs, model=model, span=FACT, donor=COPY),
        depth=read_depth(depth, model=model),
        changes=read_csv(weight_changes, model=model),
        losses=forgotten_losses(krs, model),
        trainings=read_trainings(manifests, model),
    )
    write_csv(table, with_versions(with_round(rows, model, base), settings, digest_of_code))


def forgotten_losses(krs: Path, model: str) -> "pd.Series[float]":
    """By method, the unpatched model's loss of the concept's answers, nats per token."""
    rows = sweep_rows(krs, model=model, span=ANSWER)
    # The same in every window, of whichever experiment.
    questions = rows.groupby(["method", "question"])["answer_logprob_unlearned"].first()
    return -questions.groupby("method").mean()


def sweep_rows(krs: Path, **only: str) -> pd.DataFrame:
    """The rows of tables/krs.parquet with the given values."""
    sweeps = read_table(krs, SWEEP_SCHEMA)
    for column, value in only.items():
        sweeps = sweeps.filter(pc.equal(sweeps[column], value))
    rows: pd.DataFrame = sweeps.to_pandas()
    return rows.astype(dict.fromkeys(_TEXTS, str))


if __name__ == "__main__":
    run(main)
