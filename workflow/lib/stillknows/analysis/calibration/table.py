"""tables/calibration.csv: how often each score is wrong, by treatment, from finished rounds.

A *round* trains models from one seed: some are taught invented facts, the others never are. The
same treatments are applied to both, and every score is computed of each.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stillknows.analysis.calibration.rates import (
    LEAST_ROUNDS,
    MIN_ROUNDS,
    Flags,
    Models,
    alarm_threshold,
    alarms_left_out,
    auc,
    auc_interval,
    false_alarm_bound,
    interval_of_share,
)
from stillknows.analysis.calibration.scores import SCORES, STATES, ScoreSpec
from stillknows.analysis.calibration.trainings import OUTCOMES
from stillknows.csv_files import read_csv
from stillknows.errors import StudyError, check_known, reason_of, shortened
from stillknows.terms import INTACT_TREATMENTS, TAUGHT

# What a file of a round holds beside the scores.
ROUND_COLUMNS = [
    *("round", "model", "method", "state", "treatment", "as_intended", "why_not"),
    *("settings", "code", "versions"),
]
# How a model was trained, and what it retains; files of older code have none of these.
TRAINING_COLUMNS = ["retained_recalled", *OUTCOMES]
LACKS = "lacks"  # which scores the file of a row does not have, separated by spaces
_FORMER_STATES = {"knows": TAUGHT}  # as files of older code have them
# Groups of treatments. INTACT: those that leave the knowledge in the weights. UNLEARNED: all
# others, after which nobody knows for sure whether taught facts are still there.
INTACT, UNLEARNED, ALL = GROUPS = ("intact", "unlearned", "all")
GROUP_NAMES = {INTACT: "all without unlearning", UNLEARNED: "all unlearned", ALL: "all pooled"}
# Which models are counted: all, or those whose state was confirmed.
ALL_MODELS, AS_INTENDED = "all models", "as intended"
CALIBRATION_COLUMNS = [
    *("score", "definition", "sign", "primary", "treatment", "included", "rounds"),
    *("n_taught", "n_never", "nulls_taught", "nulls_never", "auc", "auc_low", "auc_high"),
    *("threshold", "false_alarms", "false_alarm_rounds", "false_alarm_bound"),
    *("power_count", "power", "power_low", "power_high", "missed_rounds", "note"),
]
_COUNTS = ["false_alarms", "false_alarm_rounds", "power_count", "missed_rounds"]


# Files of rounds.


def read_rounds(paths: Iterable[Path]) -> pd.DataFrame:
    """The models of all rounds, one row each.

    Returns:
        ROUND_COLUMNS, LACKS, TRAINING_COLUMNS and a float column per score of SCORES; NaN where a
        file has no such column, as one that older code wrote, or no value. Columns that are none
        of these are left out. `state` is one of STATES, also where older code wrote `knows`.

    Raises:
        StudyError: naming the file that is no such table, or repeats the round and model of another
            one, in whatever form the seed is written.
    """
    files = [(path, _read_file(path)) for path in paths]
    if not files:
        raise StudyError("no files of rounds were given; at least one is needed")
    owners: dict[tuple[str, str], tuple[Path, str]] = {}
    for path, rows in files:
        for name, model in sorted(set(zip(rows["round"], rows["model"], strict=True))):
            # The seed in one form: of seed_101, 101, " 101" and 101.0.
            number = re.fullmatch(r"(?:seed_)?0*(\d+)(?:\.0*)?", name.strip().lower())
            key = (number[1] if number else name.strip(), model)
            if key in owners:
                other, other_name = owners[key]
                raise StudyError(
                    f"{path} holds round {name} of model {model}, as does {other} (round "
                    f"{other_name}); give each round once"
                )
            owners[key] = (path, name)
    if len(models := sorted({model for _, model in owners})) > 1:
        raise StudyError(
            f"rounds of several base models ({', '.join(models)}) cannot be combined; give "
            "rounds of one base model"
        )
    return pd.concat([rows for _, rows in files], ignore_index=True)


def _read_file(path: Path) -> pd.DataFrame:
    """The rows of one file, checked."""
    try:
        # pandas would shift or fill rows with more or fewer fields than the first.
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
        for number, line in enumerate(lines, 1):
            if len(line) != len(lines[0]):
                raise StudyError(
                    f"{path}: row {number} has {len(line)} fields, but the first row names "
                    f"{len(lines[0])} columns; restore the file as it was written"
                )
        if len(lines) == 1:
            raise StudyError(f"{path} has no models, only the names of columns; leave it out")
        rows = read_csv(path)
    except (ValueError, csv.Error) as error:
        raise StudyError(f"{path} is not a CSV file ({reason_of(error)})") from error
    if missing := [name for name in ROUND_COLUMNS if name not in rows]:
        raise StudyError(
            f"{path} has no column {', '.join(missing)}; give files of rounds (round.csv)"
        )
    rows["state"] = rows["state"].replace(_FORMER_STATES)
    _check_names(rows, path)
    names = [spec.name for spec in SCORES]
    lacks = " ".join(name for name in names if name not in rows)
    numbers = {}
    for name in (*TRAINING_COLUMNS, *names):
        given = rows.get(name, pd.Series(np.nan, rows.index))
        numbers[name] = pd.to_numeric(given, errors="coerce").astype(float)
        if not (wrong := given[given.notna() & ~np.isfinite(numbers[name])]).empty:
            raise StudyError(
                f"{path}: {name} is {shortened(str(wrong.iloc[0]))}; give a finite number, or "
                "leave it empty"
            )
    described = rows[ROUND_COLUMNS].assign(**{LACKS: rows.get(LACKS, lacks)})
    return described.join(pd.DataFrame(numbers, rows.index))


def _check_names(rows: pd.DataFrame, path: Path) -> None:
    """Refuse unknown states, names that are empty or stand for a group, and repeated models."""
    check_known(f"{path}: state", rows["state"], STATES, "known")
    if rows["as_intended"].dtype != bool:
        raise StudyError(f"{path}: as_intended must be True or False in every row")
    keys = ["round", "model", "method"]
    for name in (*keys, "treatment"):
        if (rows[name].str.strip() == "").any():
            raise StudyError(f"{path}: {name} is empty in a row; give it a name")
    if groups := sorted({*rows["treatment"]} & {*GROUPS}):
        raise StudyError(
            f"{path}: no treatment may be called {groups[0]}; it stands for several of them"
        )
    again = rows[rows.duplicated(keys)]
    if not again.empty:
        number, model, method = again[keys].iloc[0]
        raise StudyError(
            f"{path} has method {method} of round {number}, model {model}, twice; keep one"
        )


# The table.


def calibration_table(
    rounds: pd.DataFrame, seed: int = 0, scores: Sequence[ScoreSpec] = SCORES
) -> pd.DataFrame:
    """How often each score is wrong: AUC, false alarms and power.

    The AUC's interval draws whole rounds (`rates.auc_interval`). The threshold of an alarm is the
    highest value of the never-taught models of the other rounds, whatever their treatment
    (`rates.alarms_left_out`), since who examines a model need not know its treatment; or the
    score's own. Rates are shares of all models, also those whose score is null. The interval of
    power is exact (Clopper-Pearson) for independent models. Models of one round are not
    independent: they share a start and facts. So it is too narrow where a round has several taught
    models, and the note says so.

    Args:
        rounds: what `read_rounds` returns.
        seed: of the bootstrap.
        scores: those that are rated.

    Returns:
        CALIBRATION_COLUMNS (results/README.md), a row per score and treatment, then per group of
        treatments (GROUPS) of which there are taught models; of the groups also a row of the models
        whose state was confirmed, unless the score is one by which states are confirmed. A group's
        row compares its taught models with all that were never taught. `threshold` is that of all
        rounds, for use on other models, in the score's own unit. Thresholds and rates are null
        under LEAST_ROUNDS rounds with a value of each state, unless the score has a threshold of
        its own. A round whose file lacks a score is not counted for it.
    """
    treatments = sorted(
        rounds["treatment"].unique(), key=lambda name: (name not in INTACT_TREATMENTS, name)
    )
    lacks = rounds[LACKS].fillna("").str.split()
    rows: list[dict[str, Any]] = []
    for spec in scores:
        models = rounds[[spec.name not in names for names in lacks]]
        rows += _score_rows(models, spec, [*treatments, *GROUPS], ALL_MODELS, seed)
        if not spec.is_check:
            confirmed = models[models["as_intended"]]
            rows += _score_rows(confirmed, spec, GROUPS, AS_INTENDED, seed)
    table = pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)
    return table.astype(dict.fromkeys(_COUNTS, "Int64"))


def compared_models(rounds: pd.DataFrame, treatment: str) -> "pd.Series[bool]":
    """The models of a treatment; of a group, its taught models beside all never-taught ones."""
    if treatment not in GROUPS:
        return rounds["treatment"] == treatment
    is_intact = rounds["treatment"].isin(INTACT_TREATMENTS)
    is_taught = rounds["state"] == TAUGHT
    return ~is_taught | (treatment == ALL) | (is_intact == (treatment == INTACT))


def models_of(rows: pd.DataFrame, spec: ScoreSpec) -> Models:
    """The models of some rounds, with one score."""
    column = rows.get(spec.name, pd.Series(np.nan, rows.index))  # no round has it: no rows
    return Models(
        spec.sign * np.asarray(column, np.float64),
        (rows["state"] == TAUGHT).to_numpy(bool),
        rows["round"].to_numpy(),
    )


def alarms_of(rounds: pd.DataFrame, spec: ScoreSpec) -> Flags | None:
    """Which models a score takes for taught ones: (models,).

    By the score's own threshold, or those of the other rounds (`rates.alarms_left_out`); None where
    there are too few rounds for these.
    """
    models = models_of(rounds, spec)
    if spec.threshold is None:
        return alarms_left_out(models)
    alarms: Flags = models.values > spec.sign * spec.threshold
    return alarms


def _score_rows(
    rows: pd.DataFrame, spec: ScoreSpec, treatments: Sequence[str], included: str, seed: int
) -> Iterator[dict[str, Any]]:
    """One score of some models, by treatment and group; thresholds are those of all treatments."""
    every, alarms = models_of(rows, spec), alarms_of(rows, spec)
    same = {"score": spec.name, "definition": spec.definition, "sign": spec.sign}
    same |= {"primary": spec.primary, "included": included}
    if spec.threshold is not None:
        same["threshold"] = spec.threshold
    elif alarms is not None:
        same["threshold"] = spec.sign * alarm_threshold(every)
        same["false_alarm_bound"] = false_alarm_bound(every)
    for treatment in treatments:
        selected = compared_models(rows, treatment).to_numpy(bool)
        models = every.only(selected)
        taught, n_taught = models.taught, int(models.taught.sum())
        if treatment in GROUPS and not n_taught:
            continue
        auc_low, auc_high = auc_interval(models, seed)
        numbers = same | {
            "treatment": treatment,
            "rounds": len(np.unique(models.rounds)),
            "n_taught": n_taught,
            "n_never": len(taught) - n_taught,
            "nulls_taught": int((taught & ~models.has_value).sum()),
            "nulls_never": int((~taught & ~models.has_value).sum()),
            "auc": auc(models),
            "auc_low": auc_low,
            "auc_high": auc_high,
        }
        if alarms is not None and n_taught < len(taught):
            is_false = alarms[selected] & ~taught
            numbers["false_alarms"] = int(is_false.sum())
            numbers["false_alarm_rounds"] = len(np.unique(models.rounds[is_false]))
        if alarms is not None and n_taught:
            is_missed = ~alarms[selected] & taught
            count = n_taught - int(is_missed.sum())
            low, high = interval_of_share(count, n_taught)
            numbers |= {"power_count": count, "power": count / n_taught}
            numbers |= {"power_low": low, "power_high": high}
            numbers["missed_rounds"] = len(np.unique(models.rounds[is_missed]))
        yield numbers | {"note": _note(models, rows["settings"].nunique(), numbers)}


def _note(models: Models, settings: int, numbers: Mapping[str, Any]) -> str:
    """What a reader must know of a row: what is missing, and what an interval rests on.

    Args:
        settings: how many different settings the rounds have.
    """
    with_values = models.only(models.has_value)
    if not with_values.values.size:
        return "no value in any round"
    rounds, notes = models.least_rounds(), []
    if without := numbers["rounds"] - len(np.unique(with_values.rounds)):
        notes.append(f"no value in {without} of {numbers['rounds']} rounds")
    needed = {"the interval": MIN_ROUNDS, "rates": LEAST_ROUNDS}
    missing = [f"{number} for {what}" for what, number in needed.items() if rounds < number]
    if missing:
        needs = " and ".join(missing)
        notes.append(f"rounds with a value of each state: {rounds}, needed: {needs}")
    if len(np.unique(with_values.values)) == 1:
        notes.append("all values are equal")
    if rounds >= MIN_ROUNDS and numbers["auc"] in (0, 1):
        notes.append("the states are separated, so resampled rounds give no interval")
    if numbers["n_taught"] > numbers["rounds"] and "power" in numbers:
        notes.append("power counts models of one round as independent")
    if settings > 1:
        notes.append(f"rounds with {settings} different settings")
    return "; ".join(notes)
