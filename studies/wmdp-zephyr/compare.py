"""The share of WMDP's items whose right choice is the most probable one, per copy and topic.

.venv/bin/python studies/wmdp-zephyr/compare.py [RESULTS]
"""

import sys
from pathlib import Path

from stillknows.analysis.choices import as_text, choice_accuracy
from stillknows.csv_files import read_csv


def main(results: Path) -> None:
    print(as_text(choice_accuracy(read_csv(results / "tables" / "facts.csv"))))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/wmdp-zephyr"))
