"""How a question is put to a model, and how text becomes token ids."""

from pathlib import Path
from typing import Any

from dissect.checkpoints.olmo_legacy import is_legacy_folder
from dissect.errors import DissectError, reason_of
from dissect.files import read_json_object

# The paper's prompt; a question keeps its own spaces and newline (notebooks, the cell of answers).
PAPER_PROMPT = "Question: {q}\n Answer:"
TOKENIZER_CONFIG = "tokenizer_config.json"
PAPER = "paper"
CHAT = "chat"


def load_tokenizer(folder: Path) -> Any:
    """A checkpoint's own tokenizer.

    Raises:
        DissectError: if the folder holds none that can be read, or one that needs Python code of
            its own.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    legacy = is_legacy_folder(folder)
    if not legacy:
        _refuse_code(folder)
    # The tokenizer of a legacy OLMo has a class of ai2-olmo's, a plain one under another name.
    reader = PreTrainedTokenizerFast if legacy else AutoTokenizer
    try:
        tokenizer = reader.from_pretrained(folder, trust_remote_code=False)
        tokenizer("a")  # shows some mistakes that reading does not
    # The tokenizers library raises plain exceptions, and transformers passes them on.
    except Exception as error:
        raise DissectError(
            f"{folder} holds no tokenizer that can be read ({reason_of(error)}); "
            "copy the original's tokenizer files there, or save it again"
        ) from error
    # What is saved of it need not name code that nobody needs.
    tokenizer.init_kwargs.pop("auto_map", None)
    return tokenizer


def _refuse_code(folder: Path) -> None:
    path = folder / TOKENIZER_CONFIG
    # Another class of tokenizer in its place might make other tokens of a text.
    if path.exists() and read_json_object(path).get("auto_map") is not None:
        raise DissectError(
            f"{path} names Python code of its own (auto_map), and such code is never run; save "
            "the tokenizer with a class of transformers, or delete auto_map if tokenizer.json is "
            "complete"
        )


def render(question: str, style: str, tokenizer: Any) -> str:
    """The text that a model reads before it answers.

    Args:
        style: "paper", "chat" (the tokenizer's own chat template), or a template holding {q}.

    Raises:
        DissectError: if the style is "chat" and the tokenizer has no chat template, or one that
            fails.
    """
    if style == CHAT:
        return render_chat(question, tokenizer)
    return (PAPER_PROMPT if style == PAPER else style).replace("{q}", question)


def render_chat(user: str, tokenizer: Any) -> str:
    """One user turn and the opening of the answer, by the tokenizer's chat template.

    Raises:
        DissectError: if the tokenizer has no chat template, or one that fails or leaves out the
            user's turn.
    """
    if tokenizer.chat_template is None:
        raise DissectError(
            f"prompt: chat, but the tokenizer of {tokenizer.name_or_path} has no chat template; "
            "use prompt: paper"
        )
    turn = [{"role": "user", "content": user.strip()}]
    try:
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template is a program of the checkpoint's: it raises anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DissectError(
            f"the chat template of the tokenizer in {tokenizer.name_or_path} fails: {reason}; "
            "correct the template, or use prompt: paper"
        ) from error
    if user.strip() not in str(text):
        raise DissectError(
            f"the chat template of the tokenizer in {tokenizer.name_or_path} leaves out what the "
            "user says; correct the template, or use prompt: paper"
        )
    return str(text)


def encode(text: str, style: str, tokenizer: Any) -> list[int]:
    """Token ids of a text; a chat template has put in the special tokens itself."""
    return list(tokenizer(text, add_special_tokens=style != CHAT).input_ids)
