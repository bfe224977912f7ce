"""What jobs that run models have in common: the models and the concept, and their result's file."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillknows.files import read_json
from stillknows.models.manifest import read_manifest
from stillknows.models.provenance import Stopwatch, recording_fields, result_fields
from stillknows.parquet_files import write_rows
from stillknows.study.expected import refuse_other_recording, settings_fields

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch


class ModelJob:
    """The inputs of a job, each with what its result says of it.

    Args:
        original: manifest of the original, whose number format `dtype: checkpoint` means.
        concept_json: the concept that the result is about.
        model: manifest of the model that the result is about, if it is not the original alone.
        reference: manifest of the reference model, if it is a donor.

    Attributes:
        original, model, reference: the manifests; `model` may be the original's.
        concept: the JSON's content.
    """

    def __init__(
        self,
        original: Path,
        concept_json: Path,
        dtype: str,
        device: str,
        model: Path | None = None,
        reference: Path | None = None,
    ) -> None:
        self._stopwatch = Stopwatch()
        self._concept_json, self._dtype, self._device = concept_json, dtype, device
        self.original = read_manifest(original)
        self._unlearned = read_manifest(model) if model else None
        self.model = self._unlearned or self.original
        self.reference = read_manifest(reference) if reference else None
        self.concept: dict[str, Any] = read_json(concept_json)

    # torch reads the number of threads when it is imported: not before the job has set it.

    @cached_property
    def dtype(self) -> "torch.dtype":
        from stillknows.device import choose_dtype

        return choose_dtype(self._dtype, self.original.dtype)

    @cached_property
    def device(self) -> "torch.device":
        from stillknows.device import choose_device

        return choose_device(self._device)

    def refuse_other_recording(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Refuse a recording that was made from other inputs than this job's."""
        made_from = recording_fields(self.original, self._concept_json, self.dtype)
        refuse_other_recording(path, metadata, made_from)

    def write(
        self,
        path: Path,
        rows: "pd.DataFrame",
        schema: "pa.Schema",
        settings: Mapping[str, Any],
        **more: str,
    ) -> None:
        """Write the result, with the columns that name the model and the concept.

        Args:
            settings: what the result depends on beside its inputs and the number format.
            more: further metadata.
        """
        metadata = result_fields(
            self._concept_json,
            self.original,
            self._unlearned,
            self.reference,
            device=self.device,
            dtype=self.dtype,
        )
        metadata |= settings_fields(**settings, dtype=self._dtype) | more
        rows = rows.assign(**self.model.columns(self.concept))
        write_rows(path, rows, metadata | self._stopwatch.fields(), schema)
