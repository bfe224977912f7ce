"""Take one concept out of a concept file, checked."""

from pathlib import Path

from stillknows.errors import StudyError
from stillknows.files import write_json
from stillknows.job import run
from stillknows.texts.concepts import has_answers, read_concept_file, with_unrelated


def main(*, concepts: Path, concept: str, concept_json: Path, is_answered: bool = False) -> None:
    """Write an entry, or unrelated questions, as JSON; `is_answered` as it was planned."""
    entries = read_concept_file(concepts)
    chosen = with_unrelated(entries).get(concept)
    if chosen is None:
        raise StudyError(
            f"concept file {concepts} has no id {concept!r}; it has {', '.join(entries)}"
        )
    if is_answered and not has_answers(chosen):
        raise StudyError(
            f"concept {concept} in {concepts} has no QA_with_answers, which could not be known "
            "before the download; run the same command again: the original then generates "
            "the answers"
        )
    write_json(concept_json, chosen)


if __name__ == "__main__":
    run(main)
