"""A finished round as a table: a row per model of known state, with every score."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from stillknows.analysis.calibration.scores import OUTCOME, SCORES
from stillknows.analysis.calibration.states import Recalled, why_not
from stillknows.analysis.calibration.table import TRAINING_COLUMNS
from stillknows.analysis.depth import ALL, LOWER_AND_MIDDLE, depth_summary
from stillknows.analysis.scores import KL_RECOVERED, LOGPROB_RECOVERED
from stillknows.analysis.uds import surviving_facts, uds, with_reference
from stillknows.answers.answer_table import rouge_l
from stillknows.answers.recall_settings import QUESTION, RETAINED
from stillknows.answers.recall_table import recall_scores
from stillknows.terms import (
    ANSWER,
    AS_IT_IS,
    CORRECTED,
    FACT,
    KRS,
    NEVER,
    NONE,
    ORIGINAL,
    PAPER_EXPERIMENTS,
    PUBLISHED,
    PUBLISHED_FIXED,
)

# Of scores.csv: which score and span a family of scores is made of.
_CURVES = {
    "krs": (KRS, ANSWER),
    "kl": (KL_RECOVERED, ANSWER),
    "top1": ("top1_recovered", ANSWER),
    "logprob_answer": (LOGPROB_RECOVERED, ANSWER),
    "logprob_fact": (LOGPROB_RECOVERED, FACT),
}
_COMPONENTS = {"coefficients": "noising_mlp_coefficients", "attention": "noising_attention"}
# The residual stream by form of the texts, or a component -> the names of its UDS and of its ratio.
_DEPTH_SCORES = {
    CORRECTED: ("uds", "ratio_residual"),
    **{form: (f"uds_{form}", f"ratio_{form}") for form in (PUBLISHED, PUBLISHED_FIXED)},
    **{name: (f"damage_{name}_uds", f"damage_{name}_ratio") for name in _COMPONENTS},
}
ModelState = Mapping[str, str]  # of a model: method, concept, state, treatment, recipe


def round_table(
    states: Iterable[ModelState],
    *,
    reference: str,
    recall: pd.DataFrame,
    curves: pd.DataFrame,
    sweeps: pd.DataFrame,
    depth: pd.DataFrame,
    changes: pd.DataFrame,
    losses: "pd.Series[float]",
    trainings: Mapping[str, Mapping[str, Any]],
) -> pd.DataFrame:
    """Every score of every model of one round; null where a score is not defined.

    Args:
        states: the models whose state is known, but the original and the reference.
        reference: the method of the reference model.
        recall: rows of RECALL_SCHEMA, the original's too.
        curves: rows of tables/scores.csv.
        sweeps: rows of tables/krs.parquet, of noising, the donor `copy` and the span `fact`.
        depth: rows of tables/depth.parquet.
        changes: rows of tables/weight_changes.csv.
        losses: by method, the loss of the answers that are to be forgotten, nats per token.
        trainings: by method, what the manifest says of the training.

    Returns:
        method, state, treatment, as_intended, why_not, TRAINING_COLUMNS, and a column per name in
        SCORES.
    """
    states = list(states)
    by_method = {one["method"]: one for one in states}
    table = pd.DataFrame(states)[["method", "state", "treatment"]].set_index("method")
    answers = recall_scores(recall)
    reasons = _reasons(by_method, answers)
    table = table.assign(as_intended=~reasons.astype(bool), why_not=reasons)
    curves = curves[curves["method"].isin([*by_method, reference])]
    scores = {
        **_of_curves(curves, reference),
        **_of_depth(depth, sweeps, reference),
        "weight_change": changes.groupby("method")["relative_change"].mean(),
        "forgotten_loss": losses,
        "answers_rouge": _likeness(recall),
        **answers,
    }
    columns: dict[str, Any] = dict(_of_trainings(recall, trainings))
    columns |= {spec.name: scores.get(spec.name) for spec in SCORES}
    return table.join(pd.DataFrame(columns, index=table.index, dtype=float)).reset_index()


def _reasons(
    states: Mapping[str, ModelState], answers: Mapping[str, "pd.Series[float]"]
) -> "pd.Series[str]":
    """By method, why the model's state is not confirmed; empty if it is.

    Args:
        answers: what answers.recall_table.recall_scores returns.
    """
    as_it_is, relearned = answers["recalled"], answers["relearned"]
    models = {
        method: Recalled(one["state"], one["treatment"], as_it_is[method], relearned[method])
        for method, one in states.items()
    }
    never = {
        one["recipe"]: models[method] for method, one in states.items() if one["state"] == NEVER
    }
    untreated = never.get(NONE)
    reasons = {
        method: why_not(models[method], never.get(one["recipe"], untreated), as_it_is[ORIGINAL])
        for method, one in states.items()
    }
    return pd.Series(reasons, dtype=object)


def _of_trainings(
    recall: pd.DataFrame, trainings: Mapping[str, Mapping[str, Any]]
) -> dict[str, "pd.Series[float]"]:
    """TRAINING_COLUMNS by method, null where a training has no such texts.

    The losses are those of the texts that a training was to forget (or to answer otherwise), and of
    those that it was to learn or to retain, after its last step; nats per token.
    """
    retained = recall[recall["wording"] == RETAINED].groupby("method")["has_fact"].mean()
    numbers = {
        method: {
            "steps": one.get("steps"),
            "final_loss_forget": one.get("nll_forget", {}).get("after"),
            "final_loss_retain": one.get("nll_retain", {}).get("after", one.get("nll")),
        }
        for method, one in trainings.items()
    }
    table = pd.DataFrame.from_dict(numbers, orient="index", columns=TRAINING_COLUMNS[1:])
    return {"retained_recalled": retained, **{name: table[name] for name in TRAINING_COLUMNS[1:]}}


def _likeness(recall: pd.DataFrame) -> "pd.Series[float]":
    """By method, how like the original's answers the answers are."""
    asked = recall[(recall["stage"] == AS_IT_IS) & (recall["wording"] == QUESTION)]
    originals = asked[asked["method"] == ORIGINAL].set_index("question")["answer"]
    likeness = [
        rouge_l(originals[question], answer)
        for question, answer in zip(asked["question"], asked["answer"], strict=True)
    ]
    return asked.assign(likeness=likeness).groupby("method")["likeness"].mean()


