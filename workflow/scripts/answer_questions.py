"""Let the original answer a concept's questions, where its file has no answers."""

from pathlib import Path

from stillknows.files import read_json, write_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest, tokenizer_folder


def main(
    *,
    original: Path,
    concept_json: Path,
    prompt: str,
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
) -> None:
    """Write the concept's JSON with QA_with_answers, answers_tokens_num and answered_by."""
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.answers.original_answers import answer_questions
    from stillknows.device import choose_device, choose_dtype

    manifest = read_manifest(original)
    answered = answer_questions(
        manifest.folder,
        read_json(concept_json),
        prompt=prompt,
        new_tokens=new_tokens,
        dtype=choose_dtype(dtype, manifest.dtype),
        device=choose_device(device),
        tokenizer_folder=tokenizer_folder(manifest),
    )
    answered["answered_by"] = {
        "source": manifest.source,
        "weights_sha256": manifest.weights_sha256,
        "new_tokens": new_tokens,
        "prompt": prompt,
        "dtype": dtype,
    }
    write_json(answers, answered)


if __name__ == "__main__":
    run(main)
