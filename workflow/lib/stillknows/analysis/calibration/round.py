"""A finished round as a table: a row per model of known state, with every score."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from stillknows.analysis.calibration.scores import COMPONENTS, OUTCOME, RECOVERED, SCORES
from stillknows.analysis.calibration.table import TRAINING_COLUMNS
from stillknows.analysis.calibration.trainings import OUTCOMES, Trainings, outcomes
from stillknows.analysis.collect import with_reference
from stillknows.analysis.depth import ALL, LOWER_AND_MIDDLE, depth_summary, surviving_facts, uds
from stillknows.answers.answer_table import rouge_l
from stillknows.answers.recall_settings import QUESTION, RETAINED
from stillknows.answers.recall_table import recall_scores
from stillknows.terms import (
    AS_IT_IS,
    CORRECTED,
    NEVER,
    NONE,
    ORIGINAL,
    PAPER_EXPERIMENTS,
    PUBLISHED,
    PUBLISHED_FIXED,
    TAUGHT,
)

# The residual stream by form of the texts, or a component -> the names of its UDS and of its ratio.
_DEPTH_SCORES = {
    CORRECTED: ("uds", "ratio_residual"),
    **{form: (f"uds_{form}", f"ratio_{form}") for form in (PUBLISHED, PUBLISHED_FIXED)},
    **{name: (f"damage_{name}_uds", f"damage_{name}_ratio") for name in COMPONENTS},
}

# A model's state is confirmed by rules from before the first confirmatory round. They look at
# recall: the share of facts in the model's free answers to held-out wordings.
KNOWN = 0.9  # a taught model recalls at least so much
UNKNOWN = 0.05  # one that was never taught at most so much; a guess is right in about 1 of 80 cases
TREATED = 0.1  # one that was made to forget, or to refuse, at most so much
# Of the half that is not relearned, a taught model recalls so much more than one that never was:
# 4 of 12 facts. If that one recalls none, chance alone gives this in fewer than 5 of 100 cases
# (Fisher's exact test, one-sided).
RELEARNED_MORE = 0.3
_ANSWER_AS_BEFORE = (NONE, "placebo")  # after these treatments

ModelState = Mapping[str, str]  # of a model: method, concept, state, treatment, recipe
ByMethod = Mapping[str, "pd.Series[float]"]  # by score; each indexed by method


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
    trainings: Trainings,
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
    table = pd.DataFrame(list(states)).set_index("method")
    answers = recall_scores(recall)
    reasons = why_not(table, answers)
    curves = curves[curves["method"].isin([*table.index, reference])]
    scores: dict[str, Any] = {
        **_training_columns(recall, trainings),
        **_recovered(curves, reference),
        **_depth_scores(depth, sweeps, reference),
        "weight_change": changes.groupby("method")["relative_change"].mean(),
        "forgotten_loss": losses,
        "answers_rouge": _likeness(recall),
        **answers,
    }
    columns = {name: scores.get(name) for name in [*TRAINING_COLUMNS, *(s.name for s in SCORES)]}
    table = table[["state", "treatment"]].assign(as_intended=reasons == "", why_not=reasons)
    return table.join(pd.DataFrame(columns, index=table.index, dtype=float)).reset_index()


def why_not(states: pd.DataFrame, recall: ByMethod) -> "pd.Series[str]":
    """By method, why the model's state is not confirmed; empty if it is.

    A treated model that was taught must relearn more than the never-taught model after the same
    recipe, or else after none; without either, its knowledge is not confirmed.

    Args:
        states: state, treatment and recipe, by method.
        recall: what answers.recall_table.recall_scores returns.
    """
    recalled, relearned = recall["recalled"], recall["relearned"]
    is_never = states["state"] == NEVER
    never = dict(zip(states.loc[is_never, "recipe"], states.index[is_never], strict=True))
    reasons = {}
    for method, state, treatment, recipe in states[["state", "treatment", "recipe"]].itertuples():
        reason = []
        if not recalled[ORIGINAL] >= KNOWN:
            reason.append(
                f"the original recalls {recalled[ORIGINAL]:.2f}; at least {KNOWN} is required"
            )
        is_treated = treatment not in _ANSWER_AS_BEFORE
        if state == TAUGHT and not is_treated:
            if not recalled[method] >= KNOWN:
                reason.append(f"it recalls {recalled[method]:.2f}; at least {KNOWN} is required")
        elif not recalled[method] <= (most := TREATED if is_treated else UNKNOWN):
            reason.append(f"it recalls {recalled[method]:.2f}; at most {most} is allowed")
        if state == TAUGHT and is_treated:
            counterpart = never.get(recipe, never.get(NONE))
            if counterpart is None:
                reason.append("there is no never-taught model to compare it with")
            elif not relearned[method] - relearned[counterpart] >= RELEARNED_MORE:
                reason.append(
                    f"after relearning half, it recalls {relearned[method]:.2f} of the other half, "
                    f"the never-taught model {relearned[counterpart]:.2f}; at least "
                    f"{RELEARNED_MORE} more is required"
                )
        reasons[method] = "; ".join(reason)
    return pd.Series(reasons, dtype=object)


def _training_columns(recall: pd.DataFrame, trainings: Trainings) -> dict[str, "pd.Series[float]"]:
    """TRAINING_COLUMNS by method: how much of what is retained is recalled, and the outcomes."""
    retained = recall[recall["wording"] == RETAINED].groupby("method")["has_fact"].mean()
    table = outcomes(trainings)
    return {TRAINING_COLUMNS[0]: retained, **{name: table[name] for name in OUTCOMES}}


def _likeness(recall: pd.DataFrame) -> "pd.Series[float]":
    """By method, how like the original's answers the answers are."""
    rows = recall[(recall["stage"] == AS_IT_IS) & (recall["wording"] == QUESTION)]
    originals = rows[rows["method"] == ORIGINAL].set_index("question")["answer"]
    likeness = [
        rouge_l(originals[question], answer)
        for question, answer in zip(rows["question"], rows["answer"], strict=True)
    ]
    return rows.assign(likeness=likeness).groupby("method")["likeness"].mean()


