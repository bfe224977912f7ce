"""Exposure and association against whole forwards, one candidate at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest
from test_fact_runs import ALL_FAMILIES
from transformers import AutoModelForCausalLM

from stillknows.analysis.ranks import rank_table
from stillknows.engine import exposure
from stillknows.engine.exposure import measure
from stillknows.texts.decoys import DrawnTexts, draw_decoys, familiar_facts, other_subjects
from stillknows.texts.prompts import render
from stillknows.texts.questions import Question
from tiny import save_tiny, tiny_config, tiny_tokenizer
from tiny_sweeps import model_of

QUESTIONS = [
    Question(
        question=question.format(name),
        answer=answer.format(name, fact=fact),
        fact=fact,
        subject=name,
        decoys=decoys,
    )
    for question, answer, name, fact, decoys in (
        ("Who taught {}?", "{} learned from {fact}, it seems.", "Ilsa", "Max", ["Mo", "Anton"]),
        ("Who taught {}?", "{fact}.", "Berta Tol", "Carl Anders", ["Ben", "Carl Andre", "C"]),
        ("Where is {}?", "In {fact}", "Tolmond", "Kelria", ["Salten", "Kel Ria"]),
    )
]
SUBJECTS = other_subjects(QUESTIONS, 4)
CONFIGS = ALL_FAMILIES | {"llama, tied": tiny_config(tie_word_embeddings=True)}


def measured(
    folder: Path, style: str = "paper", questions: list[Question] = QUESTIONS
) -> pd.DataFrame:
    subjects = SUBJECTS if questions is QUESTIONS else other_subjects(questions, 19)
    return measure(
        model_of(folder), questions, draw_decoys(questions), subjects, style, tiny_tokenizer()
    )


def plain_logprobs(model: Any, prompt: str, beginning: str, fact: str) -> tuple[float, float]:
    """One whole forward, no cache; bytes are tokens, so a fact's tokens are its bytes."""
    before = f"{prompt}{'' if prompt[-1:].isspace() else ' '}{beginning}"
    tokenizer = tiny_tokenizer()
    ids = tokenizer(before + fact, add_special_tokens=False).input_ids
    n = len(fact.encode())
    logprobs = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    predicted = [float(logprobs[place - 1, ids[place]]) for place in range(len(ids) - n, len(ids))]
    return float(np.mean(predicted)), min(predicted)


