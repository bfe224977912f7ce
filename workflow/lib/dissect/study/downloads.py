"""Which of a study's hub: checkpoints must be downloaded, by what lies there when it is planned.

Weights may have been removed after their last job (keep_checkpoints: false), or by somebody. They
are wanted again only if a result that needs them is not there; finished ones ask for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dissect.checkpoints.manifest import Manifest, parse_manifest
from dissect.study.rows import CheckpointRow


@dataclass(frozen=True)
class Download:
    """One hub: row as it stands.

    Attributes:
        manifest: the path of its manifest.
        results: the paths of the files that are computed from its weights.
    """

    row: CheckpointRow
    manifest: str
    results: Sequence[str]

    @property
    def is_due(self) -> bool:
        """Whether a job must download it: it never was, or the table names another source now."""
        known = read_known(self.manifest)
        return known is None or known.source != self.row.source

    @property
    def is_wanted_again(self) -> bool:
        """Whether its weights are gone and a result that needs them is not there."""
        known = read_known(self.manifest)
        return (
            known is not None
            and not self.is_due
            and not are_there(known)
            and not all(Path(result).exists() for result in self.results)
        )


def read_known(manifest: str) -> Manifest | None:
    """A manifest, or None while there is none.

    Raises:
        DissectError: if it is damaged.
    """
    path = Path(manifest)
    return parse_manifest(path) if path.exists() else None


def are_there(known: Manifest) -> bool:
    """Whether all files of a manifest lie where it says, in the sizes that it says."""
    files = [(known.folder / file.name, file.size) for file in known.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in files)
