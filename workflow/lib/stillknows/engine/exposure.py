"""Exposure and association: how probable a model holds a fact, beside decoys and other subjects.

Exposure: after the question and the true beginning of the answer, the fact's mean log-probability
per token beside that of each decoy. Association: that of the fact after the question about its own
subject, beside that after the same question about each other subject; without a subject, beside
that of the facts of other questions.

All candidates of a fact begin alike, so they are one token tree: the beginning is read once, and a
candidate adds its own few tokens, which attend to the beginning's keys and values.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from stillknows.engine.runs import TOKENS_PER_CALL, MicroBatches, TreeLayers
from stillknows.engine.streamed_model import StreamedModel
from stillknows.engine.token_tree import TokenTree, token_trees
from stillknows.terms import ASSOCIATION, CORRECTED, EXPOSURE
from stillknows.texts.decoys import FAMILIAR, DrawnTexts
from stillknows.texts.prompts import join_answer, render
from stillknows.texts.questions import Question, replace_subject
from stillknows.texts.spans import FactText, fact_texts

log = logging.getLogger("stillknows")

TREE_TOKENS = 1280  # candidates add few tokens each: large trees make large products
# Hidden states of one pass through the layers: 0.5 GiB for 4096 values of 16 bits per token.
TOKENS_PER_PASS = 2**16
LOGITS_PER_CALL = 2**24  # positions x vocabulary, in float32, and their logarithms: 128 MiB


def measure(
    host: StreamedModel,
    questions: Sequence[Question],
    decoys: Sequence[DrawnTexts | None],
    subjects: Sequence[DrawnTexts | None],
    style: str,
    tokenizer: Any,
) -> pd.DataFrame:
    """Log-probabilities of all candidates of all questions, by one checkpoint.

    Args:
        decoys, subjects: per question, as texts.decoys draws them; subjects: or familiar facts.
        style: of the prompt, as in `texts.prompts.render`.

    Returns:
        One row per question, score ("exposure", "association") and candidate, the true one first:
        question (from 0), score, rule, fact (the true one), candidate (a fact or a subject),
        is_true, is_in_file (whether it is another question's subject), tokens, logprob (the mean
        over the fact's tokens, in nats), logprob_lowest (the lowest of them).

    Raises:
        StudyError: for a text that is too long for the model, or a fact without a token.
    """
    rows: list[dict[str, Any]] = []
    texts: list[FactText] = []
    subjects_in_file = {question.subject for question in questions}
    for number, question in enumerate(questions):
        for score, drawn in ((EXPOSURE, decoys[number]), (ASSOCIATION, subjects[number])):
            if drawn is None:
                continue
            are_subjects = score == ASSOCIATION and drawn.rule != FAMILIAR
            candidates = [question.subject if are_subjects else question.fact, *drawn.texts]
            texts += _candidate_texts(question, are_subjects, candidates, style, tokenizer)
            rows += [
                {"question": number, "score": score, "rule": drawn.rule, "fact": question.fact}
                | {"candidate": candidate, "is_true": place == 0}
                | {"is_in_file": are_subjects and place > 0 and candidate in subjects_in_file}
                for place, candidate in enumerate(candidates)
            ]
    table = pd.DataFrame(rows).astype({"is_in_file": bool})
    logprobs = fact_logprobs(host, texts)
    return table.assign(
        tokens=[len(text.fact) for text in texts],
        logprob=[float(tokens.mean()) for tokens in logprobs],
        logprob_lowest=[float(tokens.min()) for tokens in logprobs],
    )


def _candidate_texts(
    question: Question, are_subjects: bool, candidates: Sequence[Any], style: str, tokenizer: Any
) -> Iterator[FactText]:
    """The texts of one question, each tokenized as a whole, as the study's own texts are."""
    questions, facts, answers = [], [], []
    for candidate in candidates:
        parts = [question.question, question.beginning, question.ending]
        fact = candidate
        if are_subjects:
            fact = question.fact
            parts = [replace_subject(part, str(question.subject), candidate) for part in parts]
        text, beginning, ending = parts
        questions.append(text)
        facts.append(fact)
        answers.append(join_answer(render(text, style, tokenizer), f"{beginning}{fact}{ending}"))
    concept = {"id": question.question, "QA": questions, "QA_with_answers": answers}
    yield from fact_texts(concept | {"answer_facts": facts}, CORRECTED, style, tokenizer).values()


@torch.inference_mode()
def fact_logprobs(host: StreamedModel, texts: Sequence[FactText]) -> list[Tensor]:
    """The log-probabilities of each text's fact, in nats, (tokens,).

    Texts that begin alike should follow each other. Each layer's weights are read once per pass of
    TOKENS_PER_PASS tokens. NaN where the model computes no number.
    """
    logprobs: list[Tensor] = []
    # A fact's last token predicts nothing, so nothing of it is read after that.
    trees = token_trees([text.ids[: text.fact.stop] for text in texts], TREE_TOKENS)
    per_pass = TOKENS_PER_PASS // TREE_TOKENS
    for start in range(0, len(trees), per_pass):
        logprobs += _one_pass(host, texts, trees[start : start + per_pass])
    return logprobs


def _one_pass(
    host: StreamedModel, texts: Sequence[FactText], trees: Sequence[TokenTree]
) -> Iterator[Tensor]:
    """`fact_logprobs` of the texts of some trees, in the order of the trees."""
    calls = MicroBatches(TOKENS_PER_CALL)
    predicting = [
        sorted({index for text in tree.texts for index in tree.at(text, texts[text].fact)})
        for tree in trees
    ]
    with host.embedding() as embed:
        runs = [
            TreeLayers(embed(tree), calls, indices)
            for tree, indices in zip(trees, predicting, strict=True)
        ]
    states = [{0: run.inputs.hidden} for run in runs]
    for index, layer in host.stream_layers():
        for run, row in zip(runs, states, strict=True):
            run.pass_layer(index, layer, row)
        log.info("layer %d of %d", index + 1, host.n_layers)
    with host.lm_head() as head:
        for tree, indices, run, row in zip(trees, predicting, runs, states, strict=True):
            place_of = {index: place for place, index in enumerate(indices)}
            tokens = [
                (place_of[index], texts[text].ids[position + 1])
                for text in tree.texts
                for position, index in zip(
                    texts[text].fact, tree.at(text, texts[text].fact), strict=True
                )
            ]
            logprobs = _logprobs(host, head, run.outputs(row[0]), tokens)
            sizes = [len(texts[text].fact) for text in tree.texts]
            yield from logprobs.split(sizes)


def _logprobs(
    host: StreamedModel, head: Any, outputs: Tensor, tokens: Sequence[tuple[int, int]]
) -> Tensor:
    """The log-probability of each token, in float64 of a float32 log-softmax.

    Args:
        outputs: of the last layer, (1, places, hidden).
        tokens: (place that predicts it, token id) each.
    """
    places, ids = torch.tensor(tokens, device=outputs.device).T
    result = torch.empty(len(tokens), dtype=torch.float64)
    calls = MicroBatches(LOGITS_PER_CALL // host.checkpoint.config.vocab_size)
    start = 0
    for batch in calls(
        lambda batch: head(batch)[:, 0].float().log_softmax(-1), outputs.transpose(0, 1).split(1)
    ):
        in_batch = (places >= start) & (places < start + len(batch))
        result[in_batch.cpu()] = batch[places[in_batch] - start, ids[in_batch]].double().cpu()
        start += len(batch)
    return result
