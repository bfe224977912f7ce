"""Take one concept out of a concept file, checked."""

from pathlib import Path

from dissect.errors import DissectError
from dissect.files import write_json
from dissect.inputs.concepts import read_concept_file
from dissect.job import job


def main(*, concepts: Path, identity: str, concept: Path) -> None:
    """Write the entry with the id `identity` as a JSON file of its own.

    Raises:
        DissectError: if the file is no concept file, or has no such entry.
    """
    entries = read_concept_file(concepts)
    if identity not in entries:
        raise DissectError(
            f"concept file {concepts} has no id {identity!r}; it has {', '.join(entries)}"
        )
    write_json(concept, entries[identity])


if __name__ == "__main__":
    with job() as snakemake:
        main(
            concepts=Path(snakemake.input.concepts),
            identity=snakemake.wildcards.concept,
            concept=Path(snakemake.output.concept),
        )
