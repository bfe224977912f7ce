"""What the scores say of models whose state is known: one row per study and model, as CSV.

    .venv/bin/python calibration/known_answers.py results/calibration/1 results/calibration/2

Each folder is one that make_study.py wrote and Snakemake has computed.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from dissect.analysis.facts import facts_kept, read_facts
from dissect.depth.scores import read_depth, uds
from dissect.results.schema import ANSWER_SCHEMA, read_table
from dissect.terms import CORRECTED, DENOISING

# Of the unclipped ratio: a third of the model's layers, from the fourth part up. Chosen on an
# earlier model of the same size (five invented people, one seed), so this column is exploratory.
LOWER_LAYERS = range(8, 16)


def known_answers(folder: Path) -> pd.DataFrame:
    """The scores of one study's models.

    Returns:
        method, and per model: recall (share of the forgotten facts in its free answers), uds, ratio
        (mean damage in LOWER_LAYERS over the reference's), and per experiment the highest point of
        the KRS curve over the answer span.
    """
    tables = folder / "results" / "tables"
    answers = read_table(tables / "answers.parquet", ANSWER_SCHEMA).to_pandas()
    kept = facts_kept(answers, read_facts(folder / "facts.json")).set_index("method")
    depth = read_depth(tables / "depth.parquet", form=CORRECTED)
    scores = uds(depth)
    means = scores[scores["question"].isna()].set_index("method")["uds"]
    lower = depth[depth["layer"].isin(LOWER_LAYERS)]
    damages = lower.groupby("method")[["logprob_original", "logprob_reference", "logprob_copy"]]
    mean = damages.mean()
    ratio = (mean["logprob_original"] - mean["logprob_copy"]) / (
        mean["logprob_original"] - mean["logprob_reference"]
    )
    columns = {"recall": kept["kept"] / kept["questions"], "uds": means, "ratio": ratio}
    curves = pd.read_csv(tables / "curves.csv")
    curves = curves[(curves["span"] == "answer") & (curves["method"] != "all")]
    peaks = curves[curves["score"] == "krs"].groupby(["experiment", "method"])["mean"].max()
    columns |= {f"krs_{name}": peaks[name] for name in DENOISING}
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
