"""Let an unlearned model answer with a window of the original's states put back into it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dissect.behaviour.answer_table import answer_rows, original_texts, report
from dissect.behaviour.patched import patched_answers
from dissect.behaviour.prompts import asked_of, refuse_other_prompts
from dissect.behaviour.settings import settings_of
from dissect.checkpoints.manifest import read_manifest
from dissect.checkpoints.reader import Checkpoint
from dissect.checkpoints.tokenizer import load_tokenizer
from dissect.checkpoints.verify import refuse_other_shapes
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
    windows: Sequence[str],
    experiments: Sequence[str],
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
) -> None:
    """Write one row per experiment, window and question, scored as without a patch.

    Args:
        original, unlearned: manifests of the two models.
        original_answers: what answer_as_original wrote.
        windows: each FIRST-LAST, both included, layers counted from 0.
    """
    stopwatch = Stopwatch()
    original_manifest, unlearned_manifest = read_manifest(original), read_manifest(unlearned)
    settings = settings_of(experiments, windows, unlearned_manifest.layers)
    data = read_json(concept)
    tokenizer = load_tokenizer(unlearned_manifest.folder)
    asked = asked_of(data, sets, prompt, tokenizer)
    others = asked_of(data, sets, prompt, load_tokenizer(original_manifest.folder))
    refuse_other_prompts(others, asked, unlearned_manifest.label)
    refuse_other_shapes(Checkpoint(original_manifest.folder), Checkpoint(unlearned_manifest.folder))
    loaded = choose_dtype(dtype, original_manifest.dtype), choose_device(device)
    donor, model = (
        load_model(original_manifest.folder, *loaded),
        load_model(unlearned_manifest.folder, *loaded),
    )
    answers_of_settings = patched_answers(donor, model, tokenizer, asked, settings, new_tokens)
    reference = original_texts(read_table(original_answers, ORIGINAL_SCHEMA))
    rows = [
        row
        for setting, texts in zip(settings, answers_of_settings, strict=True)
        for row in answer_rows(unlearned_manifest, data, asked, texts, reference, setting)
    ]
    fields = settings_fields(
        windows=windows,
        experiments=experiments,
        prompt=prompt,
        sets=sets,
        new_tokens=new_tokens,
        dtype=dtype,
    )
    metadata = {
        **checkpoint_fields("original", original_manifest),
        **checkpoint_fields("unlearned", unlearned_manifest),
        **machine_fields(str(model.device), str(model.dtype)),
        "data_sha256": sha256_of(concept),
        **fields,
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
            windows=list(snakemake.params.windows),
            experiments=list(snakemake.params.experiments),
            new_tokens=snakemake.params.new_tokens,
            dtype=snakemake.params.dtype,
            device=snakemake.resources.device,
            answers=Path(snakemake.output.answers),
        )
