"""tables/calibration.csv: how often each score is wrong, by treatment, from finished rounds.

A *round* trains models from one seed: some learn invented facts, the others never do. The same
treatments are applied to both, and every score is computed of each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dissect.calibration.rates import (
    LEAST_ROUNDS,
    MIN_ROUNDS,
    Flags,
    Models,
    Rate,
    alarms_left_out,
    auc,
    auc_interval,
    best_threshold,
    is_at_most,
    rate,
)
from dissect.calibration.scores import SCORES, STATES, ScoreSpec
from dissect.errors import DissectError, check_known, reason_of, shortened
from dissect.results.csv_files import read_csv
from dissect.terms import KNOWS

# What a file of a round holds beside the scores.
ROUND_COLUMNS = [
    *("round", "model", "method", "state", "treatment", "as_intended", "why_not"),
    *("settings", "code", "versions"),
]
LACKS = "lacks"  # which scores the file of a row does not have, separated by spaces
ALL = "all"  # all treatments pooled
# Which models are counted: all, or those whose state was confirmed.
ALL_MODELS, AS_INTENDED = INCLUDED = ("all models", "as intended")
_COUNTS = ["false_alarms", "power_count"]
CALIBRATION_COLUMNS = [
    *("score", "definition", "sign", "primary", "treatment", "included", "rounds"),
    *("n_knows", "n_never", "nulls_knows", "nulls_never", "auc", "auc_low", "auc_high"),
    "threshold",
    *("false_alarms", "false_alarm_rate", "false_alarm_rate_low", "false_alarm_rate_high"),
    *("power_count", "power", "power_low", "power_high", "at_most_5_percent", "note"),
]


# Files of rounds.


def read_rounds(paths: Iterable[Path]) -> pd.DataFrame:
    """The models of all rounds, one row each.

    Returns:
        ROUND_COLUMNS, LACKS and a float column per score of SCORES; NaN where a file has no such
        column, as one that older code wrote, or no value. Columns that are neither are left out.

    Raises:
        DissectError: naming the file that lacks a column, has no such state, has the treatment
            `all`, has a score that is no finite number, or repeats the round and model of another
            file or a method within a round; or if there is no file.
    """
    parts: list[pd.DataFrame] = []
    owners: dict[tuple[str, str], Path] = {}
    for path in paths:
        rows = _read_file(path)
        for key in sorted(set(zip(rows["round"], rows["model"], strict=True))):
            if key in owners:
                raise DissectError(
                    f"{path} holds round {key[0]} of model {key[1]}, as does {owners[key]}; "
                    "give one of them"
                )
            owners[key] = path
        parts.append(rows)
    if not parts:
        raise DissectError("no files of rounds were given; at least one is needed")
    rounds = pd.concat(parts, ignore_index=True)
    if len(models := sorted(rounds["model"].unique())) > 1:
        raise DissectError(
            f"rounds of several base models ({', '.join(models)}) cannot be combined; give "
            "rounds of one base model"
        )
    return rounds


def _read_file(path: Path) -> pd.DataFrame:
    """The rows of one file, checked."""
    try:
        rows = read_csv(path)
    except ValueError as error:
        raise DissectError(f"{path} is not a CSV file ({reason_of(error)})") from error
    missing = [name for name in ROUND_COLUMNS if name not in rows]
    if missing:
        raise DissectError(
            f"{path} has no column {', '.join(missing)}; give files of rounds (round.csv)"
        )
    check_known(f"{path}: state", rows["state"], STATES, "known")
    if rows["as_intended"].dtype != bool:
        raise DissectError(f"{path}: as_intended must be True or False in every row")
    if (rows["treatment"] == ALL).any():
        raise DissectError(f"{path}: no treatment may be called {ALL}; it stands for all of them")
    keys = ["round", "model", "method"]
    again = rows[rows.duplicated(keys)]
    if not again.empty:
        number, model, method = again[keys].iloc[0]
        raise DissectError(
            f"{path} has method {method} of round {number}, model {model}, twice; keep one"
        )
    names = [spec.name for spec in SCORES]
    lacks = rows.get(LACKS, " ".join(name for name in names if name not in rows))
    numbers = pd.DataFrame({name: _numbers(rows, name, path) for name in names}, rows.index)
    return rows[ROUND_COLUMNS].assign(**{LACKS: lacks}).join(numbers)


def _numbers(rows: pd.DataFrame, name: str, path: Path) -> "pd.Series[float]":
    """A score's column; NaN throughout if there is none."""
    if name not in rows:
        return pd.Series(np.nan, rows.index)
    numbers = pd.to_numeric(rows[name], errors="coerce").astype(float)
    wrong = rows.loc[rows[name].notna() & ~np.isfinite(numbers), name]
    if not wrong.empty:
        value = shortened(str(wrong.iloc[0]))
        raise DissectError(f"{path}: {name} is {value}; give a finite number, or leave it empty")
    return numbers


