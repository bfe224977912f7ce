"""The parquet contract of recall: <results>/recall/{model}/{method}/{concept}.parquet."""

import pyarrow as pa

_KEY = pa.dictionary(pa.int32(), pa.string())
RECALL_SCHEMA = pa.schema(
    [
        *((name, _KEY) for name in ("model", "method", "origin", "concept", "concept_name")),
        ("stage", _KEY),  # as_it_is | relearned
        # question | held_out: of the concept file's held_out_paraphrases | retained: the held-out
        # wordings of concepts that the reference model has learned.
        ("wording", _KEY),
        ("question", pa.int32()),  # from 0; several held-out wordings of one question share it
        ("relearned", pa.bool_()),  # whether the stage "relearned" teaches this question's answer
        ("prompt", pa.string()),  # what the model read
        ("fact", pa.string()),
        ("answer", pa.string()),  # greedy
        ("has_fact", pa.bool_()),  # of the answer (inputs.fact_matching)
    ]
)
