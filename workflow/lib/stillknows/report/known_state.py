"""Models whose state is known: their scores, answers and recall, and how often scores are wrong."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import pandas as pd

from stillknows.analysis.calibration.scores import BASELINES, OUTCOME, PRIMARY, SCORES
from stillknows.analysis.calibration.table import ALL, ALL_MODELS, GROUP_NAMES, INTACT, UNLEARNED
from stillknows.answers.recall_settings import HELD_OUT, QUESTION
from stillknows.answers.recall_shares import recall_scores
from stillknows.report.formatting import NONE, number, with_interval
from stillknows.report.sources import Sources, records, reference_methods
from stillknows.terms import AS_IT_IS, NEVER, ORIGINAL, REFERENCE, TAUGHT
from stillknows.terms import NONE as UNTREATED

# The scores of the table of models, in its order, and their names for a reader.
HEADS = {
    "recalled": "recall: share of the facts in free answers",
    "krs_mlp_coefficients_and_attention_highest": "highest KRS, coefficients and attention",
    "uds": "UDS",
    "relearned": "recall after relearning half of the facts",
}
_SIGNS = {spec.name: spec.sign for spec in SCORES if spec.name in HEADS}
ALARMS = {True: "● taught", False: "○ no alarm"}
MOST_QUESTIONS = 3
LONGEST = 120  # characters of an answer that are shown
_QUESTION = ["concept", "question"]
_WORDINGS = {QUESTION: "question", HELD_OUT: "held-out wording"}

Row = Mapping[str, Any]
Rates = Mapping[str, Mapping[str, Row]]  # primary score -> treatments -> row of calibration.csv


def model_tables(sources: Sources) -> list[dict[str, Any]]:
    """A table per model of a study whose models' states are known.

    Returns:
        model; rounds: how many the error rates are from, 0 if they are not known; heads: name and
        sign of each score; rows, those of the original and the reference first, which have recall
        only, because the other scores are made of these two; rates: a row per error rate and a
        column per score; answers: `answer_table`, if there are any.
    """
    rates = _known_rates(sources.table("calibration.csv"))
    cells = {score: _rate_cells(groups) for score, groups in rates.items()}
    rate_table = pd.DataFrame(cells).reindex(columns=[*HEADS])
    tables = []
    for model, models in sources.rounds.items():
        recall = sources.recall.get(model)
        names = {ORIGINAL: ORIGINAL}
        for name in reference_methods(sources.scores[sources.scores["model"] == model]):
            names[name] = name if name == REFERENCE else f"{name} ({REFERENCE})"
        shares = {} if recall is None else recall_scores(recall)
        unscored = pd.DataFrame(shares, index=[*names], columns=[*HEADS], dtype=float).map(number)
        rows = [
            {"name": names[method], "treatment": UNTREATED, "is_confirmed": None}
            | {"state": TAUGHT if method == ORIGINAL else NEVER}
            | {"cells": [(value, "") for value in unscored.loc[method]]}
            for method in names
        ]
        mark = 0
        for row in records(models):
            mark += not row["as_intended"]
            rows.append(
                {"name": row["method"], "treatment": row["treatment"], "state": row["state"]}
                | {"is_confirmed": row["as_intended"], "mark": mark, "why_not": row["why_not"]}
                | {"cells": [(number(row[score]), _alarm(row, score, rates)) for score in HEADS]}
            )
            names[row["method"]] = row["method"]
        tables.append(
            {
                "model": model,
                "rounds": max((int(rate[ALL]["rounds"]) for rate in rates.values()), default=0),
                "heads": [(head, _SIGNS[score]) for score, head in HEADS.items()],
                "rows": rows,
                "rates": rate_table.fillna(NONE),
                "answers": None if recall is None else answer_table(sources, model, names),
            }
        )
    return tables


def _known_rates(calibration: pd.DataFrame | None) -> Rates:
    """The error rates of the primary scores that have them for all treatments together."""
    if calibration is None:
        return {}
    is_primary = calibration["score"].isin(PRIMARY) & (calibration["included"] == ALL_MODELS)
    rows = calibration[is_primary].dropna(subset=["false_alarms", "power_count"])
    rates = {
        str(score): {row["treatment"]: row for row in records(group)}
        for score, group in rows.groupby("score")
    }
    return {score: groups for score, groups in rates.items() if ALL in groups}


def _alarm(row: Row, score: str, rates: Rates) -> str:
    """What a score's threshold says of a model, if there is one and its error rates are known."""
    threshold = rates[score][ALL]["threshold"] if score in rates else float("nan")
    excess = _SIGNS[score] * (row[score] - threshold)
    return "" if pd.isna(excess) else ALARMS[bool(excess > 0)]


def _rate_cells(groups: Mapping[str, Row]) -> dict[str, str]:
    """What each error rate of a score is -> its cell; a dash where it is not known."""
    pooled = groups[ALL]
    cells = {
        "threshold": number(pooled["threshold"]),
        "rounds": f"{pooled['rounds']:g}",
        "AUC": with_interval(pooled, "auc"),
        "false alarms": _share(pooled, "false_alarms", "n_never"),
    }
    for group in (INTACT, UNLEARNED):
        is_known = group in groups
        power = _share(groups[group], "power_count", "n_taught") if is_known else NONE
        cells[f"power, {GROUP_NAMES[group]}"] = power
    return cells


