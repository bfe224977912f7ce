"""Let an unlearned model answer with a window of the original's states patched in."""

from pathlib import Path

import pandas as pd

from stillknows.answers.answer_table import answer_rows, log_similarity
from stillknows.answers.generate import load_model
from stillknows.answers.patched import all_patches, patched_answers
from stillknows.answers.prompts import concept_prompts, refuse_other_prompts
from stillknows.job import run
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import refuse_other_shapes
from stillknows.parquet_files import ANSWER_SCHEMA
from stillknows.study.model_job import ModelJob


def main(
    *,
    original: Path,
    unlearned: Path,
    original_answers: Path,
    concept_json: Path,
    prompt: str,
    sets: list[str],
    windows: list[str],
    experiments: list[str],
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
) -> None:
    """Write one row per experiment, window (FIRST-LAST, from 0) and prompt, scored as without a
    patch.
    """
    job = ModelJob(original, concept_json, dtype, device, unlearned)
    patches = all_patches(experiments, windows, job.model.layers)
    folders = job.original.folder, job.model.folder
    tokenizers = job.original_tokenizer, job.tokenizer
    others, prompts = (concept_prompts(job.concept, sets, prompt, each) for each in tokenizers)
    refuse_other_prompts(others, prompts, job.model.label)
    refuse_other_shapes(*map(Checkpoint, folders))
    donor, model = (load_model(folder, job.dtype, job.device) for folder in folders)
    ids = prompts["ids"].tolist()
    texts_by_patch = patched_answers(donor, model, tokenizers[1], ids, patches, new_tokens)
    rows = pd.concat(
        answer_rows(prompts, texts, original_answers).assign(**patch._asdict())
        for patch, texts in zip(patches, texts_by_patch, strict=True)
    )
    settings = {"prompt": prompt, "sets": sets, "new_tokens": new_tokens}
    settings |= {"windows": windows, "experiments": experiments}
    job.write(answers, rows, ANSWER_SCHEMA, settings)
    log_similarity(rows)


if __name__ == "__main__":
    run(main)
