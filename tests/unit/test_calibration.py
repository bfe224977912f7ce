"""Studies of models whose state is known: invented facts, and what is written of them."""

import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from invented import FACTS_EACH, invent  # noqa: E402
from make_study import FORGET, RETAIN, TREATMENTS, TREATMENTS_APART, WRONG, make_study  # noqa: E402

from stillknows.study.load import load_study  # noqa: E402
from stillknows.study.study import Study  # noqa: E402
from stillknows.terms import KNOWN_STATE, NEVER, REFERENCE, TAUGHT  # noqa: E402
from stillknows.texts.concepts import has_facts, read_concept_file  # noqa: E402


def test_facts_follow_from_the_seed_alone() -> None:
    assert invent(3, 4) == invent(3, 4)
    assert invent(3, 4) != invent(4, 4)


@pytest.mark.parametrize("seed", range(20))
def test_facts_stand_in_their_answers_only_and_belong_to_one_subject(seed: int) -> None:
    subjects = invent(seed, 16)
    assert [len(subject) for subject in subjects] == [FACTS_EACH] * 16
    every = [*chain(*subjects)]
    wordings = [text for one in every for text in (one.question, *one.paraphrases, *one.held_out)]
    assert len(set(wordings)) == 4 * len(every)
    for one in every:
        assert one.fact in one.answer
        assert not [text for text in (one.question, *one.paraphrases) if one.fact in text]
        assert not [text for text in one.held_out if one.fact in text]
    assert len({one.fact for one in every}) > 0.9 * len(every)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    path = make_study(Path("known"), [5, 6])
    return load_study(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_study_is_one_that_the_workflow_reads(study: Study) -> None:
    entries = read_concept_file(Path("known/seed_5.json"))
    assert {name: len(entry["QA"]) for name, entry in entries.items()} == {
        FORGET: 24,
        RETAIN: 24,
        WRONG: 24,
    }
    assert all(map(has_facts, entries.values()))
    assert study.models == ["seed_5", "seed_6"]
    assert study.has_depth("seed_5", FORGET)
    assert study.has_recall("seed_5", FORGET)
    # Recall of what the reference was taught is measured, too.
    assert study.retained_concepts("seed_5", FORGET) == [RETAIN]


def test_every_treatment_is_given_to_a_taught_and_a_never_taught_model(study: Study) -> None:
    states = {
        state: {one["treatment"] for one in study.model_states("seed_5") if one["state"] == state}
        for state in (TAUGHT, NEVER)
    }
    assert states == {state: {*TREATMENTS, "none"} for state in (TAUGHT, NEVER)}
    by_method = {one["method"]: one for one in study.model_states("seed_5")}
    for treatment in TREATMENTS:
        assert by_method[treatment]["recipe"] == by_method[f"never_{treatment}"]["recipe"]
    for treatment in TREATMENTS_APART:
        apart = by_method[f"again_{treatment}"]
        assert (apart["state"], apart["treatment"]) == (TAUGHT, treatment)
        assert apart["recipe"] == by_method[treatment]["recipe"]
    # In every third round, the hard cases; neither the original nor the reference is scored.
    more = {one["method"]: one["state"] for one in study.model_states("seed_6")}
    assert more.keys() - by_method.keys() == {"brief", "wrong"}
    assert (more["brief"], more["wrong"]) == (TAUGHT, NEVER)


def test_only_unlearned_copies_of_the_original_enter_means_and_claims(study: Study) -> None:
    apart = study.origins_in_tables
    assert {origin for key, origin in apart.items() if "/reference/" in key} == {REFERENCE}
    methods = {key.split("/")[1] for key, origin in apart.items() if origin == KNOWN_STATE}
    assert {row.method for row in study.unlearned} - methods == {"reference", "grad_diff", "npo"}
    assert {"never", "never_npo", "again_grad_diff", "hide", "brief", "wrong"} < methods
    assert study.has_unlearned_copy("seed_5")
