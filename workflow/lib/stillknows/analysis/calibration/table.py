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
import numpy.typing as npt
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
    rate,
)
from stillknows.analysis.calibration.scores import SCORES, STATES, ScoreSpec
from stillknows.csv_files import read_csv
from stillknows.errors import StudyError, check_known, reason_of, shortened
from stillknows.terms import CONTROL_TREATMENTS, NONE, TAUGHT

# What a file of a round holds beside the scores.
ROUND_COLUMNS = [
    *("round", "model", "method", "state", "treatment", "as_intended", "why_not"),
    *("settings", "code", "versions"),
]
# How a model was trained, and what it retains; files of older code have none of these.
TRAINING_COLUMNS = ["retained_recalled", "steps", "final_loss_forget", "final_loss_retain"]
LACKS = "lacks"  # which scores the file of a row does not have, separated by spaces
_FORMER_STATES = {"knows": TAUGHT}  # as files of older code have them
# Groups of treatments. INTACT: those that leave the knowledge in the weights. UNLEARNED: all
# others, after which nobody knows for sure whether taught facts are still there.
INTACT, UNLEARNED, ALL = GROUPS = ("intact", "unlearned", "all")
GROUP_NAMES = {INTACT: "all without unlearning", UNLEARNED: "all unlearned", ALL: "all pooled"}
_INTACT_TREATMENTS = (NONE, *CONTROL_TREATMENTS)
# Which models are counted: all, or those whose state was confirmed.
ALL_MODELS, AS_INTENDED = INCLUDED = ("all models", "as intended")
_COUNTS = ["false_alarms", "false_alarm_rounds", "power_count", "missed_rounds"]
CALIBRATION_COLUMNS = [
    *("score", "definition", "sign", "primary", "treatment", "included", "rounds"),
    *("n_taught", "n_never", "nulls_taught", "nulls_never", "auc", "auc_low", "auc_high"),
    *("threshold", "false_alarms", "false_alarm_rounds", "false_alarm_bound"),
    *("power_count", "power", "power_low", "power_high", "missed_rounds", "note"),
]


# Files of rounds.


def read_rounds(paths: Iterable[Path]) -> pd.DataFrame:
    """The models of all rounds, one row each.

    Returns:
        ROUND_COLUMNS, LACKS, TRAINING_COLUMNS and a float column per score of SCORES; NaN where a
        file has no such column, as one that older code wrote, or no value. Columns that are none
        of these are left out. `state` is one of STATES, also where older code wrote `knows`.

    Raises:
        StudyError: naming the file that has no rows, a row of another length than the first, or
            no such column; that has no such state, the name of a group (GROUPS) as a treatment, an
            empty name, or a score that is no finite number; that repeats the round and model of
            another file, in whatever form the seed is written, or a method within a round; or if
            there is no file.
    """
    parts: list[pd.DataFrame] = []
    owners: dict[tuple[str, str], tuple[Path, str]] = {}
    for path in paths:
        rows = _read_file(path)
        for name, model in sorted(set(zip(rows["round"], rows["model"], strict=True))):
            key = (_seed_of(name), model)
            if key in owners:
                other, other_name = owners[key]
                raise StudyError(
                    f"{path} holds round {name} of model {model}, as does {other} (round "
                    f"{other_name}); give each round once"
                )
            owners[key] = (path, name)
        parts.append(rows)
    if not parts:
        raise StudyError("no files of rounds were given; at least one is needed")
    rounds = pd.concat(parts, ignore_index=True)
    if len(models := sorted(rounds["model"].unique())) > 1:
        raise StudyError(
            f"rounds of several base models ({', '.join(models)}) cannot be combined; give "
            "rounds of one base model"
        )
    return rounds


def _seed_of(name: str) -> str:
    """A round's seed in one form: of seed_101, 101, " 101" and 101.0; or the name of a round."""
    number = re.fullmatch(r"(?:seed_)?0*(\d+)(?:\.0*)?", name.strip().lower())
    return number[1] if number else name.strip()


def _read_file(path: Path) -> pd.DataFrame:
    """The rows of one file, checked."""
    try:
        _check_lengths(path)
        rows = read_csv(path)
    except (ValueError, csv.Error) as error:
        raise StudyError(f"{path} is not a CSV file ({reason_of(error)})") from error
    missing = [name for name in ROUND_COLUMNS if name not in rows]
    if missing:
        raise StudyError(
            f"{path} has no column {', '.join(missing)}; give files of rounds (round.csv)"
        )
    rows["state"] = rows["state"].replace(_FORMER_STATES)
    _check_names(rows, path)
    names = [spec.name for spec in SCORES]
    lacks = rows.get(LACKS, " ".join(name for name in names if name not in rows))
    numbers = {name: _numbers(rows, name, path) for name in (*TRAINING_COLUMNS, *names)}
    of_file = rows[ROUND_COLUMNS].assign(**{LACKS: lacks})
    return of_file.join(pd.DataFrame(numbers, rows.index))


