"""Print how often scores are wrong, over all finished rounds, and write two tables.

    .venv/bin/python calibration/print_rates.py

Printed are tables in Markdown: docs/explanation/calibration.md has the first two,
calibration/rounds/README.md the others. Written are calibration/rates.csv (a row per score) and
calibration/differences.csv (a row per two scores, compared on the same models). Tests compute all
of them again.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from make_study import TREATMENTS, TREATMENTS_APART
from scipy.stats import binomtest

from stillknows.analysis.calibration.rates import auc_difference
from stillknows.analysis.calibration.scores import BASELINES, OUTCOME, SCORES, ScoreSpec
from stillknows.analysis.calibration.table import (
    ALL,
    ALL_MODELS,
    INTACT,
    UNLEARNED,
    alarms_of,
    calibration_table,
    models_of,
    read_rounds,
)
from stillknows.report.sources import NONE, number, records, with_interval
from stillknows.terms import NEVER, PAPER_EXPERIMENTS, TAUGHT

HERE = Path(__file__).parent
ROUNDS = HERE / "rounds"
RATES, DIFFERENCES = HERE / "rates.csv", HERE / "differences.csv"
SPECS = {spec.name: spec for spec in SCORES}
KRS, UDS, RELEARNED = (spec.name for spec in SCORES if spec.primary)
NORM = BASELINES[0]
# The paper argues by contrast: coefficients and attention recover much, value vectors little.
CONTRAST = ScoreSpec(
    "krs_contrast", "highest KRS of coefficients and attention, less that of value vectors", +1
)
# Of the page's first table, and the scores that are compared with each other.
HEADLINE = (KRS, CONTRAST.name, UDS, "uds_published", RELEARNED, *BASELINES, OUTCOME)
COMPARED = ((UDS, KRS), (UDS, NORM), (KRS, NORM), ("uds_published", UDS), (RELEARNED, UDS))
# Pairs of a round: a taught model and the never-taught one after the same treatment. SAME: the
# taught one was trained from the original. APART: it was not, but taught from the base model.
SAME = {one: f"never_{one}" for one in TREATMENTS}
APART = {
    "again": "never",
    "brief": "never",
    **{f"again_{one}": f"never_{one}" for one in TREATMENTS_APART},
}
# Round by round: the scores, and the models from one that was never taught to one that refuses.
BY_ROUND = (UDS, KRS)
METHODS = ("never", "grad_diff", "npo", "refuse", "hide", "placebo")
METHODS_APART = tuple(
    f"{model}{treatment}"
    for treatment in ("", *(f"_{one}" for one in TREATMENTS_APART))
    for model in ("again", "never")
)
# The paper's experiments on models of known state: the scores, the models, and an earlier
# measurement with one seed, in the order of PAPER_EXPERIMENTS; None: not measured.
RECOVERED = {"krs": "KRS", "logprob_answer": "log-probability", "top1": "top-1"}
KNOWN = ("never", "grad_diff", "refuse", "hide")
EARLIER: dict[tuple[str, str], tuple[float | None, ...]] = {
    ("krs", "never"): (0.53, 0.43, 0.67, 0.08),
    ("krs", "grad_diff"): (0.65, 0.64, 0.74, 0.07),
    ("krs", "refuse"): (0.53, 0.74, 0.83, 0.11),
    ("krs", "hide"): (0.87, 0.39, 0.96, 0.43),
    ("logprob_answer", "never"): (0.83, None, 0.92, 0.21),
    ("logprob_answer", "grad_diff"): (0.65, None, 0.89, 0.15),
    ("logprob_answer", "refuse"): (0.41, None, 0.99, 0.21),
    ("logprob_answer", "hide"): (1.00, None, 1.00, 0.87),
}

Table = Iterable[Sequence[str]]  # its head, then its rows, in cells
Row = Mapping[str, Any]


def read_finished() -> pd.DataFrame:
    """All finished rounds, with the contrast as one more score."""
    rounds = read_rounds(sorted(ROUNDS.glob("*.csv")))
    difference = rounds[KRS] - rounds["krs_value_vectors_highest"]
    return rounds.assign(**{CONTRAST.name: difference})


def right_order(rounds: pd.DataFrame, spec: ScoreSpec, pairs: Mapping[str, str]) -> pd.Series:
    """Per pair, whether the score indicates more knowledge in the taught model.

    Args:
        pairs: taught method -> never-taught method (SAME, APART).

    Returns:
        bool, by round and taught method, of the pairs that have a value of both models.
    """
    values = spec.sign * rounds.pivot(index="round", columns="method", values=spec.name)
    excess = pd.DataFrame({one: values[one] - values[other] for one, other in pairs.items()})
    return excess.stack().dropna() > 0


# The tables that are written.


def rates(rounds: pd.DataFrame) -> pd.DataFrame:
    """A row per score that has a value in a round: calibration/rates.csv."""
    # No file of rounds has the contrast as a column, and none lacks it.
    specs = [CONTRAST, *SCORES]
    table = calibration_table(rounds, scores=specs)
    of_models = table[(table["included"] == ALL_MODELS) & table["auc"].notna()]
    by_group = {
        group: of_models[of_models["treatment"] == group].set_index("score")
        for group in (ALL, INTACT, UNLEARNED)
    }
    pooled = by_group[ALL]
    columns: dict[str, Any] = {name: pooled[name] for name in ("auc", "auc_low", "auc_high")}
    for group in (INTACT, UNLEARNED):
        columns[f"auc_{group}"] = by_group[group]["auc"]
    for name, pairs in {"same": SAME, "apart": APART}.items():
        orders = {
            spec.name: right_order(rounds, spec, pairs)
            for spec in specs
            if spec.name in pooled.index
        }
        columns[f"pairs_{name}"] = pd.Series({score: len(one) for score, one in orders.items()})
        columns[f"right_{name}"] = pd.Series({score: one.sum() for score, one in orders.items()})
    columns["threshold"] = pooled["threshold"]
    for name in ("false_alarms", "n_never", "false_alarm_rounds", "rounds"):
        columns[name] = pooled[name]
    for group in (INTACT, UNLEARNED):
        columns[f"power_count_{group}"] = by_group[group]["power_count"]
        columns[f"n_{group}"] = by_group[group]["n_taught"]
    table = pd.DataFrame(columns).reindex([one.name for one in specs if one.name in pooled.index])
    return table.rename_axis("score").reset_index().round(4)


def differences(rounds: pd.DataFrame) -> pd.DataFrame:
    """A row per two scores of COMPARED: calibration/differences.csv.

    The AUC's difference with its interval over rounds; in how many same-treatment pairs only one of
    the two scores has the right order, and the p-value of an exact McNemar test of these.
    """
    rows = []
    for one, other in COMPARED:
        first, second = (SPECS[name] for name in (one, other))
        auc = auc_difference(models_of(rounds, first), models_of(rounds, second), seed=0)
        rights = [right_order(rounds, spec, SAME) for spec in (first, second)]
        only = [int((a & ~b).sum()) for a, b in (rights, rights[::-1])]
        p = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
        rows.append(
            {"score": one, "other": other, "auc_difference": auc.value, "low": auc.low}
            | {"high": auc.high, "pairs": len(rights[0]), "only_score": only[0]}
            | {"only_other": only[1], "p": p}
        )
    return pd.DataFrame(rows).round(4)


# The tables that are printed.


def headline(table: pd.DataFrame) -> Table:
    """A row per score of HEADLINE that the table of rates has."""
    cells: dict[str, Callable[[Row], str]] = {
        "rounds": lambda row: f"{row['rounds']:g}",
        "AUC": lambda row: with_interval(row, "auc"),
        "AUC, intact": lambda row: number(row["auc_intact"]),
        "AUC, unlearned": lambda row: number(row["auc_unlearned"]),
        "pairs, same treatment": lambda row: _of(row, "right_same", "pairs_same"),
        "pairs, not from the original": lambda row: _of(row, "right_apart", "pairs_apart"),
        "false alarms": lambda row: _of(row, "false_alarms", "n_never"),
        "power, intact": lambda row: _of(row, "power_count_intact", "n_intact"),
        "power, unlearned": lambda row: _of(row, "power_count_unlearned", "n_unlearned"),
    }
    yield "score", *cells
    rows = {row["score"]: row for row in records(table)}
    for score in HEADLINE:
        if score in rows:
            yield f"`{score}`", *(cell(rows[score]) for cell in cells.values())


def _of(row: Row, count: str, models: str) -> str:
    """k/n; a dash where there is no threshold, and so no k, as of a score of a single round."""
    return NONE if pd.isna(row[count]) else f"{row[count]:.0f}/{row[models]:.0f}"


def compared(table: pd.DataFrame) -> Table:
    """A row per two scores, from the table of differences."""
    yield (
        "score",
        "less",
        "AUC difference",
        "pairs that only the first orders right",
        "only the second",
        "p",
    )
    for row in records(table):
        ends = {"value": row["auc_difference"], "low": row["low"], "high": row["high"]}
        counts = (str(row[name]) for name in ("only_score", "only_other"))
        yield (
            f"`{row['score']}`",
            f"`{row['other']}`",
            with_interval(ends),
            *counts,
            f"{row['p']:.3f}",
        )


def alarms_by_round(rounds: pd.DataFrame) -> Table:
    """A row per round: false alarms, and taught models that are no alarm, of some scores."""
    scores = (KRS, UDS, RELEARNED, NORM)
    yield "round", *(f"`{score}`" for score in scores)
    alarms = pd.DataFrame({score: alarms_of(rounds, SPECS[score]) for score in scores})
    is_taught = rounds["state"] == TAUGHT
    for name, models in rounds.groupby("round").groups.items():
        of_round, taught = alarms.loc[models], is_taught[models]
        yield (
            file_of(name),
            *(
                f"{of_round.loc[~taught, score].sum()} of {(~taught).sum()}; "
                f"{(~of_round.loc[taught, score]).sum()} of {taught.sum()}"
                for score in scores
            ),
        )


def alarms_by_method(rounds: pd.DataFrame) -> Table:
    """A row per kind of model: how many of them some scores take for taught ones."""
    scores = (KRS, UDS, RELEARNED, NORM)
    yield "model", "state", *(f"`{score}`" for score in scores)
    alarms = pd.DataFrame({score: alarms_of(rounds, SPECS[score]) for score in scores})
    methods = rounds.groupby(["state", "method"], sort=False).groups
    states = {TAUGHT: "taught", NEVER: "never taught"}
    for (state, method), rows in sorted(methods.items(), reverse=True):
        of_method = alarms.loc[rows]
        counts = (f"{of_method[score].sum()} of {len(of_method)}" for score in scores)
        yield f"`{method}`", states[state], *counts


def by_round(rounds: pd.DataFrame, score: str, methods: Sequence[str] = METHODS) -> Table:
    """A row per round that has the first of some methods: a score of each."""
    yield ("round", *methods)
    values = rounds.pivot(index="round", columns="method", values=score)
    for name, row in values.dropna(subset=methods[0]).iterrows():
        yield (file_of(name), *(number(row[method]) for method in methods))


def file_of(name: Hashable) -> str:
    """A round's name, as a link to its file."""
    return f"[{name}]({name}.csv)"


