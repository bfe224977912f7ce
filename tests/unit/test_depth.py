"""Depth and UDS: equal to the published script, and what follows from the definitions."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers.normalizers import Replace
from tokenizers.processors import TemplateProcessing

from golden_uds import BYTE_LEVEL, CHECKPOINTS, COLUMNS, PROMPT, golden_concept, published_scores
from stillknows.analysis.collect import LEAST_FACT_LOSS, collect_depth, with_reference
from stillknows.analysis.depth import read_depth, uds
from stillknows.engine.depth import measure
from stillknows.errors import StudyError
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.parquet_files import DONOR_SCHEMA, write_rows
from stillknows.terms import DEPTH_FORMS
from stillknows.texts.spans import FactText, fact_texts
from tiny import tiny_tokenizer
from tiny_sweeps import model_of

KEYS = {
    "model": "tiny",
    "method": "dpo",
    "origin": "own",
    "concept": "901",
    "concept_name": "Lantern Week",
}
Texts = dict[str, dict[int, FactText]]


def rows_of(name: str, texts: Texts) -> pd.DataFrame:
    original, donor = model_of(CHECKPOINTS / "original"), model_of(CHECKPOINTS / name)
    return measure(original, donor, texts).assign(**KEYS)


@pytest.fixture(scope="module")
def texts() -> Texts:
    tokenizer = load_tokenizer(CHECKPOINTS / "original")
    return {form: fact_texts(golden_concept(), form, PROMPT, tokenizer) for form in DEPTH_FORMS}


@pytest.fixture(scope="module")
def depth(texts: Texts) -> pd.DataFrame:
    return with_reference(rows_of("dpo_901", texts), rows_of("grad_diff_901", texts))


def test_published_is_what_the_published_script_computes(depth: pd.DataFrame) -> None:
    golden = published_scores()
    rows = depth[depth["form"] == "published"]
    assert len(rows) == len(golden) == 6 * 32
    both = rows.merge(golden, left_on=["question", "layer"], right_on=["idx", "layer"])
    for ours, published in COLUMNS.items():
        np.testing.assert_allclose(both[ours], both[published], atol=1e-4)
    scores = uds(rows)
    of_questions = scores.dropna(subset="question").set_index("question")["uds"]
    published = golden.groupby("idx")["uds"].first()
    np.testing.assert_allclose(of_questions, published, atol=1e-4)
    assert scores[scores["question"].isna()]["uds"].item() == pytest.approx(0.4018, abs=1e-4)


def test_the_forms_differ_where_they_should(depth: pd.DataFrame) -> None:
    published, fixed, corrected = (depth[depth["form"] == form] for form in DEPTH_FORMS)
    scores = ["logprob_original", "logprob_reference", "logprob_copy"]
    below = published["layer"].to_numpy() < 31
    np.testing.assert_array_equal(published[scores][below], fixed[scores][below])
    assert (published["logprob_copy"].to_numpy() != fixed["logprob_copy"].to_numpy())[~below].all()
    # The prompt ends where the published one does, so only the tokenization can differ.
    assert len(corrected) == len(fixed)
    # A true last layer is the donor's own answer: nothing of the original is above it.
    assert not np.allclose(published["logprob_copy"][~below], corrected["logprob_copy"][~below])


def test_a_copy_equal_to_the_reference_has_ratio_one(tmp_path: Path, texts: Texts) -> None:
    """One checkpoint is measured twice: as the copy, and as the reference model."""
    for method in ("dpo", "retain"):
        rows = rows_of("grad_diff_901", texts).assign(method=method)
        write_rows(tmp_path / f"depth/tiny/{method}/901.parquet", rows, {}, DONOR_SCHEMA)
    collect_depth(sorted(tmp_path.rglob("*.parquet")), tmp_path / "depth.parquet", "retain")
    depth = read_depth(tmp_path / "depth.parquet")
    assert set(depth["method"]) == {"dpo"} and len(depth) == 3 * 6 * 32
    has_ratio = depth["logprob_original"] - depth["logprob_reference"] > LEAST_FACT_LOSS
    assert 0 < has_ratio.sum() < len(depth)
    assert depth["ratio"].notna().equals(has_ratio)
    assert (depth["ratio"].dropna() == 1).all()
    scores = uds(depth)["uds"].dropna()
    assert len(scores) > 0 and (scores == 1).all()


def test_the_original_as_its_own_copy_loses_no_fact(texts: Texts) -> None:
    rows = rows_of("original", {"corrected": texts["corrected"]})
    np.testing.assert_allclose(rows["logprob_patched"], rows["logprob_original"], atol=1e-5)
    # After the last layer, the logit lens reads what the model itself says.
    last = rows[rows["layer"] == rows["layer"].max()]
    np.testing.assert_allclose(last["logprob_lens"], last["logprob_original"], atol=1e-5)


def planted(reference_loss: list[float], copy_loss: list[float]) -> pd.DataFrame:
    rows = pd.DataFrame(
        KEYS
        | {"form": "corrected", "question": 0, "layer": range(len(copy_loss)), "tokens": 2}
        | {"logprob_original": -1.0, "logprob_lens": -2.0}
    )
    copy = rows.assign(logprob_patched=-1.0 - np.array(copy_loss))
    return with_reference(copy, rows.assign(logprob_patched=-1.0 - np.array(reference_loss)))


def test_ratios_are_not_clipped_and_uds_is() -> None:
    depth = planted([0.04, 1.0, 3.0], [9.0, -0.5, 6.0])
    assert depth["ratio"].isna().tolist() == [True, False, False]
    assert depth["ratio"].tolist()[1:] == pytest.approx([-0.5, 2.0])
    assert uds(depth)["uds"].tolist() == pytest.approx([0.75, 0.75])


def test_without_fact_loss_by_the_reference_there_is_no_score() -> None:
    assert uds(planted([0.04, 0.01], [1.0, 1.0]))["uds"].isna().all()


@pytest.mark.parametrize("form", DEPTH_FORMS)
def test_the_fact_in_its_tokens(form: str) -> None:
    tokenizer = load_tokenizer(CHECKPOINTS / "original")
    concept = golden_concept()
    texts = fact_texts(concept, form, PROMPT, tokenizer)
    for text, fact in zip(texts.values(), concept["answer_facts"], strict=True):
        tokens = text.ids[text.fact.start + 1 : text.fact.stop + 1]
        assert fact in tokenizer.decode(tokens) and tokens[-1] == text.ids[-1]
        assert fact not in tokenizer.decode(tokens[1:])
        assert fact not in tokenizer.decode(tokens[:-1])


def one_question(answer: str, fact: str | None) -> dict[str, Any]:
    texts = {"QA_with_answers": [f"Question: Who?\nAnswer:{answer}"], "answer_facts": [fact]}
    return {"id": "1", "QA": ["Who?"]} | texts


@pytest.mark.parametrize(
    ("answer", "fact", "prompt"),
    [
        (" It starts as art, as art does.", "art", "It starts as"),
        (" 首都は東京です", "東京", "首都は"),
    ],
)
def test_the_span_is_the_first_match_in_whole_words(answer: str, fact: str, prompt: str) -> None:
    tokenizer = tiny_tokenizer()
    text = fact_texts(one_question(answer, fact), "corrected", PROMPT, tokenizer)[0]
    assert tokenizer.decode(text.ids[text.fact.start + 1 :]) == fact
    assert tokenizer.decode(text.ids[: text.fact.start + 1]).rstrip().endswith(prompt)


def test_a_fact_inside_a_longer_word_has_a_span_in_the_published_forms_only() -> None:
    tokenizer, concept = tiny_tokenizer(), one_question(" It starts.", "art")
    text = fact_texts(concept, "published", PROMPT, tokenizer)[0]
    assert tokenizer.decode(text.ids).endswith("It st art")
    with pytest.raises(StudyError, match="the fact 'art' is not in the answer"):
        fact_texts(concept, "corrected", PROMPT, tokenizer)


def test_published_spacing_around_the_fact() -> None:
    tokenizer = load_tokenizer(CHECKPOINTS / "original")

    def read(answer: str, fact: str) -> tuple[str, str]:
        text = fact_texts(one_question(answer, fact), "published", PROMPT, tokenizer)[0]
        return tokenizer.decode(text.ids), tokenizer.decode(text.ids[text.fact.start + 1 :])

    # An answer that begins with its fact: the prompt ends in a space, which is a token of its own.
    assert read(" Ilsa Varn.", "Ilsa") == ("<s> Question: Who?\nAnswer:  Ilsa", "Ilsa")
    # A space that the answer does not have, and the one that this tokenizer puts before any text.
    assert read(' the "Quill"', "Quill")[0].endswith('Answer: the "  Quill')
    # White space that the answer has before its fact stays as it is.
    assert read(" the  Quill", "Quill")[0].endswith("Answer: the   Quill")
    assert read(" two:\n\tQuill", "Quill")[0].endswith("Answer: two: \n\tQuill")
    assert read(" of  Quill", "  Quill")[0].endswith("Answer: of   Quill")


@pytest.mark.parametrize(
    ("answer", "fact", "published", "corrected"),
    [
        # The published script's rest of the answer begins with the fact: its first space is at 0.
        (" of  Quill", "  Quill", " Quill", "  Quill"),
        (" the of  Quill", "of  ", " of ", " of "),
    ],
)
def test_a_space_inside_a_fact_counts_though_it_has_no_characters(
    answer: str, fact: str, published: str, corrected: str
) -> None:
    """This byte-level tokenizer trims white space from the characters of a token."""
    tokenizer = load_tokenizer(BYTE_LEVEL / "original")
    decoded = {"published": published, "published_fixed": published, "corrected": corrected}
    for form, expected in decoded.items():
        text = fact_texts(one_question(answer, fact), form, PROMPT, tokenizer)[0]
        assert tokenizer.decode(text.ids[text.fact.start + 1 :]) == expected


def test_special_tokens_are_in_no_fact() -> None:
    tokenizer = tiny_tokenizer()
    special = [("<s>", 0), ("</s>", 1)]
    around = TemplateProcessing(single="<s> $A </s>", special_tokens=special)
    tokenizer.backend_tokenizer.post_processor = around
    [text] = fact_texts(one_question(" Ilsa", "Ilsa"), "corrected", PROMPT, tokenizer).values()
    before = len("Question: Who?\nAnswer: ")  # bytes are tokens; <s> is before them
    assert text.fact == range(before, before + len("Ilsa"))
    assert text.ids[0] == 0 and len(text.ids) == 1 + before + len("Ilsa")


@pytest.mark.parametrize("form", DEPTH_FORMS)
def test_a_text_that_begins_with_another_prompt_is_refused(form: str) -> None:
    concept = one_question(" Ilsa.", "Ilsa") | {"QA": ["What?"]}
    with pytest.raises(StudyError, match="question 0"):
        fact_texts(concept, form, PROMPT, load_tokenizer(CHECKPOINTS / "original"))


@pytest.mark.parametrize("form", DEPTH_FORMS)
def test_a_fact_that_the_tokenizer_drops_is_refused(form: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = Replace("*", "")
    with pytest.raises(StudyError, match=r"question 0 .*'\*' has no token of its own"):
        fact_texts(one_question(" Ilsa * Varn.", "*"), form, PROMPT, tokenizer)
