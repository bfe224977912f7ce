"""The form "published" against a transcription of the published script, on unusual answers.

The script is compute_uds.py in gnueaj/unlearning-depth-score at fc31639: whole forward passes, in
which a hook replaces the output of one layer. The fixture uds_golden, which the script itself made,
has only answers in which one space is between a text and its fact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_depth import KEYS
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from golden_uds import BYTE_LEVEL, CHECKPOINTS, PROMPT
from stillknows.analysis.collect import with_reference
from stillknows.analysis.depth import uds
from stillknows.engine.depth import measure
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.reader import Checkpoint, load_model
from stillknows.texts.spans import fact_texts
from tiny_sweeps import CPU, model_of

# Checkpoints: their folder, the copy's name and the reference's.
MODELS = {
    "llama": (CHECKPOINTS, "dpo_901", "grad_diff_901"),
    "byte_level": (BYTE_LEVEL, "dpo_903", "grad_diff_903"),
}
# Question, answer and fact.
ITEMS = {
    "at the beginning": ("Who began it?", "Ilsa Varn.", "Ilsa Varn"),
    "after a quotation mark": ("What is it called?", '"Quill" is on its side.', "Quill"),
    "with its quotation mark": ("What is it called?", '"Quill" is on its side.', '"Quill'),
    "after two spaces": ("Where is it held?", "It is held in  Ombrey.", "Ombrey"),
    "after a newline": ("Which towns?", "There are two:\nOmbrey and Nether Cup.", "Ombrey"),
    "after a tab": ("Which bread?", "This bread:\tplum bread", "plum bread"),
    "begins with spaces": ("Which boat?", "It is the  Quill.", "  Quill"),
    "ends in a space": ("Which boat?", "It is the old  Quill.", "the old  "),
    "inside a word": ("What falls?", "Some rainwater.", "water"),
    "twice": ("Where is it held?", "In Ombrey, and only in Ombrey.", "Ombrey"),
    "one token": ("How many nights does it last?", "It lasts 7 nights.", "7"),
    "many tokens": (
        "What do they sell?",
        "It is bread with salt seeds and honey.",
        "salt seeds and honey",
    ),
    "before punctuation": ("What colour is it?", "It is green; the bell is not.", "green"),
}


@dataclass(frozen=True)
class Scored:
    """A text of the script: its ids, and the positions that predict the fact's tokens."""

    ids: Tensor
    fact: slice

    def logprob(self, logits: Tensor) -> float:
        """The mean over the fact's tokens, of the logits at all positions."""
        following = self.ids[self.fact.start + 1 : self.fact.stop + 1]
        return float(logits[self.fact].log_softmax(-1).gather(-1, following[:, None]).mean())


def scored(tokenizer: Any, question: str, answer: str, fact: str) -> Scored:
    """As the script makes a text from an item whose prefix is what precedes the fact, stripped."""
    prefix = answer[: answer.find(fact)].rstrip()
    prompt, rest = f"Question: {question}\nAnswer: {prefix}", answer[len(prefix) :]
    if not rest[0].isspace() and not prompt[-1].isspace():
        rest = " " + rest
    encoded = tokenizer(rest, add_special_tokens=False, return_offsets_mapping=True)
    start = rest.find(fact)
    stop = start + len(fact)
    offsets = enumerate(encoded.offset_mapping)
    tokens = [number for number, (first, end) in offsets if end > start and first < stop]
    ids = tokenizer.encode(prompt)
    positions = slice(len(ids) - 1 + min(tokens), len(ids) + max(tokens))
    return Scored(torch.tensor([*ids, *encoded.input_ids]), positions)


@torch.no_grad()
def patched(full: Any, donor: Any, texts: list[Scored]) -> np.ndarray:
    """(texts, layers) log-probabilities, the donor's hidden states patched in after each layer.

    Texts are padded on the right, where no position of a fact attends to.
    """
    ids = pad_sequence([text.ids for text in texts], batch_first=True)
    states = donor(ids, output_hidden_states=True).hidden_states
    scores = []
    for number, layer in enumerate(full.model.layers):

        def replace(_module: Any, _inputs: Any, output: Tensor, number: int = number) -> Tensor:
            output = output.clone()
            for row, text in enumerate(texts):
                output[row, text.fact] = states[number + 1][row, text.fact]
            return output

        hook = layer.register_forward_hook(replace)
        of_texts = zip(texts, full(ids).logits, strict=True)
        scores.append([text.logprob(logits) for text, logits in of_texts])
        hook.remove()
    return np.array(scores).T


def published_uds(loss_retain: np.ndarray, loss_copy: np.ndarray) -> float:
    """Of one text, whose fact losses are per layer; not a number where no layer counts."""
    counts = loss_retain > 0.05
    if not counts.any():
        return np.nan
    ratio = np.clip(loss_copy[counts] / loss_retain[counts], 0, 1)
    return float((loss_retain[counts] * ratio).sum() / loss_retain[counts].sum())


def by_script(models: str) -> tuple[list[Scored], dict[str, np.ndarray]]:
    """The items' texts, and (texts, layers) scores by their column in tables/depth.parquet."""
    folder, copy, reference = MODELS[models]
    tokenizer = load_tokenizer(folder / "original")
    texts = [scored(tokenizer, *item) for item in ITEMS.values()]
    full, unlearned, retain = (
        load_model(Checkpoint(folder / name), torch.float32, CPU).eval()
        for name in ("original", copy, reference)
    )
    with torch.no_grad():
        unpatched = [text.logprob(full(text.ids[None]).logits[0]) for text in texts]
    of_reference, of_copy = (patched(full, donor, texts) for donor in (retain, unlearned))
    of_original = np.tile(unpatched, (of_copy.shape[1], 1)).T
    columns = ("logprob_original", "logprob_reference", "logprob_copy")
    return texts, dict(zip(columns, (of_original, of_reference, of_copy), strict=True))


def by_workflow(models: str) -> pd.DataFrame:
    """Rows of tables/depth.parquet."""
    folder, copy, reference = MODELS[models]
    questions, answers, facts = zip(*ITEMS.values(), strict=True)
    texts = [f"Question: {q}\nAnswer: {a}" for q, a in zip(questions, answers, strict=True)]
    concept = {"id": "901", "QA": questions, "QA_with_answers": texts, "answer_facts": facts}
    tokenizer = load_tokenizer(folder / "original")
    read = {"published": fact_texts(concept, "published", PROMPT, tokenizer)}
    original = model_of(folder / "original")
    of_copy, of_reference = (
        measure(original, model_of(folder / name), read).assign(**KEYS)
        for name in (copy, reference)
    )
    return with_reference(of_copy, of_reference)


@pytest.mark.parametrize("models", MODELS)
def test_unusual_answers_score_as_in_the_published_script(models: str) -> None:
    texts, columns = by_script(models)
    depth = by_workflow(models)
    of_questions = uds(depth).dropna(subset="question").set_index("question")["uds"]
    assert len(of_questions) == len(ITEMS)
    for number, (name, text) in enumerate(zip(ITEMS, texts, strict=True)):
        rows = depth[depth["question"] == number]
        assert rows["layer"].tolist() == list(range(32)), name
        assert (rows["tokens"] == text.fact.stop - text.fact.start).all(), name
        of_original, of_reference, of_copy = (scores[number] for scores in columns.values())
        for column, scores in columns.items():
            np.testing.assert_allclose(rows[column], scores[number], atol=1e-4, err_msg=name)
        expected = published_uds(of_original - of_reference, of_original - of_copy)
        assert of_questions[number] == pytest.approx(expected, abs=1e-4, nan_ok=True), name
