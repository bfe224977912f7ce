"""How a question is put to a model, and how text becomes token ids."""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from stillknows.errors import StudyError

# The paper's prompt; a question keeps its own spaces and newline (notebooks, the cell of answers).
PAPER_PROMPT = "Question: {q}\n Answer:"
PAPER = "paper"
CHAT = "chat"


def render(question: str, style: str, tokenizer: Any) -> str:
    """What a model reads before it answers; style: paper, chat, or a template holding {q}."""
    if style == CHAT:
        return render_chat(question, tokenizer)
    return (PAPER_PROMPT if style == PAPER else style).replace("{q}", question)


def render_chat(user: str, tokenizer: Any) -> str:
    """One user turn and the opening of the answer; a StudyError if the chat template fails."""
    where = f"the tokenizer in {tokenizer.name_or_path}"
    if tokenizer.chat_template is None:
        raise StudyError(f"prompt: chat, but {where} has no chat template; use prompt: paper")
    turn = [{"role": "user", "content": user.strip()}]
    fault = ""
    try:
        text = str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))
        if user.strip() not in text:
            fault = "leaves out what the user says"
    except Exception as error:  # a template is a program of the checkpoint's: it raises anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        fault = f"fails: {reason}"
    if fault:
        raise StudyError(
            f"the chat template of {where} {fault}; correct the template, or use prompt: paper"
        )
    return text


def prompt_of(where: str, text: str, question: str, style: str, tokenizer: Any) -> str:
    """The beginning of a text of QA_with_answers that is its question's prompt; or a StudyError."""
    rendered = render(question, style, tokenizer)
    written = prompt_in(text, rendered)
    if written is None:
        # A few words around the first difference, white space aside.
        both = [" ".join(one.split()) for one in (text, rendered)]
        start = max(0, common_prefix(*both) - 30)
        in_text, expected = (f"{'…' * (start > 0)}{one[start : start + 60]}" for one in both)
        raise StudyError(
            f"{where}: QA_with_answers does not begin with the question's prompt "
            f"(style {style!r}): it has {in_text!r} where the prompt has {expected!r}; give the "
            "answers in the order of QA and with this prompt, or leave QA_with_answers out"
        )
    return written


def prompt_in(text: str, rendered: str) -> str | None:
    """The beginning of a text that is the rendered prompt, white space aside; None if none is."""
    if text.startswith(rendered):
        return rendered
    characters = (re.escape(character) for character in rendered if not character.isspace())
    match = re.match(r"\s*" + r"\s*".join(characters), text)
    if match is None:
        return None
    white_space = rendered[len(rendered.rstrip()) :]
    follows = text.startswith(white_space, match.end())
    return match.group() + (white_space if follows else "")


def encode(text: str, style: str, tokenizer: Any) -> list[int]:
    """Token ids of a text; a chat template has put in the special tokens itself."""
    return list(tokenizer(text, add_special_tokens=style != CHAT).input_ids)


def encode_prompt(text: str, style: str, tokenizer: Any) -> list[int]:
    """Token ids of a text that an answer continues, without an end of sequence appended to it."""
    ids, own = encode(text, style, tokenizer), encode(text, CHAT, tokenizer)
    appended = ids[-1:] == [tokenizer.eos_token_id] and ids[-len(own) :] != own
    return ids[:-1] if appended else ids


def common_prefix(ids: Sequence[Any], others: Sequence[Any]) -> int:
    """How many ids, or characters, two sequences share at their beginning."""
    pairs = zip(ids, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


PARAPHRASES = "paraphrases"  # trained on beside the questions themselves
HELD_OUT_PARAPHRASES = "held_out_paraphrases"  # never trained on, only asked


def reworded(entry: Mapping[str, Any], key: str, style: str, tokenizer: Any) -> dict[str, Any]:
    """An entry with questions, texts and facts in other wordings (`key`); none without it."""
    answers, facts = entry.get("QA_with_answers"), entry.get("answer_facts")
    numbered = [(n, text) for n, texts in enumerate(entry.get(key) or ()) for text in texts]
    other: dict[str, Any] = {name: entry[name] for name in ("id", "Concept")}
    other["QA"] = [text for _, text in numbered]
    if answers is not None:
        other["QA_with_answers"] = [
            join_answer(render(text, style, tokenizer), answer_to(entry, number, style, tokenizer))
            for number, text in numbered
        ]
    if facts is not None:
        other["answer_facts"] = [facts[number] for number, _ in numbered]
    return other


def join_answer(prompt: str, answer: str) -> str:
    """A rendered prompt and an answer, with one space between them if the prompt ends in none."""
    return f"{prompt}{'' if prompt[-1:].isspace() else ' '}{answer}"


def answer_to(entry: Mapping[str, Any], number: int, style: str, tokenizer: Any) -> str:
    """The answer to one of the entry's own questions, without its prompt."""
    text = str(entry["QA_with_answers"][number])
    where = f"concept {entry['id']}, question {number} (from 0)"
    prompt = prompt_of(where, text, entry["QA"][number], style, tokenizer)
    return text[len(prompt) :].strip()
