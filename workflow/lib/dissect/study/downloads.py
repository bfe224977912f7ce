"""Which of a study's hub: checkpoints must be downloaded, by the files present at planning time.

Weights may have been removed after their last job (keep_checkpoints: false), or by the user. They
are downloaded again only if a result that needs them is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dissect.checkpoints.manifest import files_are_present, manifest_if_present
from dissect.study.rows import CheckpointRow


@dataclass(frozen=True)
class HubCheckpoint:
    """A hub: row of the checkpoints table, its manifest and the results that need it.

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
        manifest = manifest_if_present(self.manifest)
        return manifest is None or manifest.source != self.row.source

    @property
    def is_wanted_again(self) -> bool:
        """Whether its weights were removed and a result that needs them is missing."""
        manifest = manifest_if_present(self.manifest)
        return (
            manifest is not None
            and manifest.source == self.row.source
            and not files_are_present(manifest)
            and not all(Path(result).exists() for result in self.results)
        )
