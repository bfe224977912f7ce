"""Put what the audit says of each fact, and whether it was taught, in a round's two tables."""

from pathlib import Path
from typing import Any

from stillknows.analysis.audit import read_tables
from stillknows.analysis.calibration.facts import copy_rows, copy_table, fact_rows, taught_facts
from stillknows.analysis.calibration.trainings import read_trainings, with_round, with_versions
from stillknows.analysis.depth import read_depth
from stillknows.csv_files import read_csv, write_csv
from stillknows.files import read_json
from stillknows.job import run
from stillknows.parquet_files import EXPOSURE_SCHEMA
from stillknows.study.expected import check_results


def main(
    *,
    facts: Path,
    verdicts: Path,
    depth: Path,
    weight_changes: Path,
    exposures: list[Path],
    manifests: list[Path],
    concepts: list[Path],
    model: str,
    base: str,
    asked: str,
    copies: list[dict[str, Any]],
    settings: str,
    digest_of_code: str,
    study: dict[str, Any],
    fact_rows_table: Path,
    copy_rows_table: Path,
) -> None:
    """Write a row per copy and fact, and a row per copy.

    Args:
        concepts: JSONs of the concept that is asked for, and of all that were learned.
        base: what was taught: the source of the round's base row.
        asked: the concept whose facts are asked for.
        copies: Study.copies_of_facts.
        settings, digest_of_code: of what models are made and measured with.
        study: the parameter of study.expected.check_results.
    """
    check_results(study)
    entries = {path.stem: read_json(path) for path in concepts}
    taught = {
        copy["method"]: taught_facts(entries[asked], [entries[name] for name in copy["learned"]])
        for copy in copies
    }
    table = copy_table(copies, taught)
    exposure = read_tables(exposures, EXPOSURE_SCHEMA)
    of_facts = fact_rows(
        table, taught, read_csv(facts, model=model), exposure, read_depth(depth, model=model)
    )
    of_copies = copy_rows(
        table,
        read_csv(verdicts, model=model),
        read_csv(weight_changes, model=model),
        read_trainings(manifests, model),
    )
    write_csv(fact_rows_table, with_round(of_facts, model, base))
    of_copies = with_versions(with_round(of_copies, model, base), settings, digest_of_code)
    write_csv(copy_rows_table, of_copies)


if __name__ == "__main__":
    run(main)
