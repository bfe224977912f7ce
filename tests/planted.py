"""Sweeps with planted losses, for the tests of tables and figures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.tables import MEASURES
from stillknows.engine.windows import windows_of
from stillknows.parquet_files import SWEEP_SCHEMA, write_rows

EXPERIMENTS = ("mlp_coefficients", "attention", "mlp_coefficients_and_attention", "value_vectors")

# Of the unlearned model, and of the original.
_MEASURED = {
    "kl_recovered": (2.0, 0.0),
    "top1_recovered": (0.5, 1.0),
    "logprob_recovered": (-1.25, -0.25),
}

# Per layer, the KRS of each question; None: the unpatched loss is 0, so there is none.
Values = Sequence[Sequence[float | None]]


def plant(
    root: Path,
    values: Values,
    *,
    model: str = "tiny",
    method: str = "dpo",
    concept: str = "tea",
    experiment: str = "attention",
    window: str | Sequence[str] = "sliding_1",
    span: str | Sequence[str] = "notebook",
    unlearned: Sequence[float] = (),
    others: Mapping[str, Values] | None = None,
    metadata: Mapping[str, str] | None = None,
    **more: Any,
) -> Path:
    """Write one sweep whose KRS are the given ones; return its path.

    Args:
        values: as Values says; the number of layers follows from it.
        unlearned: the unpatched loss per question, 1 if left out.
        others: the same for other scores, by their names; what they are made of is null if left
            out. None: nothing was lost of it.
        more: other columns' values.
    """
    key = {"model": model, "method": method, "concept": concept, "experiment": experiment}
    rows = []
    for place in windows_of([window] if isinstance(window, str) else list(window), len(values)):
        for question, krs in enumerate(values[place.layer]):
            base = 0.0 if krs is None else (unlearned[question] if unlearned else 1.0)
            row = {
                **key,
                "concept_name": concept.title(),
                "origin": "own",
                "donor": "original",
                "window": place.name,
                "layer": place.layer,
                "first_layer": place.first,
                "last_layer": place.last,
                "question": question,
                "positions": 3,
                "loss_unlearned": base,
                "loss_patched": base * (1 - (krs or 0.0)),
                "krs": math.nan if krs is None else krs,
                **more,
            }
            for name, wanted in (others or {}).items():
                row |= _behind(name, wanted[place.layer][question])
            rows += [{**row, "span": name} for name in ([span] if isinstance(span, str) else span)]
    path = root / "krs" / model / method / concept / f"{experiment}.parquet"
    frame = pd.DataFrame(rows).reindex(columns=SWEEP_SCHEMA.names)
    write_rows(path, frame, {"device": "cpu", **(metadata or {})})
    return path


def _behind(name: str, recovered: float | None) -> dict[str, float]:
    """Columns that make a score what it is to be: between an unlearned value and the original's."""
    measure = MEASURES[name]
    unlearned, original = _MEASURED[name]
    if recovered is None:
        unlearned = original
    found = {
        measure.unlearned: unlearned,
        measure.patched: unlearned + (recovered or 0.0) * (original - unlearned),
    }
    return found | ({measure.original: original} if isinstance(measure.original, str) else {})


def collected(root: Path, sweeps: Sequence[Path]) -> Path:
    """The table of all rows of the sweeps, written into `root`."""
    collect_sweeps(sweeps, root / "tables/krs.parquet")
    return root / "tables/krs.parquet"


def flat(value: float | None, layers: int = 4, questions: int = 2) -> Values:
    """The same KRS everywhere."""
    return [[value] * questions] * layers


def sloped(value: float, layers: int = 4, questions: int = 2) -> Values:
    """A KRS that rises with the layer, from 0 to `value`."""
    return [[value * layer / (layers - 1)] * questions for layer in range(layers)]
