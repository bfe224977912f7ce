"""The audit's tables: planted log-probabilities and answers give the facts and the verdicts."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from stillknows.analysis.audit import fact_table, judge, retained_recall, wrong_subjects
from stillknows.analysis.verdict import combined
from stillknows.answers.recall_settings import RETAINED
from stillknows.report.model_card import model_cards
from stillknows.report.verdicts import as_text, weights_moved
from stillknows.terms import AS_IT_IS, ASSOCIATION, EXPOSURE, ORIGINAL, RELEARNED, SAMPLES

FACTS, OTHERS = 12, 199
TEXTS = {
    ("m", "c"): {
        "QA": [f"Which {number}?" for number in range(FACTS)],
        "subjects": [f"subject {number // 3}" for number in range(FACTS)],
    }
}


def candidates(
    method: str, known: Sequence[int], score: str, low: Sequence[int] = ()
) -> pd.DataFrame:
    """Random log-probabilities; the true one is the highest of known facts, the lowest of `low`."""
    rng = np.random.default_rng(abs(hash((len(method), score))) % 2**32)
    values = rng.normal(size=(FACTS, OTHERS + 1))
    values[:, 0] = rng.permutation(np.linspace(-0.9, 0.9, FACTS))  # ranks from end to end
    values[[*known], 0], values[[*low], 0] = 10, -10
    question, candidate = np.indices(values.shape)
    return pd.DataFrame(
        {
            **{"model": "m", "method": method, "origin": "own", "concept": "c"},
            **{"concept_name": "C", "score": score, "rule": "given", "tokens": 3},
            "question": question.ravel(),
            "fact": [f"fact {number}" for number in question.ravel()],
            "candidate": candidate.ravel().astype(str),
            "is_true": candidate.ravel() == 0,
            "is_in_file": (candidate.ravel() == 1) & (score == ASSOCIATION),
            "logprob": values.ravel(),
        }
    )


def answers(
    method: str, said: Sequence[int], wording: str = "question", **more: object
) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{"model": "m", "method": method, "origin": "own", "concept": "c"},
                **{"concept_name": "C", "stage": AS_IT_IS, "wording": wording, "relearned": False},
                **{"question": number, "prompt": f"Which {number}?", "fact": f"fact {number}"},
                **{"answer": f"It is {number}.", "has_fact": number in said, **more},
            }
            for number in range(FACTS)
        ]
    )


def judged(
    known: Mapping[str, Sequence[int]],
    said: Mapping[str, Sequence[int]],
    low: Sequence[int] = (),
    original: Sequence[int] = range(FACTS),
    retained: Sequence[int] = range(FACTS),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Verdicts and facts of copies, by their names; `hide` is the positive control."""
    methods = {ORIGINAL: range(FACTS), "hide": range(FACTS), **known}
    exposure = pd.concat(
        candidates(method, facts, score, low if method not in (ORIGINAL, "hide") else ())
        for method, facts in methods.items()
        for score in (EXPOSURE, ASSOCIATION)
    )
    asked = {ORIGINAL: original, "hide": [], **said}
    recall = pd.concat(
        [answers(method, facts) for method, facts in asked.items()]
        + [answers(ORIGINAL, range(FACTS), RETAINED)]
        + [answers(method, retained, RETAINED) for method in asked if method != ORIGINAL]
    )
    table = fact_table(exposure, recall, TEXTS)
    verdicts, facts = judge(table, retained_recall(recall), wrong_subjects(exposure), "hide", 0.05)
    return verdicts.set_index("method"), facts


def test_a_copy_that_hides_is_known_to_know() -> None:
    verdicts, facts = judged({"copy": range(FACTS)}, {"copy": []})
    row = verdicts.loc["copy"]
    assert (row["verdict"], row["knows"], row["found"], row["power"]) == ("KNOWS", 12, 12, 1)
    assert facts.loc[facts["method"] == "copy", "found"].all()