def _check_lengths(path: Path) -> None:
    """Refuse rows with more or fewer fields than the first, which pandas would shift or fill."""
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


def _numbers(rows: pd.DataFrame, name: str, path: Path) -> "pd.Series[float]":
    """A column of numbers; NaN throughout if there is none."""
    if name not in rows:
        return pd.Series(np.nan, rows.index)
    numbers = pd.to_numeric(rows[name], errors="coerce").astype(float)
    wrong = rows.loc[rows[name].notna() & ~np.isfinite(numbers), name]
    if not wrong.empty:
        value = shortened(str(wrong.iloc[0]))
        raise StudyError(f"{path}: {name} is {value}; give a finite number, or leave it empty")
    return numbers


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
        CALIBRATION_COLUMNS, a row per score and treatment, then per group of treatments (GROUPS)
        of which there are taught models; of the groups also a row of the models whose state was
        confirmed. A group's row compares its taught models with all that were never taught.
        `n_taught` and `n_never` count models, `nulls_taught` and `nulls_never` those without a
        value. `threshold` is that of all the rounds, for use on other models, in the score's own
        unit: values above it are alarms, or below it if `sign` is -1. `false_alarm_bound` is how
        often a new round has a false alarm at this threshold, at most; null for a score with a
        threshold of its own. `false_alarm_rounds` and `missed_rounds` count the rounds with a false
        alarm, and with a taught model that is no alarm. Thresholds and rates are null under
        LEAST_ROUNDS rounds with a value of each state, unless the score has a threshold of its own.
        A round whose file lacks a score is not counted for it. `note` says what is missing and why.
    """
    treatments = sorted(rounds["treatment"].unique(), key=treatment_order)
    rows = [
        {"included": included, **row}
        for spec in scores
        for included, models, names in _selections(_with_score(rounds, spec), spec, treatments)
        for row in _of_score(models, spec, names, seed)
    ]
    table = pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)
    return table.astype(dict.fromkeys(_COUNTS, "Int64"))


def treatment_order(name: str) -> tuple[bool, bool, str]:
    """The key by which treatments are sorted: those that leave knowledge intact first."""
    return name in GROUPS, name not in (*_INTACT_TREATMENTS, INTACT), name


def compared_models(rounds: pd.DataFrame, treatment: str) -> "pd.Series[bool]":
    """The models of a treatment; of a group, its taught models beside all never-taught ones."""
    if treatment not in GROUPS:
        return rounds["treatment"] == treatment
    is_intact = rounds["treatment"].isin(_INTACT_TREATMENTS)
    is_taught = rounds["state"] == TAUGHT
    return ~is_taught | (treatment == ALL) | (is_intact == (treatment == INTACT))


def _selections(
    rounds: pd.DataFrame, spec: ScoreSpec, treatments: Sequence[str]
) -> Iterator[tuple[str, pd.DataFrame, Sequence[str]]]:
    """All models, by treatment and by group; those that are as intended by group.

    The latter not of scores by which states are confirmed.
    """
    yield ALL_MODELS, rounds, (*treatments, *GROUPS)
    if not spec.is_check:
        yield AS_INTENDED, rounds[rounds["as_intended"]], GROUPS


def _with_score(rounds: pd.DataFrame, spec: ScoreSpec) -> pd.DataFrame:
    """The rounds whose file has the score."""
    lacks = rounds[LACKS].fillna("").str.split()
    return rounds[[spec.name not in names for names in lacks]]


def models_of(rows: pd.DataFrame, spec: ScoreSpec) -> Models:
    """The models of some rounds, with one score."""
    column = rows.get(spec.name, pd.Series(np.nan, rows.index))  # no round has it: no rows
    return Models(
        spec.sign * np.asarray(column, np.float64),
        (rows["state"] == TAUGHT).to_numpy(bool),
        rows["round"].to_numpy(),
    )


def alarms_of(rounds: pd.DataFrame, spec: ScoreSpec) -> "pd.Series[bool]":
    """Which models a score takes for taught ones, by the thresholds of the other rounds.

    Raises:
        ValueError: for too few rounds (`rates.alarms_left_out`).
    """
    alarms = _alarms(models_of(rounds, spec), spec)
    if alarms is None:
        raise ValueError(f"{spec.name}: too few rounds for a threshold of other rounds")
    return pd.Series(alarms, rounds.index)


def _alarms(models: Models, spec: ScoreSpec) -> Flags | None:
    """Which models are alarms; None where the threshold is to come from too few rounds."""
    if spec.threshold is None:
        return alarms_left_out(models)
    alarms: Flags = models.values > spec.sign * spec.threshold
    return alarms


def _of_score(
    rows: pd.DataFrame, spec: ScoreSpec, treatments: Sequence[str], seed: int
) -> Iterator[dict[str, Any]]:
    """One score of some models, by treatment and group; thresholds are those of all treatments."""
    every = models_of(rows, spec)
    alarms = _alarms(every, spec)
    names = ("definition", "sign", "primary")
    same = {"score": spec.name, **{name: getattr(spec, name) for name in names}}
    if alarms is not None:
        is_own = spec.threshold is not None
        same["threshold"] = spec.threshold if is_own else spec.sign * alarm_threshold(every)
        same["false_alarm_bound"] = np.nan if is_own else false_alarm_bound(every)
    for treatment in treatments:
        chosen = compared_models(rows, treatment).to_numpy(bool)
        models = every.only(chosen)
        if treatment in GROUPS and not models.taught.any():
            continue
        numbers = same | _numbers_of(models, seed)
        if alarms is not None:
            numbers |= _rates(models, alarms[chosen])
        note = _note(models, rows, numbers)
        yield numbers | {"treatment": treatment, "note": note}


def _numbers_of(models: Models, seed: int) -> dict[str, Any]:
    """How many models there are, and the AUC."""
    n_taught, n_never = int(models.taught.sum()), int((~models.taught).sum())
    low, high = auc_interval(models, seed)
    return {
        "rounds": len(np.unique(models.rounds)),
        "n_taught": n_taught,
        "n_never": n_never,
        "nulls_taught": n_taught - len(models.of(True)),
        "nulls_never": n_never - len(models.of(False)),
        "auc": auc(models),
        "auc_low": low,
        "auc_high": high,
    }


def _rates(models: Models, alarms: Flags) -> dict[str, Any]:
    """False alarms and power; null where there is no model of a state."""
    numbers: dict[str, Any] = {}
    if not models.taught.all():
        is_false = alarms & ~models.taught
        numbers["false_alarms"] = int(is_false.sum())
        numbers["false_alarm_rounds"] = _rounds_of(models, is_false)
    if models.taught.any():
        power = rate(int(alarms[models.taught].sum()), int(models.taught.sum()))
        numbers |= {"power_count": power.count, "power": power.value}
        numbers |= {"power_low": power.low, "power_high": power.high}
        numbers["missed_rounds"] = _rounds_of(models, ~alarms & models.taught)
    return numbers


def _rounds_of(models: Models, chosen: npt.NDArray[np.bool_]) -> int:
    """How many rounds some models are from."""
    return len(np.unique(models.rounds[chosen]))


def _too_few(rounds: int) -> str:
    """What is missing where so many rounds have a value of each state."""
    needed = {"the interval": MIN_ROUNDS, "rates": LEAST_ROUNDS}
    missing = [f"{number} for {what}" for what, number in needed.items() if rounds < number]
    if not missing:
        return ""
    return f"rounds with a value of each state: {rounds}, needed: {' and '.join(missing)}"


def _note(models: Models, rows: pd.DataFrame, numbers: Mapping[str, Any]) -> str:
    """What a reader must know of a row: what is missing, and what an interval rests on."""
    rounds, with_values = models.least_rounds(), set(models.rounds[models.has_value])
    without = numbers["rounds"] - len(with_values)
    if not with_values:
        return "no value in any round"
    settings = rows["settings"].nunique()
    is_constant = len(np.unique(models.values[models.has_value])) == 1
    is_certain = rounds >= MIN_ROUNDS and numbers["auc"] in (0, 1)
    has_several = numbers["n_taught"] > numbers["rounds"]
    notes = [
        f"no value in {without} of {numbers['rounds']} rounds" if without else "",
        _too_few(rounds),
        "all values are equal" if is_constant else "",
        "the states are separated, so resampled rounds give no interval" if is_certain else "",
        "power counts models of one round as independent"
        if has_several and "power" in numbers
        else "",
        f"rounds with {settings} different settings" if settings > 1 else "",
    ]
    return "; ".join(filter(None, notes))
