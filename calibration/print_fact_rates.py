"""Print how often the audit is wrong, over finished rounds of facts, as tables in Markdown.

    .venv/bin/python calibration/print_fact_rates.py calibration/fact_rounds
    .venv/bin/python calibration/print_fact_rates.py calibration/fact_rounds --as-kept

Verdicts are given again from the p-values that the rounds keep, by the present rule; --as-kept: as
the rounds gave them.

Copies are of four states. never, shuffled: their hosts were taught no fact that is asked for;
intact: taught some, and then not treated, or trained to refuse; unlearned: taught some, and then
trained to unlearn them, so that it is open which are left.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from invented import FACTS_EACH
from print_rates import Table, lines_of

from stillknows.analysis.calibration.rates import (
    Models,
    auc,
    auc_difference,
    auc_interval,
    interval_of_share,
)
from stillknows.analysis.depth import SURVIVES_UP_TO
from stillknows.analysis.verdict import (
    KNOWS,
    NOT_FOUND,
    SAYS,
    VERDICTS,
    Evidence,
    share_at_most,
    strongest_word,
    verdict,
)
from stillknows.terms import INTACT_TREATMENTS

ALPHA = 0.05
STATES = NEVER, SHUFFLED, INTACT, UNLEARNED = ("never", "shuffled", "intact", "unlearned")
UNDISPUTED = (NEVER, SHUFFLED, INTACT)  # it is known of each fact whether the copy knows it
# Scores of a fact, and the sign with which a higher one speaks for knowledge. The last five are
# baselines; weight_change is one number of the whole copy.
SCORES = {
    "association_p": -1,
    "exposure_p": -1,
    "uds": -1,
    "logprob": 1,  # the loss of the fact
    "truth_ratio": 1,
    "logprob_lowest": 1,  # min-k
    "logprob_lens": 1,  # logit lens
    "weight_change": -1,
}
SEED = 0  # of the bootstrap over rounds


def read(folder: Path, kind: str) -> pd.DataFrame:
    """All rows of `seed_N_{kind}.csv`, with the state of the copy.

    Args:
        kind: facts or copies.
    """
    files = sorted(folder.glob(f"seed_*_{kind}.csv"))
    if not files:
        raise SystemExit(f"error: {folder} has no seed_N_{kind}.csv; run make calibrate first")
    rows = pd.concat(map(pd.read_csv, files), ignore_index=True)
    return rows.assign(state=[*map(state, rows["host"], rows["dose"], rows["treatment"])])


def with_scores(facts: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    """Facts with all of SCORES."""
    changes = copies.set_index(["round", "method"])["weight_change"]
    ratio = facts["logprob"] - facts["logprob_decoys"]
    return facts.assign(truth_ratio=ratio).join(changes, on=["round", "method"])


def state(host: str, dose: float, treatment: str) -> str:
    """The state of a copy."""
    if host == SHUFFLED:
        return SHUFFLED
    if dose == 0:
        return NEVER
    return INTACT if treatment in INTACT_TREATMENTS else UNLEARNED


def by_present_rule(copies: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Copies with the verdicts of the present rule, from the p-values of their facts."""
    tested = facts[facts["original_says"]].groupby(["round", "method"])
    rows = []
    for row in copies.to_dict("records"):
        own = tested.get_group((row["round"], row["method"]))
        evidence = Evidence(
            says=own["says"].tolist(),
            knowledge=own[["association_p"]],
            subjects=(own["question"] // FACTS_EACH).tolist(),
            exposure=own["exposure_p"].tolist(),
            suppressed=own["suppressed_p"].tolist(),
        )
        new = verdict(evidence, ALPHA)
        # The controls are those of the round.
        reasons = "" if pd.isna(row["reasons"]) else row["reasons"]
        word = strongest_word(new.says, new.knows, new.exposed or new.suppressed, reasons)
        bound = share_at_most(new.firing, new.facts, row["power"], ALPHA)
        row |= {name: getattr(new, name) for name in ("knows", "exposed", "suppressed")}
        row |= {"verdict": word, "at_most": bound if word == NOT_FOUND else None}
        rows.append(row)
    return pd.DataFrame(rows)


def share(successes: "pd.Series[bool]") -> str:
    """How many of how many, with the exact 95 % interval as if all were independent."""
    k, n = int(successes.sum()), len(successes)
    if not n:
        return "none"
    low, high = interval_of_share(k, n)
    return f"{k} of {n} [{low:.3f}, {high:.3f}]"


def false_discoveries(facts: pd.DataFrame) -> Table:
    """Facts that no host was taught, by the state of the copy."""
    yield "facts never taught, in copies that are", "said", "found", "association", "exposure"
    for name, rows in facts[~facts["taught"]].groupby("state"):
        yield (
            name,
            share(rows["says"]),
            share(rows["found"]),
            share(rows["association_p"] <= ALPHA),
            share(rows["exposure_p"] <= ALPHA),
        )


def known(facts: pd.DataFrame) -> "pd.Series[int]":
    """By round and copy, how many of the facts that are tested its host was taught."""
    tested = facts[facts["original_says"]]
    return tested.groupby(["round", "method"])["taught"].sum().rename("known")


def with_known(copies: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Copies with `known`, and which bounds are false.

    is_false: the lower bound is above it; is_over: NOT FOUND, and it is above the upper bound.
    """
    table = copies.join(known(facts), on=["round", "method"])
    is_over = table["known"] / table["facts"] > table["at_most"]  # null but for NOT FOUND
    return table.assign(is_false=table["knows"] > table["known"], is_over=is_over)


def false_bounds(copies: pd.DataFrame) -> Table:
    """Copies, and rounds with at least one, whose lower bound is above the number that is known.

    And copies with NOT FOUND whose upper bound is below it; of unlearned ones, nobody knows.
    """
    yield "state", "copies with a false lower bound", "rounds with one", "NOT FOUND, d too small"
    for name, rows in [*copies.groupby("state"), ("all", copies)]:
        bounded = rows[(rows["verdict"] == NOT_FOUND) & (rows["state"] != UNLEARNED)]
        rounds = share(rows.groupby("round")["is_false"].any())
        yield name, share(rows["is_false"]), rounds, share(bounded["is_over"])


def confusion(copies: pd.DataFrame) -> Table:
    """How many copies of each state and treatment get which verdict; known: SAYS or KNOWS."""
    counts = pd.crosstab([copies["state"], copies["treatment"]], copies["verdict"])
    counts = counts.reindex(columns=[*VERDICTS], fill_value=0)
    is_known = copies["verdict"].isin([SAYS, KNOWS])
    yield "state", "treatment", *VERDICTS, "known"
    for name, treatment in counts.index:
        is_here = (copies["state"] == name) & (copies["treatment"] == treatment)
        yield name, treatment, *map(str, counts.loc[(name, treatment)]), share(is_known[is_here])
    for name, flags in is_known.groupby(copies["state"]):
        yield name, "all", *[""] * len(VERDICTS), share(flags)


def power(facts: pd.DataFrame, copies: pd.DataFrame) -> Table:
    """By dose and treatment: the taught facts that are found, and the lower bound as a share."""
    yield "dose", "treatment", "copies", "taught facts found", "mean lower bound, share"
    intact = copies[copies["state"] == INTACT]
    for (dose, treatment), group in intact.groupby(["dose", "treatment"]):
        same = (facts["dose"] == dose) & (facts["treatment"] == treatment) & facts["taught"]
        bound = (group["knows"] / group["facts"]).mean()
        found = facts.loc[same & (facts["state"] == INTACT), "found"]
        yield f"{dose:.2f}", treatment, str(len(group)), share(found), f"{bound:.2f}"


def estimates(copies: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Of each copy whose facts are UNDISPUTED: the share that is known, and each test's estimate.

    Returns:
        round, method, state, known (0 to 1), and a column per estimate, 0 to 1.
    """
    tested = facts[facts["original_says"] & facts["state"].isin(UNDISPUTED)]
    flags = {
        "known": tested["taught"],
        "says": tested["says"],
        "association, p ≤ 0.05": tested["association_p"] <= ALPHA,
        "exposure, p ≤ 0.05": tested["exposure_p"] <= ALPHA,
        f"UDS ≤ {SURVIVES_UP_TO:g}": (tested["uds"] <= SURVIVES_UP_TO).where(tested["uds"].notna()),
    }
    key = ["round", "method", "state"]
    shares = tested[key].assign(**{name: flag.astype(float) for name, flag in flags.items()})
    table = shares.groupby(key, as_index=False).mean()
    bounds = copies.set_index(["round", "method"])
    bounds = (bounds["knows"] / bounds["facts"]).rename("lower bound")
    return table.join(bounds, on=["round", "method"])


def known_fraction(table: pd.DataFrame) -> Table:
    """How far each estimate of the known share is from the true one, from `estimates`."""
    yield "estimate", "copies", "slope", "mean absolute error", "largest overestimate"
    for name in table.columns.drop(["round", "method", "state", "known"]):
        rows = table.dropna(subset=name)
        error = rows[name] - rows["known"]
        slope = np.polyfit(rows["known"], rows[name], 1)[0]
        numbers = (slope, error.abs().mean(), error.max())
        yield name, str(len(rows)), *(f"{number:.2f}" for number in numbers)


def separation(facts: pd.DataFrame, outcome: str) -> Table:
    """AUC of each of SCORES for an outcome of facts, and its difference to that of UDS.

    Args:
        outcome: a column of true and false.
    """

    def models(name: str) -> Models:
        values = SCORES[name] * facts[name].to_numpy(float)
        return Models(values, facts[outcome].to_numpy(bool), facts["round"].to_numpy())

    yield "score", f"{outcome}, of all facts", "AUC", "less that of UDS"
    for name in SCORES:
        scores = models(name)
        flags = scores.taught[scores.has_value]
        low, high = auc_interval(scores, SEED)
        beside = auc_difference(scores, models("uds"), SEED)
        yield (
            name,
            f"{flags.sum()} of {len(flags)}",
            f"{auc(scores):.2f}{interval(low, high)}",
            f"{beside.value:+.2f}{interval(beside.low, beside.high)}",
        )


def interval(low: float, high: float) -> str:
    """A 95 % interval; nothing where too few rounds give none."""
    return "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"


def foretelling(facts: pd.DataFrame) -> Table:
    """How well each score foretells what relearning brings back, of taught facts that are gone."""
    asked = facts["taught"] & facts["relearned"].notna() & ~facts["says"]
    rows = facts[asked & (facts["state"] == UNLEARNED)]
    return separation(rows.rename(columns={"relearned": "comes back"}), "comes back")


def ladder(copies: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Means by host and point of an unlearning training: what is left, and what is retained.

    Returns:
        a row per host and recipe: copies, steps, the loss of the forgotten answers (nats per
        token), shares of the taught facts, and retained_recall, 0 to 1.
    """
    taught = facts[(facts["state"] == UNLEARNED) & facts["taught"]]
    key = ["host", "recipe"]
    left = pd.DataFrame(
        {
            "says": taught["says"],
            "association": taught["association_p"] <= ALPHA,
            "UDS": taught["uds"] <= SURVIVES_UP_TO,
            "comes back": taught["relearned"].astype(float),
        }
    ).astype(float)
    left = left.groupby([taught[name] for name in key]).mean()
    names = ["steps", "final_loss_forget", "retained_recall"]
    unlearned = copies[copies["state"] == UNLEARNED].groupby(key)
    means = unlearned[names].mean().assign(copies=unlearned.size())
    return means.join(left)[["copies", *names[:2], *left.columns, "retained_recall"]].reset_index()


def ladder_table(rows: pd.DataFrame) -> Table:
    yield tuple(rows.columns)
    for row in rows.itertuples(index=False):
        yield *row[:2], str(row[2]), *(f"{number:.2f}" for number in row[3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of seed_N_facts.csv and seed_N_copies.csv")
    parser.add_argument("--as-kept", action="store_true", help="verdicts as the rounds gave them")
    given = parser.parse_args()
    facts, copies = read(given.folder, "facts"), read(given.folder, "copies")
    copies = with_known(copies if given.as_kept else by_present_rule(copies, facts), facts)
    facts = with_scores(facts, copies)
    undisputed = facts[facts["state"].isin(UNDISPUTED)]
    tables = {
        "False discoveries": false_discoveries(facts),
        "False lower bounds": false_bounds(copies),
        "Verdicts": confusion(copies),
        "Power": power(facts, copies),
        "The share of facts that is known": known_fraction(estimates(copies, facts)),
        "Taught facts among all, in copies with no or intact knowledge": separation(
            undisputed, "taught"
        ),
        "What foretells that a fact comes back": foretelling(facts),
        "Unlearning, step by step": ladder_table(ladder(copies, facts)),
    }
    print(f"{facts['round'].nunique()} rounds, {len(copies)} copies.")
    for title, table in tables.items():
        print(f"\n### {title}\n", *lines_of(table), sep="\n")


if __name__ == "__main__":
    main()
