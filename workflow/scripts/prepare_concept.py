"""Take one concept out of a concept file, checked."""

from pathlib import Path

from dissect.errors import DissectError
from dissect.files import write_json
from dissect.inputs.concepts import read_concept_file
from dissect.job import run


def main(*, concepts: Path, concept: str, concept_json: Path) -> None:
    """Write the entry with the id `concept` as a JSON file of its own."""
    entries = read_concept_file(concepts)
    if concept not in entries:
        raise DissectError(
            f"concept file {concepts} has no id {concept!r}; it has {', '.join(entries)}"
        )
    write_json(concept_json, entries[concept])


if __name__ == "__main__":
    run(main)
