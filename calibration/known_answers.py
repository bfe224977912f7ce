"""What the scores say of models whose state is known: one row per study and model, as CSV.

    .venv/bin/python calibration/known_answers.py results/calibration/1 results/calibration/2

Each folder is one that make_study.py wrote and Snakemake has computed.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from dissect.analysis.curve_groups import ALL_METHODS
from dissect.analysis.depth import ALL, LOWER_AND_MIDDLE
from dissect.analysis.facts import facts_kept, read_facts
from dissect.results.csv_files import read_csv
from dissect.results.schema import ANSWER_SCHEMA, read_table
from dissect.terms import ANSWER, CORRECTED, KRS, PAPER_EXPERIMENTS


def known_answers(folder: Path) -> pd.DataFrame:
    """The scores of one study's models.

    Returns:
        method, and per model: recall (share of the forgotten facts in its free answers), uds, ratio
        (mean damage in the lower and middle layers over the reference's; exploratory), and per
        experiment the highest point of the KRS curve over the answer span.
    """
    tables = folder / "results" / "tables"
    answers = read_table(tables / "answers.parquet", ANSWER_SCHEMA).to_pandas()
    kept = facts_kept(answers, read_facts(folder / "facts.json")).set_index("method")
    depth = read_csv(tables / "depth.csv", form=CORRECTED)
    lower, every = (
        depth[depth["layers"] == layers].set_index("method") for layers in (LOWER_AND_MIDDLE, ALL)
    )
    columns = {
        "recall": kept["kept"] / kept["questions"],
        "uds": every["uds"],
        "ratio": lower["ratio"],
    }
    curves = read_csv(tables / "curves.csv", span=ANSWER, score=KRS)
    curves = curves[curves["method"] != ALL_METHODS]
    peaks = curves.groupby(["experiment", "method"])["mean"].max()
    columns |= {f"krs_{name}": peaks[name] for name in PAPER_EXPERIMENTS}
    return pd.DataFrame(columns).rename_axis("method").reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    folders = parser.parse_args().folders
    parts = [known_answers(folder).assign(study=folder.name) for folder in folders]
    rows = pd.concat(parts, ignore_index=True)
    rows.insert(0, "study", rows.pop("study"))
    rows.to_csv(sys.stdout, index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
