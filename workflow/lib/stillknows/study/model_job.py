"""What jobs that run models have in common: the models and the concept, and their result's file."""

import logging
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from stillknows.files import read_json
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.manifest import read_manifest, tokenizer_folder
from stillknows.models.provenance import input_fields, run_fields
from stillknows.parquet_files import write_rows
from stillknows.study.expected import refuse_other_recording, settings_fields

log = logging.getLogger("stillknows")


class ModelJob:
    """The inputs of a job; the result's metadata and columns name them.

    Attributes:
        original, model, reference: the manifests; `model` is the one that the result is about, and
            may be the original's.
        concept: the content of the concept's JSON.
        dtype, device: torch's; `dtype: checkpoint` means the original's.
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
        # Not before the job has set the number of threads, which torch reads when it is imported.
        from stillknows.device import choose_device, choose_dtype

        self._started = time.monotonic()
        self.original = read_manifest(original)
        unlearned = read_manifest(model) if model else None
        self.model = unlearned or self.original
        self.reference = read_manifest(reference) if reference else None
        self.concept: dict[str, Any] = read_json(concept_json)
        self.dtype = choose_dtype(dtype, self.original.dtype)
        self.device = choose_device(device)
        self._settings = {"dtype": dtype}
        self._inputs = input_fields(
            concept_json,
            self.dtype,
            original=self.original,
            unlearned=unlearned,
            reference=self.reference,
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of `model`."""
        return load_tokenizer(tokenizer_folder(self.model, self.original))

    @cached_property
    def original_tokenizer(self) -> Any:
        return load_tokenizer(tokenizer_folder(self.original))

    def refuse_other_recording(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Refuse a recording that was made from other inputs than this job's."""
        refuse_other_recording(path, metadata, self._inputs)

    def write(
        self,
        path: Path,
        rows: pd.DataFrame,
        schema: pa.Schema,
        settings: Mapping[str, Any],
        **more: str,
    ) -> None:
        """Write the result, with the columns that name the model and the concept."""
        metadata = self._inputs | settings_fields(**self._settings, **settings) | more
        rows = rows.assign(**self.model.columns(self.concept))
        write_rows(path, rows, metadata | run_fields(self.device, self._started), schema)
