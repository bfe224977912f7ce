"""The parquet contracts of depth: one donor's file, and tables/depth.parquet."""

import pyarrow as pa

_KEY = pa.dictionary(pa.int32(), pa.string())
_ROW = [
    *((name, _KEY) for name in ("model", "method", "origin", "concept", "concept_name")),
    ("form", _KEY),  # published | published_fixed | corrected
    ("question", pa.int32()),  # from 0
    ("layer", pa.int32()),  # after which the donor's residual stream is patched; from 0
    ("tokens", pa.int32()),  # of the fact
    ("logprob_original", pa.float64()),  # mean over the fact's tokens, nats; nothing patched
]
# <results>/depth/{model}/{method}/{concept}.parquet: one row per form x question x layer.
DONOR_SCHEMA = pa.schema([*_ROW, ("logprob_patched", pa.float64())])
# tables/depth.parquet: the copies' rows beside their reference's.
DEPTH_SCHEMA = pa.schema(
    [
        *_ROW,
        ("logprob_reference", pa.float64()),
        ("logprob_copy", pa.float64()),
        ("ratio", pa.float64()),  # of fact losses, not clipped; null where the reference's is small
    ]
)
