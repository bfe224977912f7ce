"""Ask one model for the facts of a concept, and once more after it has relearned half of them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.files import read_json
from stillknows.job import FOUND, run
from stillknows.parquet_files import RECALL_SCHEMA
from stillknows.study.model_job import ModelJob
from stillknows.terms import AS_IT_IS
from stillknows.training.teaching import Relearning

log = logging.getLogger("stillknows")


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    retained: list[Path],
    prompt: str,
    settings: Mapping[str, Any],
    seed: int,
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write one row per stage, wording and question.

    Args:
        original, checkpoint: manifests; of the original, only the number format is used.
        retained: JSONs of concepts whose facts are to be retained; none if that is not known.
        settings: the config's recall.
    """
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.answers.recall import facts_said, recall

    job = ModelJob(original, concept_json, dtype, device, checkpoint)
    rows, training = recall(
        job.model.folder,
        job.tokenizer,
        job.concept,
        settings["wordings"],
        prompt=prompt,
        new_tokens=settings["new_tokens"],
        relearning=Relearning(**settings["relearning"]) if settings["relearn"] else None,
        seed=seed,
        dtype=job.dtype,
        device=job.device,
        retained=[read_json(path) for path in retained],
    )
    relearned = {}
    if training is not None:
        last = training.iloc[-1]
        relearned["relearning_steps"] = f"{last['step']:g}"
        relearned["relearning_nll"] = f"{last['nll_retain']:.6g}"
    made_with = {"prompt": prompt, "seed": seed, "recall": dict(settings)}
    job.write(table, rows, RECALL_SCHEMA, made_with, **relearned)
    log.log(FOUND, f"{job.model.label}: says {facts_said(rows, AS_IT_IS)}")


if __name__ == "__main__":
    run(main)
