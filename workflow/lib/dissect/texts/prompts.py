"""How a question is put to a model, and how text becomes token ids."""

from pathlib import Path
from typing import Any

from dissect.checkpoints.olmo_legacy import is_legacy_folder
from dissect.errors import DissectError

# The paper's prompt; a question keeps its own spaces and newline (notebooks, the cell of answers).
PAPER_PROMPT = "Question: {q}\n Answer:"
PAPER = "paper"
CHAT = "chat"


def load_tokenizer(folder: Path) -> Any:
    """A checkpoint's own tokenizer.

    Raises:
        DissectError: if the folder holds none that can be read.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        if is_legacy_folder(folder):
            # Its tokenizer's class is ai2-olmo's, a plain one under a name of its own; what is
            # saved of it need not name code that nobody needs.
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
            tokenizer.init_kwargs.pop("auto_map", None)
            return tokenizer
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DissectError(f"{folder} holds no tokenizer that can be read: {reason}") from None


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
        DissectError: if the tokenizer has no chat template, or one that fails.
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
    return str(text)


def encode(text: str, style: str, tokenizer: Any) -> list[int]:
    """Token ids of a text; a chat template has put in the special tokens itself."""
    return list(tokenizer(text, add_special_tokens=style != CHAT).input_ids)
