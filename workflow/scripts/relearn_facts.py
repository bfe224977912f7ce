"""Ask one copy for each fact after it was taught the others again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.job import run
from stillknows.parquet_files import EXPOSURE_SCHEMA, RECALL_SCHEMA, refuse_non_finite
from stillknows.study.model_job import ModelJob
from stillknows.training.teaching import LoraRelearning


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    prompt: str,
    settings: Mapping[str, Any],
    dtype: str,
    device: str,
    association: Path,
    answers: Path,
) -> None:
    """Write each held-out fact's association, and the answers to its question.

    Args:
        original, checkpoint: manifests; of the original, only the number format is used.
        settings: the config's audit.relearning and what else it depends on (Config.relearned).
    """
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.answers.relearned import relearn

    job = ModelJob(original, concept_json, dtype, device, checkpoint)
    after = relearn(
        job.model.folder,
        job.concept,
        prompt=prompt,
        **{**settings, "lessons": LoraRelearning(**settings["lessons"])},
        dtype=job.dtype,
        device=job.device,
    )
    refuse_non_finite(after.association, "logprob", job.model.label)
    made_with = {"prompt": prompt, **settings}
    job.write(association, after.association, EXPOSURE_SCHEMA, made_with)
    job.write(answers, after.answers, RECALL_SCHEMA, made_with)


if __name__ == "__main__":
    run(main)
