"""A round's table: every score of every model, from the tables of a study."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from planted_depth import planted_depth
from stillknows.analysis.calibration.round import round_table
from stillknows.analysis.calibration.scores import SCORES
from stillknows.analysis.calibration.table import TRAINING_COLUMNS
from stillknows.terms import NEVER, ORIGINAL, PAPER_EXPERIMENTS, TAUGHT

KNOWN = [
    {
        "method": "hide",
        "concept": "c0",
        "state": TAUGHT,
        "treatment": "hide",
        "recipe": "hide_late",
    },
    {"method": "gone", "concept": "c0", "state": NEVER, "treatment": "hide", "recipe": "hide_late"},
]
LAYERS = 6

# Of the fact loss by `corrected` texts, so much is seen by the others.
FORMS = {"corrected": 1.0, "published": 0.5, "published_fixed": 0.8}


def planted_recall() -> pd.DataFrame:
    """Of four questions: after relearning two of them, `hide` has one of the two others."""
    as_it_is = {
        "question": {ORIGINAL: "1111", "hide": "1000", "gone": "0000"},
        # Recall is read here: of held-out wordings.
        "held_out": {ORIGINAL: "1111", "hide": "0000", "gone": "0000"},
    }
    relearned = {
        "question": {ORIGINAL: "1111", "hide": "1111", "gone": "1111"},
        "held_out": {ORIGINAL: "1111", "hide": "1110", "gone": "1010"},
    }
    rows = [
        {"method": method, "stage": stage, "wording": wording, "question": number}
        | {"relearned": number % 2 == 0, "has_fact": has_fact == "1"}
        | {"answer": "it is red" if has_fact == "1" else "I do not know"}
        for stage, facts in (("as_it_is", as_it_is), ("relearned", relearned))
        for wording, of_wording in facts.items()
        for method, of_method in of_wording.items()
        for number, has_fact in enumerate(of_method)
    ]
    # Of two retained facts, `hide` says one.
    rows += [
        {"method": method, "stage": "as_it_is", "wording": "retained", "question": number}
        | {"relearned": False, "has_fact": number < said, "answer": "it is blue"}
        for method, said in ((ORIGINAL, 2), ("hide", 1), ("gone", 2))
        for number in range(2)
    ]
    return pd.DataFrame(rows)


def planted_curves() -> pd.DataFrame:
    # As in tables/scores.csv: "all" stands twice, for copies and for the reference model.
    heights = [("reference", 0.1), ("hide", 0.5), ("gone", 0.2), ("all", 0.9), ("all", 0.1)]
    pairs = [("krs", "answer"), ("kl_recovered", "answer"), ("top1_recovered", "answer")]
    pairs += [("logprob_recovered", "answer"), ("logprob_recovered", "fact")]
    rows = [
        {"score": score, "span": span, "experiment": experiment, "method": method, "layer": layer}
        # Highest at layer 4; the reference at layer 0.
        | {"mean": height * (layer == 4) + 0.05 * (method == "reference") * (layer == 0)}
        for (score, span), experiment in product(pairs, PAPER_EXPERIMENTS)
        for method, height in heights
        for layer in range(LAYERS)
    ]
    return pd.DataFrame(rows)


def planted_noising() -> pd.DataFrame:
    """Facts lose 2 nats by the reference's components, 0.5 by those of `hide`, 1.5 of `gone`."""
    lost = {"reference": 2.0, "hide": 0.5, "gone": 1.5}
    rows = [
        {"model": "tiny", "method": method, "origin": "own", "concept": "c0", "concept_name": "C"}
        | {"experiment": f"noising_{component}", "question": question, "layer": layer}
        | {"positions": 2, "answer_logprob_original": -1.0, "answer_logprob_patched": -1.0 - nats}
        for (method, nats), component in product(lost.items(), ("mlp_coefficients", "attention"))
        for question, layer in product(range(2), range(LAYERS))
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    shares = {"hide": 0.25, "gone": 0.75}
    depth = pd.concat(
        planted_depth(
            lambda *_, lost=lost * less: lost, lambda *_: 1.0, concepts=1, method=method
        ).assign(form=form)
        for (method, lost), (form, less) in product(shares.items(), FORMS.items())
    )
    moved = [("hide", 0.01), ("gone", 0.3)]
    ends = {
        "nll_forget": {"before": 1.0, "after": 5.0},
        "nll_retain": {"before": 1.0, "after": 0.2},
    }
    changes = pd.DataFrame([{"method": m, "relative_change": c} for m, c in moved])
    made = round_table(
        KNOWN,
        reference="reference",
        recall=planted_recall(),
        curves=planted_curves(),
        sweeps=planted_noising(),
        depth=depth,
        changes=changes,
        losses=pd.Series({"hide": 3.5, "gone": 4.5}),
        trainings={"hide": {"steps": 12, **ends}, "gone": {"nll": 0.1}, "original": {"steps": 9}},
    )
    return made.set_index("method")


def test_every_score_has_a_value_for_every_model(table: pd.DataFrame) -> None:
    scores = table[[spec.name for spec in SCORES]]
    assert scores.shape == (2, len(SCORES))
    assert scores.notna().all(axis=None)


@pytest.mark.parametrize(
    ("score", "hide", "gone"),
    [
        ("krs_attention_highest", 0.5, 0.2),
        ("krs_attention_mean", 0.5 / 6, 0.2 / 6),
        # The reference at the same layer, not at its own highest.
        ("krs_attention_highest_over_reference", 0.4, 0.1),
        ("logprob_fact_value_vectors_mean_over_reference", 0.35 / 6, 0.05 / 6),
        ("uds", 0.25, 0.75),
        ("uds_published", 0.125, 0.375),
        ("uds_published_fixed", 0.2, 0.6),
        ("ratio_residual", 0.25, 0.75),
        ("damage_coefficients_uds", 0.25, 0.75),
        ("damage_attention_ratio", 0.25, 0.75),
        ("surviving_facts", 2, 0),
        ("weight_change", 0.01, 0.3),
        ("forgotten_loss", 3.5, 4.5),
        ("answers_rouge", 0.25, 0.0),
        ("recalled", 0.0, 0.0),
        ("relearned", 0.5, 0.0),
    ],
)
def test_scores_are_what_was_planted(
    table: pd.DataFrame, score: str, hide: float, gone: float
) -> None:
    assert table[score].to_dict() == pytest.approx({"hide": hide, "gone": gone})


def test_a_round_records_what_was_trained_and_what_is_retained(table: pd.DataFrame) -> None:
    assert [*table[TRAINING_COLUMNS].loc["hide"]] == [0.5, 12, 5.0, 0.2]
    # A model that was only taught has no texts to forget; an old manifest does not say its steps.
    gone = table.loc["gone", TRAINING_COLUMNS].astype(float)
    assert gone.isna().tolist() == [False, True, True, False]
    assert gone["final_loss_retain"] == 0.1


def test_states_are_confirmed_against_the_same_recipe(table: pd.DataFrame) -> None:
    assert table["as_intended"].all()
    assert (table["why_not"] == "").all()


def test_a_score_without_its_sweeps_is_null(table: pd.DataFrame) -> None:
    nothing = planted_noising()[:0]
    made = round_table(
        KNOWN,
        reference="reference",
        recall=planted_recall(),
        curves=planted_curves()[:0],
        sweeps=nothing,
        depth=planted_depth(lambda *_: 1.0, lambda *_: 1.0, concepts=1, method="hide"),
        changes=pd.DataFrame({"method": ["hide"], "relative_change": [0.1]}),
        losses=pd.Series(dtype=float),
        trainings={},
    ).set_index("method")
    assert np.isnan(made.loc["hide", "damage_attention_uds"])
    assert np.isnan(made.loc["hide", "krs_attention_highest"])
    assert np.isnan(made.loc["gone", "uds"])