def _of_curves(curves: pd.DataFrame, reference: str) -> dict[str, "pd.Series[float]"]:
    """What denoising sweeps recover: at the highest window, and as the mean over windows."""
    scores = {}
    for (name, (score, span)), experiment in product(_CURVES.items(), PAPER_EXPERIMENTS):
        chosen = {"score": score, "span": span, "experiment": experiment}
        rows = curves[(curves[list(chosen)] == pd.Series(chosen)).all(axis=1)]
        by_layer = rows.pivot(index="method", columns="layer", values="mean")
        if reference not in by_layer.index:
            continue
        excess = by_layer - by_layer.loc[reference]
        highest = by_layer.fillna(-np.inf).to_numpy().argmax(axis=1)
        at_highest = (np.arange(len(by_layer)), highest)
        prefix = f"{name}_{experiment}"
        for suffix, values in (("", by_layer), ("_over_reference", excess)):
            scores[f"{prefix}_highest{suffix}"] = pd.Series(
                values.to_numpy()[at_highest], by_layer.index
            )
            scores[f"{prefix}_mean{suffix}"] = values.mean(axis=1)
    return scores


def _of_depth(
    depth: pd.DataFrame, sweeps: pd.DataFrame, reference: str
) -> dict[str, "pd.Series[float]"]:
    """UDS and the unclipped ratio, of the residual stream and of single components."""
    forms = {str(form): rows for form, rows in depth.groupby("form", observed=True)}
    for component, experiment in _COMPONENTS.items():
        rows = sweeps[sweeps["experiment"] == experiment]
        if rows.empty:
            continue
        rows = rows.assign(form=component, tokens=rows["positions"]).rename(
            columns={
                "answer_logprob_original": "logprob_original",
                "answer_logprob_patched": "logprob_patched",
            }
        )
        is_reference = rows["method"] == reference
        forms[component] = with_reference(rows[~is_reference], rows[is_reference])
    scores: dict[str, pd.Series[float]] = {}
    if CORRECTED in forms:
        scores[OUTCOME] = _surviving(forms[CORRECTED])
    for name, rows in forms.items():
        summary = depth_summary(rows)
        by_method = {
            layers: summary[summary["layers"] == layers].set_index("method")
            for layers in (ALL, LOWER_AND_MIDDLE)
        }
        uds, ratio = _DEPTH_SCORES[name]
        scores[uds] = by_method[ALL]["uds"]
        scores[ratio] = by_method[LOWER_AND_MIDDLE]["ratio"]
    return scores


def _surviving(depth: pd.DataFrame) -> "pd.Series[float]":
    """By method, how many facts survive (analysis.uds); null where no fact has a UDS."""
    facts = surviving_facts(uds(depth))
    return facts.groupby("method")["survives"].sum().astype(float)


def described(table: pd.DataFrame, **same: Any) -> pd.DataFrame:
    """The table with columns that are the same in all rows, the first two of them in front."""
    names = [*same]
    return table.assign(**same)[[*names[:2], *table.columns, *names[2:]]]