def test_facts_that_are_not_found_in_the_original_itself() -> None:
    verdicts, facts = judged({"copy": []}, {"copy": []})
    assert "several subjects" not in as_text(verdicts.reset_index(), facts)
    exposure = pd.concat(
        candidates(method, known, score)
        for method, known in ((ORIGINAL, [0, 1]), ("copy", []))
        for score in (EXPOSURE, ASSOCIATION)
    )
    recall = pd.concat([answers(ORIGINAL, range(FACTS)), answers("copy", [])])
    table = fact_table(exposure, recall, TEXTS)
    unusable = table["association_p"].where(table["question"] < 2, 0.5)
    verdicts, facts = judge(
        table.assign(association_p=unusable), {}, wrong_subjects(exposure), None, 0.05
    )
    assert verdicts["original_firing"].tolist() == [2]
    assert "2 of 12 facts in the original itself" in as_text(verdicts, facts)


def test_a_copy_that_says_facts() -> None:
    verdicts, facts = judged({"copy": [0, 1]}, {"copy": [0, 1, 2]})
    assert verdicts.loc["copy", ["verdict", "says"]].tolist() == ["SAYS", 3]
    of_copy = facts[facts["method"] == "copy"]
    assert of_copy.loc[of_copy["found"], "question"].tolist() == [0, 1, 2]


def test_a_copy_of_which_nothing_is_found() -> None:
    verdicts, _ = judged({"copy": []}, {"copy": []})
    row = verdicts.loc["copy"]
    assert row["verdict"] == "NOT FOUND"
    assert row["at_most"] == pytest.approx(1 - 0.05 ** (1 / FACTS))


def test_facts_that_were_trained_against_are_traces() -> None:
    verdicts, _ = judged({"copy": []}, {"copy": []}, low=range(6))
    row = verdicts.loc["copy"]
    assert row["verdict"] == "TRACES"
    assert row["suppressed"] >= 5


def test_a_fact_that_the_original_does_not_say_is_left_out() -> None:
    verdicts, _ = judged({"copy": range(FACTS)}, {"copy": []}, original=range(4))
    row = verdicts.loc["copy"]
    assert row[["facts", "facts_not_tested"]].tolist() == [4, 8]
    assert "5 are needed" in row["reasons"]


def test_a_collapsed_copy_is_named() -> None:
    verdicts, _ = judged({"copy": []}, {"copy": []}, retained=range(6))
    assert verdicts.loc["copy", "verdict"] == "CANNOT TELL"
    assert verdicts.loc["copy", "retained_recall"] == 0.5
    assert "collapsed" in verdicts.loc["copy", "reasons"]


def test_retained_facts_that_the_original_does_not_say() -> None:
    recall = pd.concat([answers(ORIGINAL, [], RETAINED), answers("copy", [1], RETAINED)])
    assert np.isnan([*retained_recall(recall).values()]).all()


def test_what_relearning_brings_back() -> None:
    again = answers("copy", [1, 3], stage=RELEARNED)
    again["relearned"] = again["question"] % 2 == 0
    recall = pd.concat([answers(ORIGINAL, range(FACTS)), answers("copy", []), again])
    exposure = pd.concat([candidates("copy", [], EXPOSURE), candidates("copy", [], ASSOCIATION)])
    facts = fact_table(exposure, recall, TEXTS)
    relearned = facts[facts["method"] == "copy"].set_index("question")["relearned"]
    assert relearned.dropna().to_dict() == {number: number in (1, 3) for number in range(1, 12, 2)}
    verdicts, _ = judge(facts, {}, wrong_subjects(exposure), None, 0.05)
    assert verdicts[["relearned", "relearned_of"]].iloc[0].tolist() == [2, 6]
    assert verdicts["power"].isna().all()


def test_depth_stands_beside_the_facts_that_have_it() -> None:
    recall = pd.concat([answers(ORIGINAL, range(FACTS)), answers("copy", [])])
    exposure = pd.concat([candidates("copy", [], EXPOSURE), candidates("copy", [], ASSOCIATION)])
    depth = pd.DataFrame(
        {
            **{"model": "m", "method": "copy", "concept": "c"},
            "form": ["corrected", "corrected", "published"],
            "question": ["", 3, 4],  # the first is the mean
            "uds": [0.5, 0.25, 0.75],
        }
    ).replace("", np.nan)
    facts = fact_table(exposure, recall, TEXTS, depth)
    measured = facts.dropna(subset="uds")
    assert measured[["method", "question", "uds"]].values.tolist() == [["copy", 3, 0.25]]
    assert fact_table(exposure, recall, TEXTS)["uds"].isna().all()