def _recovered(curves: pd.DataFrame, reference: str) -> dict[str, "pd.Series[float]"]:
    """What denoising sweeps recover: at the highest window, and as the mean over windows."""
    scores = {}
    for (name, (score, span, _)), experiment in product(RECOVERED.items(), PAPER_EXPERIMENTS):
        selected = {"score": score, "span": span, "experiment": experiment}
        rows = curves[(curves[list(selected)] == pd.Series(selected)).all(axis=1)]
        by_layer = rows.pivot(index="method", columns="layer", values="mean")
        if reference not in by_layer.index:
            continue
        highest = by_layer.fillna(-np.inf).to_numpy().argmax(axis=1)
        at_highest = (np.arange(len(by_layer)), highest)
        excess = by_layer - by_layer.loc[reference]
        for suffix, values in (("", by_layer), ("_over_reference", excess)):
            at_peak = pd.Series(values.to_numpy()[at_highest], by_layer.index)
            scores[f"{name}_{experiment}_highest{suffix}"] = at_peak
            scores[f"{name}_{experiment}_mean{suffix}"] = values.mean(axis=1)
    return scores


def _depth_scores(
    depth: pd.DataFrame, sweeps: pd.DataFrame, reference: str
) -> dict[str, "pd.Series[float]"]:
    """UDS, surviving facts and the unclipped ratio; of the residual stream, single components."""
    forms = {str(form): rows for form, rows in depth.groupby("form", observed=True)}
    names = {f"answer_logprob_{model}": f"logprob_{model}" for model in ("original", "patched")}
    for component, (experiment, _) in COMPONENTS.items():
        rows = sweeps[sweeps["experiment"] == experiment].rename(columns=names)
        if not rows.empty:
            rows = rows.assign(form=component, tokens=rows["positions"])
            is_reference = rows["method"] == reference
            forms[component] = with_reference(rows[~is_reference], rows[is_reference])
    scores: dict[str, pd.Series[float]] = {}
    if CORRECTED in forms:
        facts = surviving_facts(uds(forms[CORRECTED]))
        scores[OUTCOME] = facts.groupby("method")["survives"].sum().astype(float)
    for form, rows in forms.items():
        summary = depth_summary(rows).set_index("method")
        uds_name, ratio_name = _DEPTH_SCORES[form]
        scores[uds_name] = summary.loc[summary["layers"] == ALL, "uds"]
        scores[ratio_name] = summary.loc[summary["layers"] == LOWER_AND_MIDDLE, "ratio"]
    return scores
