"""Log-probabilities of facts in one model, beside decoys and about other subjects."""

import logging
from pathlib import Path
from typing import Any

from stillknows.analysis.ranks import facts_found
from stillknows.engine.exposure import measure
from stillknows.engine.streamed_model import StreamedModel
from stillknows.job import FOUND, run
from stillknows.models.reader import Checkpoint
from stillknows.parquet_files import EXPOSURE_SCHEMA, refuse_non_finite
from stillknows.study.model_job import ModelJob
from stillknows.terms import ASSOCIATION, EXPOSURE
from stillknows.texts.decoys import DrawnTexts, draw_decoys, familiar_facts, other_subjects
from stillknows.texts.questions import questions_of

log = logging.getLogger("stillknows")


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    prompt: str,
    drawn: dict[str, Any],
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write one row per question, score and candidate.

    Args:
        original, checkpoint: manifests; of the original, only the number format is used.
        drawn: the config's audit.tests, audit.decoys and audit.subjects.
    """
    job = ModelJob(original, concept_json, dtype, device, checkpoint)
    weights = Checkpoint(job.model.folder)
    asked = questions_of(job.concept, prompt, job.tokenizer)
    questions = list(asked.values())
    decoys: list[DrawnTexts | None] = [None] * len(questions)
    subjects = decoys
    if EXPOSURE in drawn["tests"]:
        decoys = [*draw_decoys(questions, drawn["decoys"])]
    if ASSOCIATION in drawn["tests"]:
        pairs = (draw(questions, drawn["subjects"]) for draw in (other_subjects, familiar_facts))
        subjects = [others or familiar for others, familiar in zip(*pairs, strict=True)]
    log.info(f"{job.model.label}: {len(questions)} facts; tests: {', '.join(drawn['tests'])}")
    host = StreamedModel(weights, job.dtype, job.device)
    rows = measure(host, questions, decoys, subjects, prompt, job.tokenizer)
    refuse_non_finite(rows, "logprob", job.model.label)
    rows["question"] = rows["question"].map(dict(enumerate(asked)))
    job.write(table, rows, EXPOSURE_SCHEMA, {"prompt": prompt, **drawn})
    log.log(FOUND, f"{job.model.label}: {facts_found(rows)}")


if __name__ == "__main__":
    run(main)
