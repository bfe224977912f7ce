"""Let an unlearned model answer what the original was asked, and compare the answers."""

from pathlib import Path

from dissect.behaviour.answer_table import answer_rows, original_texts, write_answers
from dissect.behaviour.generate import answers_of
from dissect.behaviour.prompts import asked_of
from dissect.checkpoints.manifest import read_manifest
from dissect.checkpoints.tokenizer import load_tokenizer
from dissect.device import choose_device, choose_dtype
from dissect.files import read_json
from dissect.job import run
from dissect.provenance import Stopwatch, result_fields
from dissect.results.expected import settings_fields
from dissect.texts.answers import load_model


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
