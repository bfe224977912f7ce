"""Let an unlearned model answer what the original was asked, and compare the answers."""

from pathlib import Path

from stillknows.answers.answer_table import answer_rows, original_texts, write_answers
from stillknows.answers.generate import answers_of
from stillknows.answers.original_answers import load_model
from stillknows.answers.prompts import asked_of
from stillknows.device import choose_device, choose_dtype
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest
from stillknows.models.provenance import Stopwatch, result_fields
from stillknows.models.tokenizer import load_tokenizer
from stillknows.study.expected import settings_fields


def main(
    *,
    original: Path,
    unlearned: Path,
    original_answers: Path,
    concept_json: Path,
    prompt: str,
    sets: list[str],
    new_tokens: int,
    dtype: str,
    device: str,
    answers: Path,
) -> None:
    """Write one row per question: both models' answers, BLEU and ROUGE-L.

    Args:
        original, unlearned: manifests; of the original, only the number format is used.
        original_answers: what answer_as_original wrote.
    """
    stopwatch = Stopwatch()
    original_manifest, unlearned_manifest = read_manifest(original), read_manifest(unlearned)
    data = read_json(concept_json)
    reference = original_texts(original_answers)
    tokenizer = load_tokenizer(unlearned_manifest.folder)
    asked = asked_of(data, sets, prompt, tokenizer)
    number_format = choose_dtype(dtype, original_manifest.dtype)
    model = load_model(unlearned_manifest.folder, number_format, choose_device(device))
    texts = answers_of(model, tokenizer, asked, new_tokens)
    rows = answer_rows(unlearned_manifest, data, asked, texts, reference)
    settings = settings_fields(prompt=prompt, sets=sets, new_tokens=new_tokens, dtype=dtype)
    metadata = result_fields(
        concept_json, original_manifest, unlearned_manifest, device=model.device, dtype=model.dtype
    )
    write_answers(answers, rows, metadata | settings | stopwatch.fields())


if __name__ == "__main__":
    run(main)
