"""Work with results, outside the workflow: python -m stillknows COMMAND --help."""

import argparse
import math
import sys
from pathlib import Path

from stillknows.errors import StudyError


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status.

    0: it was done; compare: the two are equal. 1: compare: they are not. 2: bad input.
    """
    parser = argparse.ArgumentParser(prog="python -m stillknows", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    about = (
        "compare two results folders, or archives: which sweeps and tables differ, and by how much"
    )
    command = commands.add_parser("compare", help=about, description=about)
    command.add_argument("old", type=Path, metavar="OLD", help="a results folder, or archive.zip")
    command.add_argument("new", type=Path, metavar="NEW", help="the one to compare it with")
    command.add_argument(
        "--tolerance",
        type=_tolerance,
        default=0.0,
        help="numbers that differ by at most this much count as equal (default: 0, exact values)",
    )
    command.add_argument(
        "--csv", type=Path, metavar="FILE", help="write every difference to this CSV"
    )
    chosen = parser.parse_args(arguments)
    try:
        return _compare(chosen.old, chosen.new, chosen.tolerance, chosen.csv)
    except (StudyError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _compare(old: Path, new: Path, tolerance: float, csv: Path | None) -> int:
    # pandas and pyarrow take a second: not for --help.
    from stillknows.analysis.compare import as_text, compare_results
    from stillknows.csv_files import write_csv

    comparison = compare_results(old, new, tolerance)
    print(as_text(comparison, str(old), str(new), tolerance))
    if csv is not None:
        write_csv(csv, comparison.differences.drop(columns="note"))
    return 0 if comparison.is_equal else 1


def _tolerance(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
