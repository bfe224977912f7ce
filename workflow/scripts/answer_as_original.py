"""Let the original answer what is asked about one concept, and about other things."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from stillknows.answers.generate import answers_of
from stillknows.answers.original_answers import load_model
from stillknows.answers.prompts import asked_of
from stillknows.device import choose_device, choose_dtype
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest
from stillknows.models.provenance import Stopwatch, result_fields
from stillknows.models.tokenizer import load_tokenizer
from stillknows.parquet_files import ORIGINAL_SCHEMA, write_rows
from stillknows.study.expected import settings_fields


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
) -> None:
    """Write one row per question: prompt and answer; `original` is the model's manifest."""
    stopwatch = Stopwatch()
    manifest, data = read_manifest(original), read_json(concept_json)
    tokenizer = load_tokenizer(manifest.folder)
    asked = asked_of(data, sets, prompt, tokenizer)
    model = load_model(manifest.folder, choose_dtype(dtype, manifest.dtype), choose_device(device))
    texts = answers_of(model, tokenizer, asked, new_tokens)
    key = {"model": manifest.model, "concept": str(data["id"]), "concept_name": data["Concept"]}
    settings = settings_fields(prompt=prompt, sets=sets, new_tokens=new_tokens, dtype=dtype)
    metadata = result_fields(concept_json, manifest, device=model.device, dtype=model.dtype)
    metadata |= settings | stopwatch.fields()
    rows = pd.DataFrame(map(asdict, asked)).assign(**key, answer=texts)
    write_rows(answers, rows.reindex(columns=ORIGINAL_SCHEMA.names), metadata, ORIGINAL_SCHEMA)


if __name__ == "__main__":
    run(main)