def _share(row: Row, count: str, total: str) -> str:
    """k of n; empty where it is not defined."""
    return "" if pd.isna(row[count]) else f"{row[count]:g} of {row[total]:g}"


def answer_table(sources: Sources, model: str, names: Mapping[str, str]) -> dict[str, Any] | None:
    """A few questions in held-out wordings, and what each model answers before relearning.

    Args:
        names: method -> what the page calls it, in the order of the rows.

    Returns:
        number_of_questions; questions: text and fact of those shown; rows: name, and a cell per
        question; is_shortened: whether any answer is. None if there is no question.
    """
    recall = sources.recall[model]
    is_shown = (recall["stage"] == AS_IT_IS) & (recall["wording"] == HELD_OUT)
    answers = recall[is_shown & recall["method"].isin([*names])]
    answers = answers.drop_duplicates(["method", *_QUESTION])  # the first wording
    questions = answers.drop_duplicates(_QUESTION).sort_values(_QUESTION)
    total = len(questions)
    if not total:
        return None
    count = min(MOST_QUESTIONS, total)
    shown = records(questions.iloc[[i * total // count for i in range(count)]])
    by_key = {(row["method"], row["concept"], row["question"]): row for row in records(answers)}
    rows = [
        (name, [_cell(by_key.get((method, row["concept"], row["question"]))) for row in shown])
        for method, name in names.items()
    ]
    texts = [sources.texts.get((model, row["concept"]), {}) for row in shown]
    return {
        "number_of_questions": total,
        "questions": [
            (_wording(row["prompt"], text), row["fact"])
            for row, text in zip(shown, texts, strict=True)
        ],
        "rows": rows,
        "is_shortened": any(cell["whole"] for _, cells in rows for cell in cells),
    }


def _wording(prompt: str, text: Mapping[str, Any]) -> str:
    """The question without the prompt around it; with it, if the concept's JSON lacks it."""
    wordings = chain.from_iterable(text.get("held_out_paraphrases") or [])
    return max((one for one in wordings if one.strip() in prompt), key=len, default=prompt)


def _cell(answer: Row | None) -> dict[str, str]:
    """An answer on one line, its mark, and the whole answer if it is shortened."""
    if answer is None:
        return {"text": NONE, "mark": "", "whole": ""}
    text = " ".join(answer["answer"].split()) or "(no text)"
    is_long = len(text) > LONGEST
    return {
        "text": f"{text[:LONGEST].rstrip()}…" if is_long else text,
        "mark": "●" if answer["has_fact"] else "○",
        "whole": answer["answer"].strip() if is_long else "",
    }


def error_rates(sources: Sources) -> dict[str, Any]:
    """What the page says of tables/calibration.csv.

    Returns:
        rounds: how many there are, 0 without the table; rates: a row per score that is shown and
        treatment, then per group of treatments, and of those models whose state is
        confirmed; bound: a new round has a false alarm at most once in so many; 0: not known.
    """
    table = sources.table("calibration.csv")
    if table is None:
        return {"rounds": 0, "rates": pd.DataFrame(), "bound": 0}
    is_shown = (table["included"] == ALL_MODELS) | (table["treatment"] == ALL)
    is_shown &= table["score"].isin([*PRIMARY, *BASELINES, OUTCOME])
    shown = table[is_shown & (table["rounds"] > 0)]
    rates = []
    for row in records(shown):
        name = GROUP_NAMES.get(row["treatment"], row["treatment"])
        count = _share(row, "power_count", "n_taught")
        rates.append(
            {
                "score": row["definition"],
                "treatment": name
                if row["included"] == ALL_MODELS
                else f"{name}, confirmed states only",
                "AUC": with_interval(row, "auc"),
                "false alarms": _share(row, "false_alarms", "n_never"),
                "rounds with a false alarm": _share(row, "false_alarm_rounds", "rounds"),
                "power": count and f"{count}: {with_interval(row, 'power')}",
                "threshold": number(row["threshold"]),
            }
        )
    highest = shown.loc[shown["score"].isin(PRIMARY), "false_alarm_bound"].max()
    bound = 0 if pd.isna(highest) else round(1 / highest)
    return {"rounds": int(table["rounds"].max()), "rates": pd.DataFrame(rates), "bound": bound}


def recall_rows(sources: Sources) -> pd.DataFrame:
    """tables/recall.csv for a reader, the originals first; no rows without it."""
    table = sources.table("recall.csv")
    if table is None:
        return pd.DataFrame()
    table = table.assign(is_copy=table["method"] != ORIGINAL)
    table = table.sort_values(["model", "concept", "is_copy", "method"])
    wordings = [name for name in _WORDINGS if table[f"recall_{name}"].notna().any()]
    shown = table[["model", "method"]].assign(concept=table["concept_name"])
    shown["facts"] = table["facts"].map("{:.0f}".format)
    for name in wordings:
        shown[f"recall, {_WORDINGS[name]}"] = table[f"recall_{name}"].map(number)
    if table["facts_not_taught"].notna().any():
        shown["steps"] = [number(steps, 0) for steps in table["steps"]]
        shown["loss of the taught answers"] = table["taught_nll"].map(number)
        shown["facts not taught"] = [number(facts, 0) for facts in table["facts_not_taught"]]
        for name in wordings:
            before, after = (table[f"{when}_{name}"].map(number) for when in ("before", "after"))
            shown[f"recall of these, {_WORDINGS[name]}"] = before + " to " + after
    return shown
