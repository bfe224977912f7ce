"""Put every score of one model's round, whose states are known, in one small table."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from stillknows.analysis.calibration.round import described, round_table
from stillknows.analysis.uds import read_depth
from stillknows.csv_files import read_csv, write_csv
from stillknows.job import run
from stillknows.models.manifest import manifest_if_present
from stillknows.models.provenance import versions
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
        settings: a digest of all that the config says of how models are made and scored.
        digest_of_code: of the code that trained and measured them.
        study: the parameter of study.expected.check_results.
    """
    check_results(study)
    answers = pd.concat(
        [read_table(path, RECALL_SCHEMA).to_pandas().astype({"method": str}) for path in recall]
    )
    of_round = round_table(
        states,
        reference=reference,
        recall=answers,
        curves=read_csv(scores, model=model),
        sweeps=noised_facts(krs, model),
        depth=read_depth(depth, model=model),
        changes=read_csv(weight_changes, model=model),
        losses=forgotten_losses(krs, model),
        trainings=trainings_of(manifests, model),
    )
    packages = "; ".join(f"{name} {number}" for name, number in sorted(versions().items()))
    write_csv(
        table,
        described(
            of_round,
            round=model,
            model=base,
            settings=settings,
            code=digest_of_code,
            versions=packages,
        ),
    )


def noised_facts(krs: Path, model: str) -> pd.DataFrame:
    """What patches of a copy's states into the original did to its facts: rows of sweeps."""
    return _sweep_rows(krs, model=model, span=FACT, donor=COPY)


def forgotten_losses(krs: Path, model: str) -> "pd.Series[float]":
    """By method, the unpatched model's loss of the concept's answers, nats per token."""
    rows = _sweep_rows(krs, model=model, span=ANSWER)
    # The same in every window, of whichever experiment.
    questions = rows.groupby(["method", "question"])["answer_logprob_unlearned"].first()
    return -questions.groupby("method").mean()


def _sweep_rows(krs: Path, **only: str) -> pd.DataFrame:
    """The rows of tables/krs.parquet with the given values."""
    sweeps = read_table(krs, SWEEP_SCHEMA)
    for column, value in only.items():
        sweeps = sweeps.filter(pc.equal(sweeps[column], value))
    rows: pd.DataFrame = sweeps.to_pandas()
    return rows.astype(dict.fromkeys(_TEXTS, str))


def trainings_of(manifests: list[Path], model: str) -> dict[str, dict[str, Any]]:
    """By method, what the manifests of a round's checkpoints say of their training."""
    of_study = [one for path in manifests if (one := manifest_if_present(str(path)))]
    return {one.method: one.training for one in of_study if one.model == model and one.training}


if __name__ == "__main__":
    run(main)
