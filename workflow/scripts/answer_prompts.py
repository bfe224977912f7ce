"""Let a model answer what is asked about one concept; compare it with the original, if another."""

from pathlib import Path

from stillknows.answers.answer_table import answer_rows, log_similarity
from stillknows.answers.generate import generate_answers, load_model
from stillknows.answers.prompts import concept_prompts
from stillknows.job import run
from stillknows.parquet_files import ANSWER_SCHEMA, ORIGINAL_SCHEMA
from stillknows.study.model_job import ModelJob


def main(
    *,
    original: Path,
    concept_json: Path,
    prompt: str,
    sets: list[str],
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
    unlearned: Path | None = None,
    original_answers: Path | None = None,
) -> None:
    """Write one row per prompt: the original's answer; or both models' answers and their scores."""
    job = ModelJob(original, concept_json, dtype, device, unlearned)
    prompts = concept_prompts(job.concept, sets, prompt, job.tokenizer)
    model = load_model(job.model.folder, job.dtype, job.device)
    texts = generate_answers(model, job.tokenizer, prompts["ids"].tolist(), new_tokens)
    settings = {"prompt": prompt, "sets": sets, "new_tokens": new_tokens}
    if original_answers is None:
        job.write(answers, prompts.assign(answer=texts), ORIGINAL_SCHEMA, settings)
    else:
        rows = answer_rows(prompts, texts, original_answers)
        job.write(answers, rows, ANSWER_SCHEMA, settings)
        log_similarity(rows)


if __name__ == "__main__":
    run(main)
