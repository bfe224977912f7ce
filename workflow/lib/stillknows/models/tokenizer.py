"""A checkpoint's tokenizer, read without running any code of the checkpoint's."""

from pathlib import Path
from typing import Any

from stillknows.errors import StudyError, reason_of
from stillknows.files import read_json_object
from stillknows.models.olmo_legacy import is_legacy

TOKENIZER_CONFIG = "tokenizer_config.json"


def load_tokenizer(folder: Path) -> Any:
    """A checkpoint's own tokenizer; a StudyError if it cannot be read, or needs Python code."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    config = folder / "config.json"  # an adapter's folder has none
    legacy = config.is_file() and is_legacy(read_json_object(config))
    path = folder / TOKENIZER_CONFIG
    # Another class of tokenizer in its place might make other tokens of a text.
    if not legacy and path.exists() and read_json_object(path).get("auto_map") is not None:
        raise StudyError(
            f"{path} names Python code of its own (auto_map), and such code is never run; save "
            "the tokenizer with a class of transformers, or delete auto_map if tokenizer.json is "
            "complete"
        )
    # The tokenizer of a legacy OLMo has a class of ai2-olmo's, a plain one under another name.
    reader = PreTrainedTokenizerFast if legacy else AutoTokenizer
    try:
        tokenizer = reader.from_pretrained(folder, trust_remote_code=False)
        tokenizer("a")  # shows some mistakes that reading does not
    # The tokenizers library raises plain exceptions, and transformers passes them on.
    except Exception as error:
        raise StudyError(
            f"{folder} holds no tokenizer that can be read ({reason_of(error)}); "
            "copy the original's tokenizer files there, or save it again"
        ) from error
    # What is saved of it need not name code that nobody needs.
    tokenizer.init_kwargs.pop("auto_map", None)
    return tokenizer
