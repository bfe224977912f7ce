"""Patch one model's residual stream into the original at the facts, after one layer at a time."""

import logging
from pathlib import Path

from stillknows.device import choose_device, choose_dtype
from stillknows.engine.depth import measure
from stillknows.engine.streamed_model import StreamedModel
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest
from stillknows.models.provenance import Stopwatch, result_fields
from stillknows.models.reader import Checkpoint
from stillknows.models.tokenizer import load_tokenizer
from stillknows.models.verify import refuse_other_shapes, refuse_unshared_tokens
from stillknows.parquet_files import DONOR_SCHEMA, refuse_non_finite, write_rows
from stillknows.study.expected import settings_fields
from stillknows.texts.facts import fact_texts, refuse_other_tokens

log = logging.getLogger("stillknows")


def main(
    *,
    original: Path,
    donor: Path,
    concept_json: Path,
    forms: list[str],
    prompt: str,
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write the depth rows of one donor on one concept.

    Args:
        donor: the manifest of an unlearned model, or of a reference model.
        forms: how the texts are made (texts.facts).
    """
    stopwatch = Stopwatch()
    original_manifest, donor_manifest = read_manifest(original), read_manifest(donor)
    tokenizer = load_tokenizer(original_manifest.folder)
    other_tokenizer, data = load_tokenizer(donor_manifest.folder), read_json(concept_json)
    texts = {form: fact_texts(data, form, prompt, tokenizer) for form in forms}
    for form, of_form in texts.items():
        others = fact_texts(data, form, prompt, other_tokenizer)
        refuse_other_tokens(of_form, others, donor_manifest.label)
    host, model = Checkpoint(original_manifest.folder), Checkpoint(donor_manifest.folder)
    refuse_other_shapes(host, model)
    ids = [text.ids for of_form in texts.values() for text in of_form.values()]
    refuse_unshared_tokens(host, model, ids)
    log.info(
        f"{donor_manifest.label} patched into {original_manifest.label} at {len(ids)} facts; "
        f"forms: {', '.join(forms)}"
    )
    number_format, on = choose_dtype(dtype, original_manifest.dtype), choose_device(device)
    rows = measure(
        StreamedModel(host, number_format, on), StreamedModel(model, number_format, on), texts
    ).assign(**donor_manifest.columns(data))
    settings = settings_fields(forms=forms, prompt=prompt, dtype=dtype)
    metadata = result_fields(
        concept_json, original_manifest, donor_manifest, device=on, dtype=number_format
    )
    refuse_non_finite(rows, "logprob_patched", f"{donor_manifest.label} patched into the original")
    write_rows(table, rows, metadata | settings | stopwatch.fields(), DONOR_SCHEMA)


if __name__ == "__main__":
    run(main)
