"""Did it unlearn? The NLL of the original's own answers, on the concept and on others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stillknows.texts.spans import read_texts
from stillknows.training.scoring import measure
from stillknows.training.texts import TokenizedText

# By how much the NLL of the answers on the concept must rise, in nats per token: at 0.5 the
# original's answers have become less likely by a factor of 1.6 for each of their tokens.
MIN_RISE = 0.5
# And by how many times the rise of the answers on other concepts: below, the model has rather lost
# its language than one concept.
MIN_SELECTIVITY = 2.0


@dataclass(frozen=True)
class Change:
    """NLL of answers before and after, in nats per answer token."""

    before: float
    after: float

    @property
    def rise(self) -> float:
        return self.after - self.before


def answers_of(
    concepts: Mapping[str, Mapping[str, Any]], tokenizer: Any, prompt: str
) -> dict[str, list[TokenizedText]]:
    """The QA_with_answers of each concept that has any; only the answers' tokens count."""
    # The answer span's positions predict the answer's tokens, which stand one to the right.
    return {
        key: [
            TokenizedText(text.ids[: text.answer.stop + 1], skipped=text.answer.start + 1)
            for text in read_texts(concept, prompt, tokenizer)
        ]
        for key, concept in concepts.items()
        if concept.get("QA_with_answers") is not None
    }


def answers_nll(
    model: Any, answers: Mapping[str, Sequence[TokenizedText]], pad: int
) -> dict[str, float]:
    """For each concept, the mean over questions of the answer's mean NLL per token, in nats."""
    nlls = {}
    for key, texts in answers.items():
        counts = torch.tensor([text.counted for text in texts])
        nlls[key] = -float((measure(model, texts, pad).double() / counts).mean())
    return nlls


def judge(own: Change, others: Mapping[str, Change]) -> tuple[bool, str]:
    """Whether a concept was unlearned, by the answers on it and on others; and why, with numbers.

    Without others, MIN_RISE alone decides.
    """
    seen = (
        "the NLL of the original's answers on the concept changed "
        f"from {own.before:.2f} to {own.after:.2f} nats per token"
    )
    enough = own.rise >= MIN_RISE
    if not others:
        seen += " (no other concept has answers to compare with)"
    else:
        rise = sum(change.rise for change in others.values()) / len(others)
        enough = enough and own.rise >= MIN_SELECTIVITY * rise
        seen += f"; that of its answers on {', '.join(sorted(others))} changed by {rise:+.2f}"
    if enough:
        return True, f"unlearned: {seen}"
    selective = f" and of at least {MIN_SELECTIVITY:g} times the others' rise" if others else ""
    return False, (
        f"NOT unlearned: {seen}; required: a rise of at least {MIN_RISE:g}{selective}; "
        "change the recipe (learning_rate, steps)"
    )
