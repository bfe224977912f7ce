"""What each job asked for and used, so that the next run asks for less."""

import logging
from pathlib import Path

from dissect.job import run
from dissect.results.csv_files import write_csv
from dissect.results.resources import by_rule, resource_table

log = logging.getLogger("dissect")


def main(*, results: Path, efficiency: Path, table: Path) -> None:
    """Write tables/resources.csv; the log says the most that any job of each rule took."""
    resources = resource_table(results, efficiency)
    write_csv(table, resources)
    log.info("the most that any job took:\n%s", by_rule(resources).to_string(index=False))


if __name__ == "__main__":
    run(main)
