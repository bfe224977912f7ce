"""One donor's depth rows: its residual stream patched into the original, layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from stillknows.engine.fact_runs import patch_facts, record_facts
from stillknows.engine.streamed_model import StreamedModel
from stillknows.terms import CORRECTED, PUBLISHED, PUBLISHED_FIXED
from stillknows.texts.facts import FactText

SAME_TEXTS = ((PUBLISHED, PUBLISHED_FIXED), (CORRECTED,))  # forms that read the same texts


def measure(
    host: StreamedModel, donor: StreamedModel, texts: Mapping[str, Mapping[int, FactText]]
) -> pd.DataFrame:
    """The rows of one donor, without the columns that are the same in all of them.

    The published script takes the states after the last layer where the final norm has been
    applied; the form "published" does so too, "published_fixed" and "corrected" do not.

    Args:
        host: the original.
        texts: by form, and by the question's number.
    """
    parts = []
    for forms in SAME_TEXTS:
        wanted = [form for form in forms if form in texts]
        if not wanted:
            continue
        of_form = texts[wanted[0]]
        recorded = record_facts(donor, list(of_form.values()))
        donors: list[Sequence[Tensor | None]] = [recorded.layers]
        if PUBLISHED in wanted:
            donors.append([None] * (host.n_layers - 1) + [recorded.normed])
        scores = patch_facts(host, list(of_form.values()), donors)
        for form in wanted:
            patched = scores.patched[0]
            if form == PUBLISHED:
                both = zip(*scores.patched, strict=True)
                patched = [torch.cat([layers[:-1], last]) for layers, last in both]
            parts.append(_rows(form, list(of_form), scores.unpatched, patched))
    return pd.concat(parts, ignore_index=True)


def _rows(
    form: str, questions: Sequence[int], unpatched: Sequence[Tensor], patched: Sequence[Tensor]
) -> pd.DataFrame:
    """One row per question and layer; `unpatched` is (tokens,), `patched` (layers, tokens)."""
    parts: list[dict[str, Any]] = []
    for question, of_host, of_runs in zip(questions, unpatched, patched, strict=True):
        parts += [
            {
                "form": form,
                "question": question,
                "layer": layer,
                "tokens": len(of_host),
                "logprob_original": float(of_host.double().mean()),
                "logprob_patched": float(of_layer.double().mean()),
            }
            for layer, of_layer in enumerate(of_runs)
        ]
    return pd.DataFrame(parts)
