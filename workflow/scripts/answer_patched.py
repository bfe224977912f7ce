"""Let an unlearned model answer with a window of the original's states patched in."""

from pathlib import Path

from stillknows.answers.answer_table import answer_rows, original_texts, write_answers
from stillknows.answers.original_answers import load_model
from stillknows.answers.patch_settings import settings_of
from stillknows.answers.patched import patched_answers
from stillknows.answers.prompts import asked_of, refuse_other_prompts
from stillknows.device import choose_device, choose_dtype
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest
from stillknows.models.provenance import Stopwatch, result_fields
from stillknows.models.reader import Checkpoint
from stillknows.models.tokenizer import load_tokenizer
from stillknows.models.verify import refuse_other_shapes
from stillknows.study.expected import settings_fields


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
    """Write one row per experiment, window and question, scored as without a patch.

    Args:
        original, unlearned: manifests of the two models.
        original_answers: what answer_as_original wrote.
        windows: each FIRST-LAST, both included, layers counted from 0.
    """
    stopwatch = Stopwatch()
    original_manifest, unlearned_manifest = read_manifest(original), read_manifest(unlearned)
    patches = settings_of(experiments, windows, unlearned_manifest.layers)
    data = read_json(concept_json)
    tokenizer = load_tokenizer(unlearned_manifest.folder)
    asked = asked_of(data, sets, prompt, tokenizer)
    others = asked_of(data, sets, prompt, load_tokenizer(original_manifest.folder))
    refuse_other_prompts(others, asked, unlearned_manifest.label)
    refuse_other_shapes(Checkpoint(original_manifest.folder), Checkpoint(unlearned_manifest.folder))
    loaded = choose_dtype(dtype, original_manifest.dtype), choose_device(device)
    donor = load_model(original_manifest.folder, *loaded)
    model = load_model(unlearned_manifest.folder, *loaded)
    texts_by_patch = patched_answers(donor, model, tokenizer, asked, patches, new_tokens)
    reference = original_texts(original_answers)
    rows = [
        row
        for patch, texts in zip(patches, texts_by_patch, strict=True)
        for row in answer_rows(unlearned_manifest, data, asked, texts, reference, patch)
    ]
    settings = settings_fields(
        windows=windows,
        experiments=experiments,
        prompt=prompt,
        sets=sets,
        new_tokens=new_tokens,
        dtype=dtype,
    )
    metadata = result_fields(
        concept_json, original_manifest, unlearned_manifest, device=model.device, dtype=model.dtype
    )
    write_answers(answers, rows, metadata | settings | stopwatch.fields())


if __name__ == "__main__":
    run(main)
