"""Let the original read one concept's texts, and keep what it did at every layer."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillknows.device import choose_device, choose_dtype
from stillknows.engine.recording import record, write_recording
from stillknows.engine.streamed_model import StreamedModel
from stillknows.errors import StudyError
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.manifest import read_manifest, tokenizer_folder
from stillknows.models.provenance import input_fields
from stillknows.models.reader import Checkpoint
from stillknows.texts.spans import Text, read_texts

log = logging.getLogger("stillknows")


def main(
    *, original: Path, concept_json: Path, prompt: str, dtype: str, device: str, recording: Path
) -> None:
    """Write the recording; a `StudyError` if the original's logits are not finite numbers."""
    manifest = read_manifest(original)
    tokenizer = load_tokenizer(tokenizer_folder(manifest))
    texts = read_texts(read_json(concept_json), prompt, tokenizer)
    number_format = choose_dtype(dtype, manifest.dtype)
    model = StreamedModel(Checkpoint(manifest.folder), number_format, choose_device(device))
    warn_of_long_texts(model.checkpoint.config, texts)
    tensors = record(model, texts)
    if not tensors["logits"].isfinite().all():
        raise StudyError(
            f"{manifest.label}: not all of its logits are finite numbers in {number_format}: "
            "check its config.json, or set dtype to float32 or bfloat16"
        )
    made_from = input_fields(concept_json, number_format, original=manifest)
    write_recording(recording, tensors, texts, made_from)


def warn_of_long_texts(config: Any, texts: Sequence[Text]) -> None:
    """Log how many texts are longer than the positions that the model was made for."""
    positions = getattr(config, "max_position_embeddings", None)
    lengths = [len(text.ids) for text in texts]
    too_long = sum(length > positions for length in lengths) if positions else 0
    if too_long:
        log.warning(
            f"{too_long} of {len(texts)} texts have more tokens (up to {max(lengths)}) than the "
            f"model has positions (max_position_embeddings: {positions}): its answers to them may "
            "be meaningless"
        )


if __name__ == "__main__":
    run(main)
