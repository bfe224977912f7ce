"""The share of items whose right choice is the most probable one, beside the published one.

.venv/bin/python studies/deep-ignorance/compare.py [RESULTS]

The published shares are of WMDP-Bio Verified Cloze, a part of these items that was checked by
hand, and are normalised by characters, not by tokens. So the order of the models can be compared,
and not the numbers.
"""

import sys
from pathlib import Path

import pandas as pd

from stillknows.analysis.choices import COLUMNS, as_text, choice_accuracy
from stillknows.csv_files import read_csv

HERE = Path(__file__).parent


def beside_published(table: pd.DataFrame) -> pd.DataFrame:
    published = read_csv(HERE / "published.csv").set_index("method")["cloze_accuracy"]
    return table.assign(published=table["method"].map(published))


def main(results: Path) -> None:
    table = beside_published(choice_accuracy(read_csv(results / "tables" / "facts.csv")))
    print(as_text(table, [*COLUMNS, "published"]))
    order = table[["accuracy", "published"]].corr("spearman").iloc[0, 1]
    print(f"rank correlation with the published order: {order:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/deep-ignorance"))
