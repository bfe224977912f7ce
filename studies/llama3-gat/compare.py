"""How eight methods unlearn over a training: the share of right choices, checkpoint by checkpoint.

.venv/bin/python studies/llama3-gat/compare.py [RESULTS]

Prints a table, and writes trajectories.png into RESULTS: a panel per method.
"""

import sys
from pathlib import Path

import pandas as pd
import seaborn as sns

from stillknows.analysis.choices import as_text, choice_accuracy
from stillknows.csv_files import read_csv
from stillknows.terms import ORIGINAL


def trajectories(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of checkpoints METHOD_NUMBER, with `unlearning` (METHOD) and `checkpoint`."""
    parts = table["method"].str.extract(r"^(?P<unlearning>.+)_(?P<checkpoint>\d+)$")
    return table.join(parts).dropna(subset="checkpoint").astype({"checkpoint": int})


def draw(rows: pd.DataFrame, original: float, chance: float) -> sns.FacetGrid:
    """A panel per method: accuracy and its 95 % interval against the checkpoint."""
    grid = sns.FacetGrid(rows, col="unlearning", col_wrap=4, height=2.2, sharey=True)
    for name, axes in grid.axes_dict.items():
        own = rows[rows["unlearning"] == name].sort_values("checkpoint")
        below, above = own["accuracy"] - own["low"], own["high"] - own["accuracy"]
        axes.errorbar(own["checkpoint"], own["accuracy"], [below, above], marker="o", capsize=2)
        axes.axhline(original, color="black", linestyle="--", label="original")
        axes.axhline(chance, color="grey", linestyle=":", label="chance")
        axes.set_xticks(own["checkpoint"])
    grid.set_titles("{col_name}")
    grid.set_axis_labels("checkpoint", "share of right choices")
    grid.figure.axes[0].legend(frameon=False)
    grid.set(ylim=(0, 1))
    grid.tight_layout()
    return grid


def main(results: Path) -> None:
    table = choice_accuracy(read_csv(results / "tables" / "facts.csv"))
    print(as_text(table))
    original = table[table["method"] == ORIGINAL].iloc[0]
    grid = draw(trajectories(table), original["accuracy"], original["chance"])
    grid.savefig(results / "trajectories.png", dpi=150)
    print(f"the picture: {results / 'trajectories.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/llama3-gat"))