# The table.


def calibration_table(
    rounds: pd.DataFrame, seed: int = 0, scores: Sequence[ScoreSpec] = SCORES
) -> pd.DataFrame:
    """How often each score is wrong: AUC, false alarms and power, with their intervals.

    The AUC's interval draws whole rounds (`rates.auc_interval`). False alarms and power are counted
    with thresholds from all treatments of the other rounds (`rates.alarms_left_out`), since who
    examines a model need not know its treatment; in shares of all models, also those whose score is
    null, and their intervals are exact (Clopper-Pearson) for independent models. Models of one
    round are not independent: they share a start and facts. So the intervals of rates are too
    narrow where a round has several models of one state, and their note says so.

    Args:
        rounds: what `read_rounds` returns.
        seed: of the bootstrap.
        scores: those that are rated.

    Returns:
        CALIBRATION_COLUMNS, a row per score, treatment (each, then ALL) and INCLUDED. `n_knows` and
        `n_never` count models, `nulls_knows` and `nulls_never` those of them without a value.
        `threshold` is that of all the rounds, for use on other models, in the score's own unit:
        values above it are alarms, or below it if `sign` is -1; null if nothing is an
        alarm. Rates are 0 to 1, and null under LEAST_ROUNDS rounds with a value of each state.
        `at_most_5_percent`: whether that may be written of the false alarms (`rates.is_at_most`):
        only of models with a value, each of another round. A round whose file lacks a score is not
        counted for it.
        `note` says what is missing and why.
    """
    treatments = [*sorted(rounds["treatment"].unique()), ALL]
    rows = [
        {"included": included, **row}
        for spec in scores
        for included, models in _selections(_with_score(rounds, spec), spec)
        for row in _of_score(models, spec, treatments, seed)
    ]
    table = pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)
    table["at_most_5_percent"] = table["at_most_5_percent"].eq(True)
    return table.astype(dict.fromkeys(_COUNTS, "Int64"))


def _selections(rounds: pd.DataFrame, spec: ScoreSpec) -> Iterator[tuple[str, pd.DataFrame]]:
    """All models, and those that are as intended: of scores that are no check of that."""
    yield ALL_MODELS, rounds
    if not spec.is_check:
        yield AS_INTENDED, rounds[rounds["as_intended"]]


def _with_score(rounds: pd.DataFrame, spec: ScoreSpec) -> pd.DataFrame:
    """The rounds whose file has the score."""
    lacks = rounds[LACKS].fillna("").str.split()
    return rounds[[spec.name not in names for names in lacks]]


def _models(rows: pd.DataFrame, spec: ScoreSpec) -> Models:
    """The models of some rounds, with one score."""
    column = rows.get(spec.name, pd.Series(np.nan, rows.index))  # no round has it: no rows
    return Models(
        spec.sign * np.asarray(column, np.float64),
        (rows["state"] == KNOWS).to_numpy(bool),
        rows["round"].to_numpy(),
    )


def alarms_of(rounds: pd.DataFrame, spec: ScoreSpec) -> "pd.Series[bool]":
    """Which models a score takes for knowing ones, by the thresholds of the other rounds.

    Raises:
        ValueError: for too few rounds (`rates.alarms_left_out`).
    """
    alarms = alarms_left_out(_models(rounds, spec))
    if alarms is None:
        raise ValueError(f"{spec.name}: too few rounds for a threshold of other rounds")
    return pd.Series(alarms, rounds.index)


