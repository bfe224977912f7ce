"""Let an unlearned model answer what the original was asked, and hold it against that."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dissect.behaviour.answer_table import answer_rows, original_texts, report
from dissect.behaviour.generate import answers_of
from dissect.behaviour.prompts import asked_of
from dissect.checkpoints.manifest import read_manifest
from dissect.checkpoints.tokenizer import load_tokenizer
from dissect.device import choose_device, choose_dtype
from dissect.files import read_json, sha256_of
from dissect.job import job
from dissect.provenance import Stopwatch, checkpoint_fields, machine_fields
from dissect.results.expected import settings_fields
from dissect.results.schema import ANSWER_SCHEMA, ORIGINAL_SCHEMA, read_table, write_rows
from dissect.texts.answers import load_model


def main(
    *,
    original: Path,
    unlearned: Path,
    original_answers: Path,
    concept: Path,
    prompt: str,
    sets: Sequence[str],
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
) -> None:
    """Write one row per question: both models' answers, BLEU and ROUGE-L.

    Args:
        original: manifest of the model that unlearned; `dtype: checkpoint` is its number format.
        unlearned: manifest of the model that answers.
        original_answers: what answer_as_original wrote.
        sets: which of target, completion, unrelated are asked.
    """
    stopwatch = Stopwatch()
    original_manifest, unlearned_manifest = read_manifest(original), read_manifest(unlearned)
    data = read_json(concept)
    reference = original_texts(read_table(original_answers, ORIGINAL_SCHEMA))
    tokenizer = load_tokenizer(unlearned_manifest.folder)
    asked = asked_of(data, sets, prompt, tokenizer)
    model = load_model(
        unlearned_manifest.folder,
        choose_dtype(dtype, original_manifest.dtype),
        choose_device(device),
    )
    texts = answers_of(model, tokenizer, asked, new_tokens)
    rows = answer_rows(unlearned_manifest, data, asked, texts, reference)
    metadata = {
        **checkpoint_fields("original", original_manifest),
        **checkpoint_fields("unlearned", unlearned_manifest),
        **machine_fields(str(model.device), str(model.dtype)),
        "data_sha256": sha256_of(concept),
        **settings_fields(prompt=prompt, sets=sets, new_tokens=new_tokens, dtype=dtype),
    }
    table = pd.DataFrame(rows, columns=ANSWER_SCHEMA.names)
    write_rows(answers, table, metadata | stopwatch.fields(), ANSWER_SCHEMA)
    report(rows)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            unlearned=Path(snakemake.input.unlearned),
            original_answers=Path(snakemake.input.original_answers),
            concept=Path(snakemake.input.concept),
            prompt=snakemake.params.prompt,
            sets=list(snakemake.params.sets),
            new_tokens=snakemake.params.new_tokens,
            dtype=snakemake.params.dtype,
            device=snakemake.resources.device,
            answers=Path(snakemake.output.answers),
        )