def known_answers(rounds: pd.DataFrame) -> Table:
    """A row per score and model of known state: the highest recovery by each experiment.

    A cell has the mean [lowest, highest] over rounds and, if there is one, the earlier measurement.
    """
    yield "recovered", "model", *(f"`{experiment}`" for experiment in PAPER_EXPERIMENTS)
    for score, method in product(RECOVERED, KNOWN):
        models = rounds[rounds["method"] == method]
        earlier = EARLIER.get((score, method), (None,) * len(PAPER_EXPERIMENTS))
        cells = (
            _beside(models[f"{score}_{experiment}_highest"], value)
            for experiment, value in zip(PAPER_EXPERIMENTS, earlier, strict=True)
        )
        yield RECOVERED[score], f"`{method}`", *cells


def _beside(values: pd.Series, earlier: float | None) -> str:
    spread = f"{number(values.mean())} [{number(values.min())}, {number(values.max())}]"
    return spread if earlier is None else f"{spread}; {number(earlier)}"


def printed(rounds: pd.DataFrame) -> Iterator[tuple[str, Table]]:
    """All tables that are printed, each with its title."""
    yield "Scores", headline(rates(rounds))
    yield "Differences", compared(differences(rounds))
    for score, methods in product(BY_ROUND, (METHODS, METHODS_APART)):
        yield f"`{score}`", by_round(rounds, score, methods)
    yield "Known answers", known_answers(rounds)
    yield "False alarms; misses, by round", alarms_by_round(rounds)
    yield "Alarms, by model", alarms_by_method(rounds)


def lines_of(table: Table) -> list[str]:
    """A table in Markdown."""
    head, *rows = [f"| {' | '.join(cells)} |" for cells in table]
    return [head, f"|{'---|' * (head.count('|') - 1)}", *rows]


def main() -> None:
    rounds = read_finished()
    for title, table in printed(rounds):
        print(f"\n{title}\n", *lines_of(table), sep="\n")
    for path, table in {RATES: rates(rounds), DIFFERENCES: differences(rounds)}.items():
        table.to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