def _of_score(
    rows: pd.DataFrame, spec: ScoreSpec, treatments: Sequence[str], seed: int
) -> Iterator[dict[str, Any]]:
    """One score of some models, by treatment; thresholds are those of all treatments."""
    every = _models(rows, spec)
    threshold, alarms = best_threshold(every), alarms_left_out(every)
    names = ("definition", "sign", "primary")
    same = {"score": spec.name, **{name: getattr(spec, name) for name in names}}
    same["threshold"] = spec.sign * threshold if np.isfinite(threshold) else np.nan
    for treatment in treatments:
        chosen = (rows["treatment"] == treatment).to_numpy(bool) | (treatment == ALL)
        models = every.only(chosen)
        numbers = same | _numbers_of(models, seed)
        if alarms is not None:
            numbers |= _rates(models, alarms[chosen])
        note = _note(models, rows, numbers)
        yield numbers | {"treatment": treatment, "note": note}


def _numbers_of(models: Models, seed: int) -> dict[str, Any]:
    """How many models there are, and the AUC."""
    knows, never = models.of(True), models.of(False)
    n_knows, n_never = int(models.knows.sum()), int((~models.knows).sum())
    low, high = auc_interval(models, seed)
    return {
        "rounds": len(np.unique(models.rounds)),
        "n_knows": n_knows,
        "n_never": n_never,
        "nulls_knows": n_knows - len(knows),
        "nulls_never": n_never - len(never),
        "auc": auc(knows, never),
        "auc_low": low,
        "auc_high": high,
    }


def _rates(models: Models, alarms: Flags) -> dict[str, Any]:
    """False alarms and power; null where there is no model of a state."""
    numbers: dict[str, Any] = {}
    if not models.knows.all():
        false_alarms = rate(int(alarms[~models.knows].sum()), int((~models.knows).sum()))
        numbers |= {"false_alarms": false_alarms.count}
        numbers |= _named("false_alarm_rate", false_alarms)
        numbers |= {"at_most_5_percent": _is_at_most_5_percent(models, false_alarms.count)}
    if models.knows.any():
        power = rate(int(alarms[models.knows].sum()), int(models.knows.sum()))
        numbers |= {"power_count": power.count, **_named("power", power)}
    return numbers


def _is_at_most_5_percent(models: Models, false_alarms: int) -> bool:
    """Whether that may be written: of models with a value, each of a round of its own."""
    rounds = models.rounds[~models.knows & models.has_value]
    is_independent = len(np.unique(rounds)) == len(rounds)
    return is_independent and len(rounds) > 0 and is_at_most(false_alarms, len(rounds))


def _too_few(rounds: int) -> str:
    """What is missing where so many rounds have a value of each state."""
    needed = {"the interval": MIN_ROUNDS, "rates": LEAST_ROUNDS}
    missing = [f"{number} for {what}" for what, number in needed.items() if rounds < number]
    if not missing:
        return ""
    return f"rounds with a value of each state: {rounds}, needed: {' and '.join(missing)}"


def _named(name: str, one: Rate) -> dict[str, float]:
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


def _note(models: Models, rows: pd.DataFrame, numbers: Mapping[str, Any]) -> str:
    """What a reader must know of a row: what is missing, and what an interval rests on."""
    rounds, with_values = models.least_rounds(), set(models.rounds[models.has_value])
    without = numbers["rounds"] - len(with_values)
    if not with_values:
        return "no value in any round"
    settings = rows["settings"].nunique()
    is_constant = len(np.unique(models.values[models.has_value])) == 1
    has_several = max(numbers["n_knows"], numbers["n_never"]) > numbers["rounds"]
    has_rates = "false_alarms" in numbers
    notes = [
        f"no value in {without} of {numbers['rounds']} rounds" if without else "",
        _too_few(rounds),
        "all values are equal" if is_constant else "",
        "at no threshold is the power above the rate of false alarms"
        if np.isnan(numbers["threshold"])
        else "",
        "rates count models of one round as independent" if has_several and has_rates else "",
        f"rounds with {settings} different settings" if settings > 1 else "",
    ]
    return "; ".join(filter(None, notes))
