"""Patch one model's residual stream into the original at the facts, after one layer at a time."""

import logging
from pathlib import Path

from stillknows.engine.depth import measure
from stillknows.engine.streamed_model import StreamedModel
from stillknows.job import run
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import refuse_other_shapes, refuse_unshared_tokens
from stillknows.parquet_files import DONOR_SCHEMA, refuse_non_finite
from stillknows.study.model_job import ModelJob
from stillknows.texts.spans import fact_texts, refuse_other_ids

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
    """Write the depth rows of one donor (an unlearned or reference model) on one concept."""
    job = ModelJob(original, concept_json, dtype, device, donor)
    checkpoints = Checkpoint(job.original.folder), Checkpoint(job.model.folder)
    tokenizers = job.original_tokenizer, job.tokenizer
    texts = {}
    for form in forms:
        texts[form], others = (fact_texts(job.concept, form, prompt, each) for each in tokenizers)
        refuse_other_ids(texts[form], others, job.model.label)
    refuse_other_shapes(*checkpoints)
    ids = [text.ids for form in forms for text in texts[form].values()]
    refuse_unshared_tokens(*checkpoints, ids)
    label = f"{job.model.label} patched into {job.original.label}"
    log.info(f"{label} at {len(ids)} facts; forms: {', '.join(forms)}")
    host, model = (StreamedModel(each, job.dtype, job.device) for each in checkpoints)
    rows = measure(host, model, texts)
    refuse_non_finite(rows, "logprob_patched", label)
    job.write(table, rows, DONOR_SCHEMA, {"forms": forms, "prompt": prompt})


if __name__ == "__main__":
    run(main)
