"""Ask one copy for each fact after something was done to it that brings hidden knowledge back."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.files import read_json
from stillknows.job import FOUND, run
from stillknows.parquet_files import EXPOSURE_SCHEMA, RECALL_SCHEMA, refuse_non_finite
from stillknows.study.model_job import ModelJob
from stillknows.terms import BENIGN, QUANTISED
from stillknows.training.teaching import LoraRelearning

log = logging.getLogger("stillknows")


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    retained: list[Path],
    alteration: str,
    prompt: str,
    settings: Mapping[str, Any],
    dtype: str,
    device: str,
    association: Path,
    answers: Path,
) -> None:
    """Write each fact's association, and the answers to its question.

    Args:
        original, checkpoint: manifests; of the original, only the number format is used.
        retained: JSONs of concepts that the copy should retain; only `benign` reads them.
        alteration: one of ALTERATIONS.
        settings: what else it depends on (Config.alteration).
    """
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.answers.altered import Copy, ask_altered, benign, quantised, relearned
    from stillknows.answers.recall import facts_said

    job = ModelJob(original, concept_json, dtype, device, checkpoint)
    copy = Copy(job.model.folder, job.tokenizer, job.concept, prompt, job.dtype, job.device)
    if alteration == QUANTISED:
        copies = quantised(copy, settings["bits"])
    else:
        lessons, seed = LoraRelearning(**settings["lessons"]), settings["seed"]
        if alteration == BENIGN:
            copies = benign(copy, [read_json(path) for path in retained], lessons, seed)
        else:
            copies = relearned(copy, lessons, seed)
    found = ask_altered(copy, alteration, copies, **settings["asked"])
    refuse_non_finite(found.association, "logprob", job.model.label)
    made_with = {"prompt": prompt, **settings}
    job.write(association, found.association, EXPOSURE_SCHEMA, made_with)
    job.write(answers, found.answers, RECALL_SCHEMA, made_with)
    log.log(FOUND, f"{job.model.label}, {alteration}: says {facts_said(found.answers, alteration)}")


if __name__ == "__main__":
    run(main)
