"""Let the original answer a concept's questions, where its file has no answers."""

from pathlib import Path

from dissect.checkpoints.manifest import read_manifest
from dissect.files import read_json, write_json
from dissect.job import job


def main(
    *,
    original: Path,
    concept: Path,
    prompt: str,
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
) -> None:
    """Write the concept JSON with QA_with_answers, answers_tokens_num and answered_by.

    Args:
        original: manifest of the model that answers.
        dtype: checkpoint, bfloat16, float16 or float32.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    # Seconds of imports, and torch takes its threads from what the job has set.
    from dissect.device import choose_device, choose_dtype
    from dissect.texts.answers import answer_questions

    manifest = read_manifest(original)
    answered = answer_questions(
        manifest.folder,
        read_json(concept),
        prompt=prompt,
        new_tokens=new_tokens,
        dtype=choose_dtype(dtype, manifest.dtype),
        device=choose_device(device),
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
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            concept=Path(snakemake.input.concept),
            prompt=snakemake.params.prompt,
            new_tokens=snakemake.params.new_tokens,
            dtype=snakemake.params.dtype,
            device=snakemake.resources.device,
            answers=Path(snakemake.output.answers),
        )