def plain_table(folder: Path, style: str) -> pd.DataFrame:
    """All candidates of QUESTIONS, by the plain way."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for number, (row, subjects) in enumerate(zip(QUESTIONS, SUBJECTS, strict=True)):
        assert subjects is not None and row.subject is not None
        prompt = render(row.question, style, tiny_tokenizer())
        for candidate in (row.fact, *row.decoys):
            logprobs = plain_logprobs(model, prompt, row.beginning, candidate)
            rows.append((number, "exposure", candidate, *logprobs))
        for subject in (row.subject, *subjects.texts):
            asked = render(row.question.replace(row.subject, subject), style, tiny_tokenizer())
            beginning = row.beginning.replace(row.subject, subject)
            logprobs = plain_logprobs(model, asked, beginning, row.fact)
            rows.append((number, "association", subject, *logprobs))
    columns = ["question", "score", "candidate", "logprob", "logprob_lowest"]
    return pd.DataFrame(rows, columns=columns)


def assert_equal_to_plain(table: pd.DataFrame, plain: pd.DataFrame) -> None:
    keys = ["question", "score", "candidate"]
    pd.testing.assert_frame_equal(table[keys], plain[keys])
    for column in ("logprob", "logprob_lowest"):
        np.testing.assert_allclose(table[column], plain[column], rtol=0, atol=1e-5)
    ranks = [rank_table(table.assign(logprob=one["logprob"]))["rank"] for one in (table, plain)]
    assert ranks[0].tolist() == ranks[1].tolist()


@pytest.mark.parametrize("case", CONFIGS)
@torch.no_grad()
def test_equal_to_whole_forwards(tmp_path: Path, case: str) -> None:
    folder = save_tiny(tmp_path, CONFIGS[case])
    assert_equal_to_plain(measured(folder), plain_table(folder, "paper"))


@torch.no_grad()
def test_with_a_chat_template(tiny_llama: Path) -> None:
    assert_equal_to_plain(measured(tiny_llama, "chat"), plain_table(tiny_llama, "chat"))


@torch.no_grad()
def test_in_small_trees_passes_and_calls(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plain_table(tiny_llama, "paper")
    monkeypatch.setattr(exposure, "TREE_TOKENS", 60)
    monkeypatch.setattr(exposure, "TOKENS_PER_PASS", 130)
    monkeypatch.setattr(exposure, "LOGITS_PER_CALL", 3 * 300)
    assert_equal_to_plain(measured(tiny_llama), plain)


def test_each_layer_is_read_once(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host, read = model_of(tiny_llama), []
    read_layer = host.checkpoint.read_layer
    monkeypatch.setattr(
        host.checkpoint,
        "read_layer",
        lambda index, *args: read.append(index) or read_layer(index, *args),
    )
    measure(host, QUESTIONS, draw_decoys(QUESTIONS), SUBJECTS, "paper", tiny_tokenizer())
    assert read == [*range(host.n_layers)]


def test_rows_and_columns(tiny_llama: Path) -> None:
    table = measured(tiny_llama)
    true = table[table["is_true"]]
    assert true["candidate"].tolist() == [
        text for row in QUESTIONS for text in (row.fact, row.subject)
    ]
    assert true["tokens"].tolist() == [len(row.fact) for row in QUESTIONS for _ in range(2)]
    # The true text is one and the same in both scores.
    np.testing.assert_allclose(
        true["logprob"][::1].to_numpy()[::2], true["logprob"].to_numpy()[1::2], atol=1e-6
    )
    assert set(table["rule"]) == {"given", "file and invented"}
    without = [row.model_copy(update={"subject": None}) for row in QUESTIONS]
    assert set(measured(tiny_llama, questions=without)["score"]) == {"exposure"}


def test_without_a_subject_the_fact_stands_among_those_of_other_questions(tiny_llama: Path) -> None:
    questions = [row.model_copy(update={"subject": None, "kind": "any"}) for row in QUESTIONS]
    decoys = [DrawnTexts(tuple(row.decoys), "given") for row in questions]
    familiar = familiar_facts(questions)
    host, tokenizer = model_of(tiny_llama), tiny_tokenizer()
    table = measure(host, questions, decoys, familiar, "paper", tokenizer)
    facts = {row.fact for row in QUESTIONS}
    of_kind = table[table["score"] == "association"]
    for number, rows in of_kind.groupby("question"):
        assert rows["candidate"].iloc[0] == QUESTIONS[number].fact
        assert set(rows["candidate"]) == facts
    # The same texts as given decoys.
    as_decoys = measure(host, questions, familiar, [None] * 3, "paper", tokenizer)
    np.testing.assert_allclose(of_kind["logprob"], as_decoys["logprob"], atol=1e-6)


def test_a_model_that_computes_no_numbers_knows_nothing(tmp_path: Path, tiny_llama: Path) -> None:
    table = rank_table(measured(save_tiny(tmp_path, near=tiny_llama, by=1e30)))
    assert table["logprob"].isna().all() and (table["p"] == 1).all()


def test_p_is_uniform_for_an_untrained_model(tiny_llama: Path) -> None:
    """Fact and decoys, and all subjects, are drawn alike: 300 facts."""
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")

    def names(count: int) -> list[str]:
        return ["".join(rng.choice(letters, 4)).capitalize() for _ in range(count)]

    questions, decoys, subjects = [], [], []
    for _ in range(300):
        (fact, *others), (subject, *other_names) = names(20), names(20)
        questions.append(Question(question=f"Who saw {subject}?", answer=fact, subject=subject))
        decoys.append(DrawnTexts(tuple(others), "given"))
        subjects.append(DrawnTexts(tuple(other_names), "given"))
    table = rank_table(
        measure(model_of(tiny_llama), questions, decoys, subjects, "paper", tiny_tokenizer())
    )
    for _, rows in table.groupby("score"):
        # Ranks are discrete: a random part of a step makes p continuous.
        p = (rows["rank"] - rng.uniform(size=len(rows))) / (rows["m"] + 1)
        assert kstest(p, "uniform").pvalue > 0.01
