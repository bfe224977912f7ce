"""The texts of a training: paragraphs, as tokens, in a fixed order of forget-retain pairs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from stillknows.errors import StudyError
from stillknows.texts.prompts import (
    CHAT,
    PAPER,
    PARAPHRASES,
    encode,
    encode_prompt,
    join_answer,
    render,
    render_chat,
    reworded,
)
from stillknows.texts.spans import read_texts

PARAGRAPH_CHARACTERS = 400  # a paragraph ends at the first sentence end beyond so many
CHAT_REQUEST = "Tell me about {concept}."
IGNORED = -100  # the label of a position that the loss does not count

# After . ? or ! and white space, but not within "e.g.", "J.K. Rowling" or "Dr. Watson".
_SENTENCE_END = re.compile(r"(?<!\w\.\w.)(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)(?<=[.?!])\s+")


@dataclass(frozen=True)
class TokenizedText:
    """A tokenized text: its ids, and how many leading ones (at least 1) the loss leaves out."""

    ids: tuple[int, ...]
    skipped: int

    @property
    def counted(self) -> int:
        """How many tokens the loss counts."""
        return len(self.ids) - self.skipped


@dataclass(frozen=True)
class Material:
    """All texts of one training."""

    forget: list[TokenizedText]
    retain: list[TokenizedText]
    held_out: list[TokenizedText]  # never trained on, only measured


def answers_of(
    entry: Mapping[str, Any],
    tokenizer: Any,
    *,
    prompt: str,
    max_length: int,
    answer: str | None = None,
) -> list[TokenizedText]:
    """A concept's questions with their answers, of which the loss counts the answers to their end.

    Then the same for the questions' paraphrases, if the concept has any.

    Args:
        answer: what every question is answered with; None: its own answer in QA_with_answers.
    """
    if answer is None and entry.get("QA_with_answers") is None:
        raise StudyError(
            f"training on answers: concept {entry['id']} has no QA_with_answers; add them to the "
            "concept file"
        )
    tokenized = []
    wordings = [entry, reworded(entry, PARAPHRASES, prompt, tokenizer)]
    if answer is not None:
        questions = [question for wording in wordings for question in wording["QA"]]
        texts = [join_answer(render(text, prompt, tokenizer), answer) for text in questions]
        wordings = [{"id": entry["id"], "QA": questions, "QA_with_answers": texts}]
    read = chain(*(read_texts(wording, prompt, tokenizer) for wording in wordings))
    for number, text in enumerate(read):
        ids = (*text.ids[: text.answer.stop + 1], tokenizer.eos_token_id)[:max_length]
        # The answer span's positions predict the answer's tokens, which stand one to the right.
        tokenized.append(TokenizedText(ids, skipped=text.answer.start + 1))
        if tokenized[-1].counted < 1:
            raise StudyError(
                f"training on answers: max_length {max_length} leaves nothing of the answer to "
                f"text {number} of {entry['id']} (from 0: questions, then paraphrases); increase it"
            )
    return tokenized


def paragraphs_of(
    entry: Mapping[str, Any], tokenizer: Any, *, prompt: str, max_length: int
) -> list[TokenizedText]:
    """A concept's wikipedia_content as tokenized paragraphs, each cut to `max_length` tokens.

    Args:
        prompt: the model's prompt style. "chat" makes a chat turn of each paragraph (user: "Tell me
            about X.", assistant: the paragraph) and counts the paragraph only; any other style
            takes the plain text with the tokenizer's own special tokens and an end-of-sequence
            token where it was not cut, as published.
    """
    content = entry.get("wikipedia_content")
    if not isinstance(content, str) or not content.strip():
        raise StudyError(
            f"unlearning: concept {entry['id']} has no wikipedia_content; "
            "a concept that is unlearned, retained or held out in a training needs that text: "
            "add it to the concept file"
        )
    head: list[int] = []
    if prompt == CHAT:
        request = CHAT_REQUEST.format(concept=entry["Concept"])
        head = encode_prompt(render_chat(request, tokenizer), CHAT, tokenizer)
    texts = []
    for paragraph in paragraphs(content):
        ids = head + encode(paragraph, CHAT if head else PAPER, tokenizer)
        if not head and ids[-1] != tokenizer.eos_token_id:
            ids.append(tokenizer.eos_token_id)
        texts.append(TokenizedText(tuple(ids[:max_length]), skipped=len(head) or 1))
    if any(text.counted < 1 for text in texts):
        raise StudyError(
            f"unlearning: max_length {max_length} leaves nothing of a paragraph on "
            f"{entry['id']}; increase it"
        )
    return texts


def paragraphs(content: str) -> list[str]:
    """Cut a text at sentence ends into paragraphs of over PARAGRAPH_CHARACTERS characters.

    The last paragraph may be shorter. Source: ConceptVectors, data_module.py; there the sentences
    of a paragraph are joined without a space, here with one.
    """
    finished, current = [], ""
    for sentence in _SENTENCE_END.split(content.strip()):
        current = f"{current} {sentence}".strip()
        if len(current) > PARAGRAPH_CHARACTERS:
            finished.append(current)
            current = ""
    return [*finished, current] if current else finished


def orders(forget: int, retain: int, count: int, seed: int) -> tuple[list[int], list[int]]:
    """The first `count` forget and retain texts of a training, paired by position; by the seed.

    Of `forget` and `retain` texts; of none, the order is empty. Both lists are walked in rounds,
    each with every text once, in a shuffled order: a forget text meets another retain text in each.
    """
    generator = torch.Generator().manual_seed(seed)
    both: tuple[list[int], list[int]] = ([], [])
    for order, texts in zip(both, (forget, retain), strict=True):
        while texts and len(order) < count:
            order += torch.randperm(texts, generator=generator).tolist()
    return both[0][:count], both[1][:count]


def collate(texts: Sequence[TokenizedText], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pad on the right; returns input ids, attention mask and labels, each (texts, tokens).

    A label is the id at the same position, or IGNORED where the loss does not count it.
    """
    ids = pad_sequence([torch.tensor(text.ids) for text in texts], True, pad)
    positions = torch.arange(ids.shape[1])
    is_read = positions < torch.tensor([[len(text.ids)] for text in texts])
    is_counted = is_read & (positions >= torch.tensor([[text.skipped] for text in texts]))
    return ids, is_read.long(), ids.where(is_counted, IGNORED)
