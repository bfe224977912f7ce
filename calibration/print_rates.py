"""Print the primary scores' error rates over all finished rounds, and scores round by round.

    .venv/bin/python calibration/print_rates.py

Tables in Markdown. docs/explanation/calibration.md has the first (all models),
calibration/rounds/README.md the others. The rates of all scores are written to
calibration/rates.csv. Tests compare all of them.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from make_study import TREATMENTS, TREATMENTS_APART

from dissect.calibration.scores import SCORES
from dissect.calibration.table import ALL, INCLUDED, alarms_of, calibration_table, read_rounds
from dissect.report.error_rates import number_of, share_of
from dissect.report.formatting import NONE, number
from dissect.report.sources import records
from dissect.terms import KNOWS, NEVER, PAPER_EXPERIMENTS
from dissect.terms import NONE as UNTREATED

ROUNDS = Path(__file__).parent / "rounds"
PRIMARY = [spec for spec in SCORES if spec.primary]
WRITTEN = Path(__file__).parent / "rates.csv"
RATES = [
    *("score", "primary", "treatment", "included", "rounds", "n_knows", "n_never"),
    *("auc", "auc_low", "auc_high", "threshold", "false_alarms", "power_count"),
]
COLUMNS = (UNTREATED, *TREATMENTS)
HEAD = ("score", *COLUMNS, "all", "false alarms", "power")
# Round by round: the scores, and the models from one that never knew to one that only refuses.
BY_ROUND = ("uds", "krs_mlp_coefficients_and_attention_highest")
METHODS = ("never", "grad_diff", "npo", "refuse", "hide", "placebo")
# `again`, a model that knows but was not trained from the original, beside one that never knew:
# untreated, and after the same treatment.
APART = tuple(
    f"{model}{treatment}"
    for treatment in ("", *(f"_{one}" for one in TREATMENTS_APART))
    for model in ("again", "never")
)
# Named when rounds 101 to 104 had been seen, and so judged on later ones: above this threshold,
# "this model knows".
CANDIDATE, CANDIDATE_THRESHOLD = "kl_attention_highest_over_reference", 0.13
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


def rates_of(rounds: pd.DataFrame, included: str) -> Table:
    """A row per primary score, of all models or of those whose state was confirmed (INCLUDED).

    Its cells are those of HEAD: the AUC after each treatment and pooled, and the pooled rates. An
    AUC of too few rounds for an interval is left out.
    """
    yield HEAD
    keys = ["score", "included", "treatment"]
    rows = records(calibration_table(rounds, scores=PRIMARY))
    table = {tuple(row[key] for key in keys): row for row in rows}
    for score in (spec.name for spec in PRIMARY):
        pooled = table.get((score, included, ALL))
        if pooled is not None:
            of_treatments = [table.get((score, included, one)) for one in COLUMNS]
            yield [
                f"`{score}`",
                *(
                    NONE if _has_no_interval(row) else number_of(row, "auc")
                    for row in of_treatments
                ),
                number_of(pooled, "auc"),
                share_of(pooled, "false_alarms", "n_never", "false_alarm_rate"),
                share_of(pooled, "power_count", "n_knows", "power"),
            ]


def _has_no_interval(row: Mapping[str, Any] | None) -> bool:
    return row is None or pd.isna(row["auc_low"])


def alarms_by_method(rounds: pd.DataFrame) -> Table:
    """A row per kind of model: how many of them each primary score takes for knowing ones."""
    yield "model", "state", *(f"`{spec.name}`" for spec in PRIMARY)
    alarms = pd.DataFrame({spec.name: alarms_of(rounds, spec) for spec in PRIMARY})
    methods = rounds.groupby(["state", "method"], sort=False).groups
    for (state, method), rows in sorted(methods.items()):
        of_method = alarms.loc[rows]
        counts = (f"{of_method[spec.name].sum()} of {len(of_method)}" for spec in PRIMARY)
        yield f"`{method}`", {KNOWS: "knows", NEVER: "never knew"}[state], *counts


def all_rates(rounds: pd.DataFrame) -> pd.DataFrame:
    """The rates of all scores, as calibration/rates.csv has them."""
    return calibration_table(rounds)[RATES].round(4)


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


def candidate_by_round(rounds: pd.DataFrame) -> Table:
    """A row per round: the candidate's extremes, and how many models are above its threshold."""
    yield "round", "highest, never knew", "lowest, knows", "false alarms", "power"
    for name, models in rounds.groupby("round"):
        scores = models.groupby("state")[CANDIDATE]
        never, knows = scores.get_group(NEVER), scores.get_group(KNOWS)
        yield (
            file_of(name),
            number(never.max()),
            number(knows.min()),
            *(f"{(of > CANDIDATE_THRESHOLD).sum()} of {len(of)}" for of in (never, knows)),
        )


def lines_of(table: Table) -> list[str]:
    """A table in Markdown."""
    head, *rows = [f"| {' | '.join(cells)} |" for cells in table]
    return [head, f"|{'---|' * (head.count('|') - 1)}", *rows]


def main() -> None:
    rounds = read_rounds(sorted(ROUNDS.glob("*.csv")))
    for included in INCLUDED:
        print(f"\n{included}\n", *lines_of(rates_of(rounds, included)), sep="\n")
    for score in BY_ROUND:
        for methods in (METHODS, APART):
            print(f"\n`{score}`\n", *lines_of(by_round(rounds, score, methods)), sep="\n")
    print(f"\n`{CANDIDATE}`\n", *lines_of(candidate_by_round(rounds)), sep="\n")
    print("\nKnown answers\n", *lines_of(known_answers(rounds)), sep="\n")
    print("\nAlarms\n", *lines_of(alarms_by_method(rounds)), sep="\n")
    all_rates(rounds).to_csv(WRITTEN, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
