"""The parquet contracts: what each kind of file holds, and how all are written and read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stillknows.errors import StudyError
from stillknows.files import atomic_path

SCHEMA_VERSION = "3"

_KEY = pa.dictionary(pa.int32(), pa.string())


def _keys(*names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, _KEY) for name in names]


# One sweep, and tables/krs.parquet: a row per window x question x span x donor.
SWEEP_SCHEMA = pa.schema(
    [
        *_keys("model", "method"),
        ("origin", _KEY),  # published | trained_here | own
        *_keys("concept", "concept_name", "experiment"),
        ("window", _KEY),  # width as a name: sliding_5, suffix, ...
        ("layer", pa.int32()),  # the window's centre, or a suffix's first layer; from 0
        ("first_layer", pa.int32()),
        ("last_layer", pa.int32()),
        ("question", pa.int32()),  # from 0
        ("donor", _KEY),  # original; noising: copy; controls: terms.CONTROLS, self
        ("span", _KEY),  # notebook | answer | fact
        ("positions", pa.int32()),  # how many were compared
        ("loss_unlearned", pa.float64()),  # mean squared logit difference to the original
        ("loss_patched", pa.float64()),
        # 1 - loss_patched / loss_unlearned; null where the latter is 0, and in noising.
        ("krs", pa.float64()),
        # Noising: loss_patched / loss_unlearned, 0 where loss_patched is 0; 1: as far from the
        # original as the copy is.
        ("noising_ratio", pa.float64()),
        ("kl_unlearned", pa.float64()),  # KL(original || model), nats, mean over positions
        ("kl_patched", pa.float64()),
        ("top1_unlearned", pa.float64()),  # share of positions whose argmax is the original's
        ("top1_patched", pa.float64()),
        ("answer_logprob_original", pa.float64()),  # mean nats per token; null under notebook
        ("answer_logprob_unlearned", pa.float64()),
        ("answer_logprob_patched", pa.float64()),
    ]
)
# The original's own answers: a row per question.
ORIGINAL_SCHEMA = pa.schema(
    [
        *_keys("model", "concept", "concept_name"),
        ("set", _KEY),  # target | completion | unrelated
        ("question", pa.int32()),  # from 0, within its set
        ("prompt", pa.string()),  # what the model read
        ("answer", pa.string()),
    ]
)
# An unlearned model's, beside the original's.
ANSWER_SCHEMA = pa.schema(
    [
        *_keys("model", "method", "origin", "concept", "concept_name", "set"),
        ("question", pa.int32()),
        ("prompt", pa.string()),
        ("experiment", _KEY),  # what was patched; null: nothing
        ("first_layer", pa.int32()),  # into which layers, both included; null: none
        ("last_layer", pa.int32()),
        ("answer_original", pa.string()),
        ("answer", pa.string()),
        ("bleu", pa.float64()),  # against the original's answer; null where that is empty
        ("rouge_l", pa.float64()),
    ]
)
# Recall: <results>/recall/{model}/{method}/{concept}.parquet.
RECALL_SCHEMA = pa.schema(
    [
        *_keys("model", "method", "origin", "concept", "concept_name"),
        ("stage", _KEY),  # as_it_is | relearned | benign | quantised | samples
        # question | held_out: of the concept file's held_out_paraphrases | retained: the held-out
        # wordings of concepts that the reference model has learned.
        ("wording", _KEY),
        ("question", pa.int32()),  # from 0; several held-out wordings of one question share it
        ("relearned", pa.bool_()),  # whether the stage "relearned" teaches this question's answer
        ("prompt", pa.string()),  # what the model read
        ("fact", pa.string()),
        ("answer", pa.string()),  # greedy; of the stage "samples", one of many
        ("has_fact", pa.bool_()),  # of the answer (texts.fact_matching)
    ]
)
# <results>/exposure/{model}/{method}/{concept}.parquet, and of altered copies: a row per question,
# score and candidate, the true one first.
EXPOSURE_SCHEMA = pa.schema(
    [
        *_keys("model", "method", "origin", "concept", "concept_name"),
        ("question", pa.int32()),  # from 0
        ("score", _KEY),  # exposure | association, or the alteration after which it was measured
        ("rule", _KEY),  # how the other candidates were made (texts.decoys)
        ("fact", pa.string()),  # the true one
        ("candidate", pa.string()),  # exposure: a fact; association: a subject
        ("is_true", pa.bool_()),
        ("is_in_file", pa.bool_()),  # a subject of another question
        ("tokens", pa.int32()),  # of the fact that is read
        ("logprob", pa.float64()),  # its mean over these tokens, nats
        ("logprob_lowest", pa.float64()),  # of these tokens
    ]
)
# What became of an unlearned model's weights: a row per component and layer, in this order in
# tables/weight_changes.csv; and a row of the concept vector.
ATTENTION_MAPS = ("q", "k", "v", "o")
MLP_MAPS = ("gate", "up", "down")
CONCEPT_VECTOR = "concept_vector"
CHANGES_SCHEMA = pa.schema(
    [
        *_keys("model", "origin", "method", "concept", "concept_name", "component"),
        ("layer", pa.int32()),  # from 0
        ("relative_change", pa.float64()),  # ||unlearned - original|| / ||original||
        ("dim", pa.int32()),  # of the concept vector, as the next ones
        ("cosine", pa.float64()),
        ("l2", pa.float64()),
        ("jaccard", pa.float64()),
    ]
)
# <results>/utility/{model}/{method}/{concept}.parquet: a row per task and metric.
UTILITY_SCHEMA = pa.schema(
    [
        *_keys("model", "method", "origin", "concept", "concept_name"),
        ("task", pa.string()),
        ("is_named", pa.bool_()),  # in the config; else a part of a group that is
        ("metric", pa.string()),  # as the library calls it, with its filter if that is not "none"
        ("value", pa.float64()),
        ("stderr", pa.float64()),  # null where the library gives none
        ("items", pa.int32()),  # null of a group whose parts have them
        ("version", pa.string()),  # the task's
    ]
)
# Depth: a row per form x question x layer; one donor's file, and tables/depth.parquet, where the
# copies' rows stand beside their reference's.
_DEPTH_ROW = [
    *_keys("model", "method", "origin", "concept", "concept_name"),
    ("form", _KEY),  # published | published_fixed | corrected
    ("question", pa.int32()),  # from 0
    ("layer", pa.int32()),  # after which the donor's residual stream is patched; from 0
    ("tokens", pa.int32()),  # of the fact
    ("logprob_original", pa.float64()),  # mean over the fact's tokens, nats; nothing patched
]
# As the donor's own final norm and head read the fact right after the layer (logit lens).
_LENS = ("logprob_lens", pa.float64())
DONOR_SCHEMA = pa.schema([*_DEPTH_ROW, ("logprob_patched", pa.float64()), _LENS])
DEPTH_SCHEMA = pa.schema(
    [
        *_DEPTH_ROW,
        ("logprob_reference", pa.float64()),
        ("logprob_copy", pa.float64()),
        ("ratio", pa.float64()),  # of fact losses, not clipped; null where the reference's is small
        _LENS,  # the copy's
    ]
)


def refuse_non_finite(rows: pd.DataFrame, column: str, label: str) -> None:
    """Raise a StudyError that names the first question whose `column` is NaN or infinite."""
    broken = rows.loc[~np.isfinite(rows[column]), "question"]
    if len(broken):
        raise StudyError(
            f"{label}: its logits on question {broken.iloc[0]} are not finite numbers: check its "
            "config.json, or set dtype to float32 or bfloat16"
        )


def write_rows(
    path: Path, rows: pd.DataFrame, metadata: Mapping[str, str], schema: pa.Schema = SWEEP_SCHEMA
) -> None:
    """Write a table in a contract's schema, whole or not at all, with metadata; NaN is null."""
    table = pa.Table.from_pandas(rows[schema.names], schema, preserve_index=False)
    table = table.replace_schema_metadata({"schema_version": SCHEMA_VERSION, **metadata})
    with atomic_path(path) as partial:
        pq.write_table(table, partial)


def read_table(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Read a table written by `write_rows`; a StudyError if it has another version or schema."""
    with _readable(path):
        table = pq.ParquetFile(path).read(use_threads=False)
    version = metadata_of(table.schema).get("schema_version")
    if version != SCHEMA_VERSION:
        raise StudyError(
            f"{path} has schema version {version}, but this program reads {SCHEMA_VERSION}: "
            "delete it and run again"
        )
    if schema is not None and not table.schema.equals(schema):
        raise StudyError(
            f"{path} has other columns than this program writes: delete it and run again"
        )
    return table


def without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with plain texts in place of categories; a null stays a null."""
    keys = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys(keys, object)).reset_index(drop=True)


def read_metadata(path: Path) -> dict[str, str]:
    """The key-value metadata of a parquet file; a StudyError if it is none."""
    with _readable(path):
        return metadata_of(pq.read_schema(path))


def metadata_of(schema: pa.Schema) -> dict[str, str]:
    """The key-value metadata of a schema, as text."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise StudyError(f"{path} cannot be read as parquet: delete it and run again") from error
