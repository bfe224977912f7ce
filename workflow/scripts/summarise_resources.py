"""What each job asked for and used, so that the next run asks for less."""

import logging
from pathlib import Path

from stillknows.analysis.resources import by_rule, resource_table
from stillknows.csv_files import write_csv
from stillknows.job import run

log = logging.getLogger("stillknows")


def main(*, results: Path, efficiency: Path, table: Path) -> None:
    """Write tables/resources.csv; the log says the most that any job of each rule took."""
    resources = resource_table(results, efficiency)
    write_csv(table, resources)
    log.info("the most that any job took:\n%s", by_rule(resources).to_string(index=False))


if __name__ == "__main__":
    run(main)
