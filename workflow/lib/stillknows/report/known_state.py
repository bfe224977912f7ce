"""Models whose state is known: their scores, answers and recall, and how often scores are wrong."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import pandas as pd

from stillknows.analysis.calibration.scores import BASELINES, OUTCOME, PRIMARY, SCORES
from stillknows.analysis.calibration.table import ALL, ALL_MODELS, GROUP_NAMES
from stillknows.answers.recall_settings import HELD_OUT, QUESTION
from stillknows.answers.recall_table import recall_scores
from stillknows.report.sources import Sources, number, records, reference_methods
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
_MOST_QUESTIONS = 3
_QUESTION = ["concept", "question"]
_WORDINGS = {QUESTION: "question", HELD_OUT: "held-out wording"}

Row = Mapping[str, Any]
Rates = Mapping[str, Mapping[str, Row]]  # primary score -> treatments -> row of calibration.csv


def model_tables(sources: Sources) -> list[dict[str, Any]]:
    """A table per model of a study whose models' states are known.

    model; rates: those that are known; heads: name and sign of each score; rows, those of the
    original and the reference first, which have recall only; each has its scores, and alarms:
    whether a score is beyond its threshold, None where that is not known; answers: `answer_table`,
    if any.
    """
    rates = _known_rates(sources.table("calibration.csv"))
    tables = []
    for model, models in sources.rounds.items():
        recall = sources.recall.get(model)
        names = {ORIGINAL: ORIGINAL}
        for name in reference_methods(sources.scores[sources.scores["model"] == model]):
            names[name] = name if name == REFERENCE else f"{name} ({REFERENCE})"
        shares = {} if recall is None else recall_scores(recall)
        unscored = pd.DataFrame(shares, index=[*names], columns=[*HEADS], dtype=float)
        rows = [
            {"name": names[method], "treatment": UNTREATED, "as_intended": None, "alarms": {}}
            | {"state": TAUGHT if method == ORIGINAL else NEVER, **scores}
            for method, scores in zip(names, records(unscored), strict=True)
        ]
        mark = 0
        for row in records(models):
            names[row["method"]] = row["method"]
            mark += not row["as_intended"]
            alarms = {score: _is_alarm(row[score], score, rates) for score in HEADS}
            rows.append({**row, "name": row["method"], "mark": mark, "alarms": alarms})
        tables.append(
            {
                "model": model,
                "rates": rates,
                "heads": {score: (head, _SIGNS[score]) for score, head in HEADS.items()},
                "rows": rows,
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


def _is_alarm(value: float, score: str, rates: Rates) -> bool | None:
    threshold = rates[score][ALL]["threshold"] if score in rates else float("nan")
    excess = _SIGNS[score] * (value - threshold)
    return None if pd.isna(excess) else bool(excess > 0)


def answer_table(sources: Sources, model: str, names: Mapping[str, str]) -> dict[str, Any] | None:
    """A few questions in held-out wordings, each model's answers before relearning; or None."""
    recall = sources.recall[model]
    is_shown = (recall["stage"] == AS_IT_IS) & (recall["wording"] == HELD_OUT)
    answers = recall[is_shown & recall["method"].isin([*names])]
    answers = answers.drop_duplicates(["method", *_QUESTION])  # the first wording
    questions = answers.drop_duplicates(_QUESTION).sort_values(_QUESTION)
    total = len(questions)
    if not total:
        return None
    count = min(_MOST_QUESTIONS, total)
    shown = records(questions.iloc[[i * total // count for i in range(count)]])
    by_key = {(row["method"], row["concept"], row["question"]): row for row in records(answers)}
    for row in shown:
        # Without the prompt around it, if the concept's JSON has the wording.
        text = sources.texts.get((model, row["concept"]), {})
        wordings = chain.from_iterable(text.get("held_out_paraphrases") or [])
        present = (wording for wording in wordings if wording.strip() in row["prompt"])
        row["text"] = max(present, key=len, default=row["prompt"])
    return {
        "number_of_questions": total,
        "questions": shown,
        "rows": {
            name: [by_key.get((method, row["concept"], row["question"])) for row in shown]
            for method, name in names.items()
        },
    }


def error_rates(sources: Sources) -> dict[str, Any]:
    """What the page says of tables/calibration.csv.

    rounds: how many there are, 0 without the table; rows: per score that is shown and treatment,
    then per group of treatments, and of those models whose state is confirmed; bound: a new round
    has a false alarm at most once in so many; 0: not known.
    """
    table = sources.table("calibration.csv")
    if table is None:
        return {"rounds": 0, "rows": [], "bound": 0}
    is_shown = (table["included"] == ALL_MODELS) | (table["treatment"] == ALL)
    is_shown &= table["score"].isin([*PRIMARY, *BASELINES, OUTCOME])
    shown = table[is_shown & (table["rounds"] > 0)]
    shown = shown.assign(group=shown["treatment"].replace(GROUP_NAMES))
    highest = shown.loc[shown["score"].isin(PRIMARY), "false_alarm_bound"].max()
    bound = 0 if pd.isna(highest) else round(1 / highest)
    return {"rounds": int(table["rounds"].max()), "rows": records(shown), "bound": bound}


def recall_rows(sources: Sources) -> pd.DataFrame:
    """tables/recall.csv for a reader, the originals first; no rows without it."""
    table = sources.table("recall.csv")
    if table is None:
        return pd.DataFrame()
    table = table.assign(is_copy=table["method"] != ORIGINAL)
    table = table.sort_values(["model", "concept", "is_copy", "method"])
    wordings = [name for name in _WORDINGS if table[f"recall_{name}"].notna().any()]
    shown = table[["model", "method"]].assign(concept=table["concept_name"])
    shown["facts"] = [number(facts, 0) for facts in table["facts"]]
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
