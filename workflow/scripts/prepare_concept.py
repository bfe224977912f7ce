"""Take one concept out of a concept file, checked."""

from pathlib import Path

from dissect.errors import DissectError
from dissect.files import write_json
from dissect.inputs.concepts import read_concept_file, with_unrelated
from dissect.job import run


def main(*, concepts: Path, concept: str, concept_json: Path) -> None:
    """Write the entry `concept`, or unrelated questions, as a JSON file of its own."""
    entries = read_concept_file(concepts)
    chosen = with_unrelated(entries).get(concept)
    if chosen is None:
        raise DissectError(
            f"concept file {concepts} has no id {concept!r}; it has {', '.join(entries)}"
        )
    write_json(concept_json, chosen)


if __name__ == "__main__":
    run(main)
