"""A concept's questions in other words, each with the answer and the fact of its question."""

from collections.abc import Mapping
from typing import Any

from stillknows.texts.prompts import prompt_of, render

PARAPHRASES = "paraphrases"  # trained on beside the questions themselves
HELD_OUT_PARAPHRASES = "held_out_paraphrases"  # never trained on, only asked


def reworded(entry: Mapping[str, Any], key: str, style: str, tokenizer: Any) -> dict[str, Any]:
    """An entry as in a concept file whose questions are another one's in other words.

    Args:
        key: PARAPHRASES or HELD_OUT_PARAPHRASES: per question a list of wordings.

    Returns:
        id, Concept, QA; QA_with_answers and answer_facts where the entry has them. The wordings of
        the first question come first; none, if the entry has no such key.
    """
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
