"""What a model is asked: questions on the concept, texts to complete, unrelated questions."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from stillknows.errors import StudyError
from stillknows.terms import COMPLETION, TARGET, UNRELATED
from stillknows.texts.prompts import CHAT, encode_prompt, render, render_chat

log = logging.getLogger("stillknows")

# Set -> the key of the concept file that holds it.
_KEYS = {TARGET: "QA", COMPLETION: "text_completion", UNRELATED: "unrelated_QA"}

# The words of the authors' ConceptVectors benchmark (evaluate_llama.py's inputs).
_COMPLETE = "Please complete the following paragraph: {first_half}"


def concept_prompts(
    concept: Mapping[str, Any], sets: Sequence[str], style: str, tokenizer: Any
) -> pd.DataFrame:
    """All that a model is asked about one concept, in the order of `sets`.

    A set that the concept file does not have is left out, and the log says so.

    Args:
        style: the model's prompt style for questions (texts.prompts.render). A text to complete is
            no question: it is given as plain text, or as the user's turn of a chat.

    Returns:
        set; question, from 0 within its set; prompt, the text that the model reads; ids, its tokens
        as a tuple.
    """
    rows = []
    for name in sets:
        items = concept.get(_KEYS[name]) or []
        if not items:
            log.info("concept %s has no %s: set %s is left out", concept["id"], _KEYS[name], name)
        for number, item in enumerate(items):
            if name != COMPLETION:
                text = render(item, style, tokenizer)
            else:
                text = _COMPLETE.replace("{first_half}", item["First_half"])
                text = render_chat(text, tokenizer) if style == CHAT else text
            rows.append((name, number, text, tuple(encode_prompt(text, style, tokenizer))))
    return pd.DataFrame(rows, columns=["set", "question", "prompt", "ids"])


def refuse_other_prompts(prompts: pd.DataFrame, others: pd.DataFrame, label: str) -> None:
    """Refuse an unlearned checkpoint whose tokenizer reads the prompts differently."""
    differing = prompts[prompts["ids"] != others["ids"]]
    if len(differing):
        first = differing.iloc[0]
        raise StudyError(
            f"{label}: its tokenizer gives other ids than the original's for question "
            f"{first['question']} of set {first['set']}; copy the original's tokenizer files to it"
        )
