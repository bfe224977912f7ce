"""Put all answers in one table."""

from pathlib import Path
from typing import Any

from dissect.analysis.collect import collect_answers
from dissect.job import run
from dissect.results.belonging import check_results, checkpoint_key


def main(
    *,
    answers: list[Path],
    originals: list[Path],
    manifests: list[Path],
    texts: list[Path],
    study: dict[str, Any],
    table: Path,
) -> None:
    """Write tables/answers.parquet.

    Args:
        originals: the original's answers, with which the others were compared.
        manifests, texts, study: see results.belonging.check_results.
    """
    files = [*originals, *answers]
    check_results(files, checkpoint_key, manifests=manifests, texts=texts, study=study)
    collect_answers(answers, table)


if __name__ == "__main__":
    run(main)
