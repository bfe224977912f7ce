"""Put every score of one model's round, whose states are known, in one small table."""

from pathlib import Path

import pandas as pd
import pyarrow.compute as pc

from dissect.calibration.round import described, round_table
from dissect.depth.scores import read_depth
from dissect.job import run
from dissect.provenance import versions
from dissect.recall.schema import RECALL_SCHEMA
from dissect.results.csv_files import read_csv, write_csv
from dissect.results.schema import SWEEP_SCHEMA, read_table
from dissect.terms import FACT

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
    training_code: str,
    table: Path,
) -> None:
    """Write one row per model of known state.

    Args:
        model: the name of the round in the checkpoints table.
        base: what was taught: the source of the round's base row.
        states: method, concept, state, treatment and recipe of each model.
        settings: a digest of all that the config says of how models are made and scored.
        training_code: a digest of the code that trained and measured them.
    """
    sweeps = read_table(krs, SWEEP_SCHEMA)
    of_model = pc.and_(pc.equal(sweeps["model"], model), pc.equal(sweeps["span"], FACT))
    rows = sweeps.filter(of_model).to_pandas()
    rows = rows.astype(dict.fromkeys(_TEXTS, str))
    answers = pd.concat(
        [read_table(path, RECALL_SCHEMA).to_pandas().astype({"method": str}) for path in recall]
    )
    of_round = round_table(
        states,
        reference=reference,
        recall=answers,
        curves=read_csv(scores, model=model),
        sweeps=rows,
        depth=read_depth(depth, model=model),
        changes=read_csv(weight_changes, model=model),
    )
    packages = "; ".join(f"{name} {number}" for name, number in sorted(versions().items()))
    write_csv(
        table,
        described(
            of_round,
            round=model,
            model=base,
            settings=settings,
            code=training_code,
            versions=packages,
        ),
    )


if __name__ == "__main__":
    run(main)