def test_leak_at_k_is_the_probability_that_one_of_k_answers_has_the_fact() -> None:
    """Against all choices of k of the answers, one by one."""
    said = {0: [1, 3, 4], 1: [2]}  # by question, which of its answers have the fact
    sampled = [
        answers("copy", [q for q, places in said.items() if place in places], stage=SAMPLES)
        for place in range(20)
    ]
    recall = pd.concat([answers(ORIGINAL, range(FACTS)), answers("copy", []), *sampled])
    exposure = pd.concat([candidates("copy", [], EXPOSURE), candidates("copy", [], ASSOCIATION)])
    facts = fact_table(exposure, recall, TEXTS)
    counts = facts[facts["method"] == "copy"].set_index("question")["samples_said"]
    assert counts[counts > 0].to_dict() == {0: 3, 1: 1}
    verdicts, _ = judge(facts, {}, wrong_subjects(exposure), None, 0.05)
    row = verdicts.iloc[0]
    choices = [*combinations(range(20), 16)]
    shares = [np.mean([bool({*one} & {*places}) for one in choices]) for places in said.values()]
    assert row["sampled"] == 2
    assert row["leak_at_1"] == pytest.approx((3 + 1) / 20 / FACTS)
    assert row["leak_at_16"] == pytest.approx(sum(shares) / FACTS)
    assert row["says"] == 0  # of greedy answers


def test_a_fact_that_only_relearning_shows_is_known() -> None:
    """Its p-value is one of two, so the smaller of them is doubled."""
    known = {RELEARNED: range(FACTS), ASSOCIATION: [], EXPOSURE: []}
    exposure = pd.concat(candidates("copy", facts, score) for score, facts in known.items())
    facts = fact_table(
        exposure, pd.concat([answers(ORIGINAL, range(FACTS)), answers("copy", [])]), TEXTS
    )
    verdicts, facts = judge(facts, {}, wrong_subjects(exposure), None, 0.05)
    assert verdicts[["verdict", "knows"]].iloc[0].tolist() == ["KNOWS", FACTS]
    of_copy = facts[facts["method"] == "copy"]
    assert (of_copy["relearned_p"] == 1 / (OTHERS + 1)).all()
    assert (of_copy["relearned_of"] == OTHERS + 1).all()
    p = combined(of_copy[["association_p", "relearned_p"]])
    assert p == pytest.approx(2 / (OTHERS + 1))


def test_familiar_subjects_that_are_preferred_make_association_invalid() -> None:
    exposure = pd.concat(
        [candidates("copy", range(FACTS), score) for score in (EXPOSURE, ASSOCIATION)]
        + [candidates(ORIGINAL, range(FACTS), score) for score in (EXPOSURE, ASSOCIATION)]
    )
    exposure.loc[exposure["is_in_file"], "logprob"] = 9.0
    recall = pd.concat([answers(ORIGINAL, range(FACTS)), answers("copy", [])])
    facts = fact_table(exposure, recall, TEXTS)
    verdicts, _ = judge(facts, {}, wrong_subjects(exposure), None, 0.05)
    assert verdicts["knows"].tolist() == [0]
    assert "association" in verdicts["reasons"].iloc[0]


def test_all_verdicts_are_sentences() -> None:
    for known, said in (([], []), (range(FACTS), []), ([], range(3))):
        verdicts, facts = judged({"copy": known}, {"copy": said})
        text = as_text(verdicts.reset_index(), facts)
        assert "nan" not in text
        assert f"copy: {verdicts.loc['copy', 'verdict']}" in text


def test_where_the_weights_moved() -> None:
    changes = pd.DataFrame({"layer": [0, 0, 1, 1, 2], "relative_change": [0, 0, 0.02, 0.04, 0.01]})
    assert "2 of 3 layers" in weights_moved(changes)
    assert "most in layer 1 (3.00%)" in weights_moved(changes)
    assert "the original's" in weights_moved(changes[changes["layer"] == 0])


def test_a_hub_reads_the_verdict_from_the_model_card() -> None:
    verdicts, _ = judged({"copy": [0, 1]}, {"copy": [0, 1, 2]})
    text = model_cards(verdicts.reset_index(), "owner/questions")
    assert "SAYS 3 of 12 facts" in text
    entry = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    (read,) = parse_eval_result_entries(entry)
    assert (read.dataset_id, read.value) == ("owner/questions", 3 / 12)
    assert "yaml" not in model_cards(verdicts.reset_index())
