"""What is asked of a model: questions on the concept, texts to complete, unrelated questions."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillknows.errors import StudyError
from stillknows.terms import COMPLETION, TARGET, UNRELATED
from stillknows.texts.prompts import CHAT, encode_prompt, render, render_chat

log = logging.getLogger("stillknows")

# Set -> the key of the concept file that holds it.
KEYS = {TARGET: "QA", COMPLETION: "text_completion", UNRELATED: "unrelated_QA"}

# The sister benchmark's words (ConceptVectors, evaluate_llama.py's inputs).
COMPLETE = "Please complete the following paragraph: {first_half}"


@dataclass(frozen=True)
class Asked:
    """One thing that a model is asked: `question` counts from 0 within its set."""

    set: str
    question: int
    prompt: str  # the text that the model reads
    ids: tuple[int, ...]


def asked_of(
    concept: Mapping[str, Any], sets: Sequence[str], style: str, tokenizer: Any
) -> list[Asked]:
    """All that a model is asked about one concept, in the order of `sets`.

    A set that the concept file does not have is left out, and the log says so.

    Args:
        style: the model's prompt style, which puts questions (texts.prompts.render). A text to
            complete is no question: it is given as plain text, or as the user's turn of a chat.
    """
    asked = []
    for name in sets:
        items = concept.get(KEYS[name]) or []
        if not items:
            log.info("concept %s has no %s: set %s is left out", concept["id"], KEYS[name], name)
        for number, item in enumerate(items):
            prompt = _prompt(name, item, style, tokenizer)
            ids = encode_prompt(prompt, style, tokenizer)
            asked.append(Asked(name, number, prompt, tuple(ids)))
    return asked


def refuse_other_prompts(asked: Sequence[Asked], others: Sequence[Asked], label: str) -> None:
    """Refuse an unlearned checkpoint whose tokenizer reads the prompts differently."""
    for one, other in zip(asked, others, strict=True):
        if one.ids != other.ids:
            raise StudyError(
                f"{label}: its tokenizer gives other ids than the original's for question "
                f"{one.question} of set {one.set}; copy the original's tokenizer files to it"
            )


def _prompt(name: str, item: Any, style: str, tokenizer: Any) -> str:
    if name != COMPLETION:
        return render(item, style, tokenizer)
    text = COMPLETE.replace("{first_half}", item["First_half"])
    return render_chat(text, tokenizer) if style == CHAT else text
