"""The contract of weight changes: a row per component and layer, and one for the concept vector."""

import pyarrow as pa

# In the order of tables/weight_changes.csv.
ATTENTION = ("q", "k", "v", "o")
MLP = ("gate", "up", "down")
CONCEPT_VECTOR = "concept_vector"

_TEXT = pa.dictionary(pa.int32(), pa.string())
CHANGES_SCHEMA = pa.schema(
    [
        ("model", _TEXT),
        ("origin", _TEXT),  # published | trained_here | own
        ("method", _TEXT),
        ("concept", _TEXT),
        ("concept_name", _TEXT),
        ("component", _TEXT),  # gate | up | down | q | k | v | o | concept_vector
        ("layer", pa.int32()),  # from 0
        ("relative_change", pa.float64()),  # ||unlearned - original|| / ||original||
        ("dim", pa.int32()),  # of the concept vector, as the next ones
        ("cosine", pa.float64()),
        ("l2", pa.float64()),
        ("jaccard", pa.float64()),
    ]
)
CHANGES_COLUMNS: list[str] = CHANGES_SCHEMA.names
