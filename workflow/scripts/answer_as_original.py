"""Let the original answer what is asked about one concept, and about other things."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dissect.behaviour.generate import answers_of
from dissect.behaviour.prompts import asked_of
from dissect.checkpoints.manifest import read_manifest
from dissect.checkpoints.tokenizer import load_tokenizer
from dissect.device import choose_device, choose_dtype
from dissect.files import read_json, sha256_of
from dissect.job import job
from dissect.provenance import Stopwatch, checkpoint_fields, machine_fields
from dissect.results.expected import settings_fields
from dissect.results.schema import ORIGINAL_SCHEMA, write_rows
from dissect.texts.answers import load_model


def main(
    *,
    original: Path,
    concept: Path,
    prompt: str,
    sets: Sequence[str],
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
) -> None:
    """Write one row per question: prompt and answer.

    Args:
        original: manifest of the model that answers.
        sets: which of target, completion, unrelated are asked.
    """
    stopwatch = Stopwatch()
    manifest, data = read_manifest(original), read_json(concept)
    tokenizer = load_tokenizer(manifest.folder)
    asked = asked_of(data, sets, prompt, tokenizer)
    model = load_model(manifest.folder, choose_dtype(dtype, manifest.dtype), choose_device(device))
    texts = answers_of(model, tokenizer, asked, new_tokens)
    key = {
        "model": manifest.model,
        "concept": str(data["id"]),
        "concept_name": data["Concept"],
    }
    rows = [
        {**key, "set": one.set, "question": one.question, "prompt": one.prompt, "answer": text}
        for one, text in zip(asked, texts, strict=True)
    ]
    metadata = {
        **checkpoint_fields("original", manifest),
        **machine_fields(str(model.device), str(model.dtype)),
        "data_sha256": sha256_of(concept),
        **settings_fields(prompt=prompt, sets=sets, new_tokens=new_tokens, dtype=dtype),
    }
    table = pd.DataFrame(rows, columns=ORIGINAL_SCHEMA.names)
    write_rows(answers, table, metadata | stopwatch.fields(), ORIGINAL_SCHEMA)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            concept=Path(snakemake.input.concept),
            prompt=snakemake.params.prompt,
            sets=list(snakemake.params.sets),
            new_tokens=snakemake.params.new_tokens,
            dtype=snakemake.params.dtype,
            device=snakemake.resources.device,
            answers=Path(snakemake.output.answers),
        )
