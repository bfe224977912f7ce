"""Ask one copy for each fact many times, with sampled answers."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.job import FOUND, run
from stillknows.parquet_files import RECALL_SCHEMA
from stillknows.study.model_job import ModelJob
from stillknows.terms import SAMPLES

log = logging.getLogger("stillknows")


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    prompt: str,
    settings: Mapping[str, Any],
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write one row per wording, question and sample.

    Args:
        original, checkpoint: manifests; of the original, only the number format is used.
        settings: what else it depends on (Config.sampling).
    """
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.answers.recall import facts_said, sampled_recall

    job = ModelJob(original, concept_json, dtype, device, checkpoint)
    rows = sampled_recall(
        job.model.folder,
        job.tokenizer,
        job.concept,
        prompt=prompt,
        **settings,
        dtype=job.dtype,
        device=job.device,
    )
    job.write(table, rows, RECALL_SCHEMA, {"prompt": prompt, **settings})
    log.log(FOUND, f"{job.model.label}: sampled answers say {facts_said(rows, SAMPLES)}")


if __name__ == "__main__":
    run(main)
