"""How a question is put to a model, and how text becomes token ids."""

from typing import Any

from dissect.errors import DissectError

# The paper's prompt; a question keeps its own spaces and newline (notebooks, the cell of answers).
PAPER_PROMPT = "Question: {q}\n Answer:"
PAPER = "paper"
CHAT = "chat"


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
