"""Print how often the audit is wrong, over finished rounds of facts, as tables in Markdown.

    .venv/bin/python calibration/print_fact_rates.py calibration/fact_rounds

Copies are of four states. never, shuffled: their hosts were taught no fact that is asked for;
intact: taught some, and then not treated, or trained to refuse; unlearned: taught some, and then
trained to unlearn them, so that it is open which are left.
"""

import argparse
from pathlib import Path

import pandas as pd
from print_rates import Table, lines_of
from sklearn.metrics import roc_auc_score

from stillknows.analysis.calibration.rates import interval_of_share
from stillknows.analysis.verdict import VERDICTS
from stillknows.terms import INTACT_TREATMENTS

ALPHA = 0.05
STATES = NEVER, SHUFFLED, INTACT, UNLEARNED = ("never", "shuffled", "intact", "unlearned")
# What may foretell that a fact comes back when others are taught again: higher is more likely.
FORETELLING = {"association_p": -1, "exposure_p": -1, "uds": -1, "logprob": 1}


def read(folder: Path, kind: str) -> pd.DataFrame:
    """All rows of `seed_N_{kind}.csv`, with the state of the copy.

    Args:
        kind: facts or copies.
    """
    files = sorted(folder.glob(f"seed_*_{kind}.csv"))
    if not files:
        raise SystemExit(f"error: {folder} has no seed_N_{kind}.csv; run make proof first")
    rows = pd.concat(map(pd.read_csv, files), ignore_index=True)
    return rows.assign(state=[*map(state, rows["host"], rows["dose"], rows["treatment"])])


def state(host: str, dose: float, treatment: str) -> str:
    """The state of a copy."""
    if host == SHUFFLED:
        return SHUFFLED
    if dose == 0:
        return NEVER
    return INTACT if treatment in INTACT_TREATMENTS else UNLEARNED


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
    """Copies with `known`, and whether the lower bound is above it (`is_false`)."""
    table = copies.join(known(facts), on=["round", "method"])
    return table.assign(is_false=table["knows"] > table["known"])


def false_bounds(copies: pd.DataFrame) -> Table:
    """Copies, and rounds with at least one, whose lower bound is above the number that is known."""
    yield "state", "copies with a false bound", "rounds with one"
    for name, rows in [*copies.groupby("state"), ("all", copies)]:
        yield name, share(rows["is_false"]), share(rows.groupby("round")["is_false"].any())


def confusion(copies: pd.DataFrame) -> Table:
    """How many copies of each state and treatment get which verdict."""
    counts = pd.crosstab([copies["state"], copies["treatment"]], copies["verdict"])
    counts = counts.reindex(columns=[*VERDICTS], fill_value=0)
    yield "state", "treatment", *VERDICTS
    for name, treatment in counts.index:
        yield name, treatment, *map(str, counts.loc[(name, treatment)])


def power(facts: pd.DataFrame, copies: pd.DataFrame) -> Table:
    """By dose and treatment: the taught facts that are found, and the lower bound as a share."""
    yield "dose", "treatment", "copies", "taught facts found", "mean lower bound, share"
    intact = copies[copies["state"] == INTACT]
    for (dose, treatment), group in intact.groupby(["dose", "treatment"]):
        same = (facts["dose"] == dose) & (facts["treatment"] == treatment) & facts["taught"]
        bound = (group["knows"] / group["facts"]).mean()
        found = facts.loc[same & (facts["state"] == INTACT), "found"]
        yield f"{dose:.2f}", treatment, str(len(group)), share(found), f"{bound:.2f}"


def foretelling(facts: pd.DataFrame) -> Table:
    """AUC of each score for what relearning brings back, of taught facts in unlearned copies."""
    asked = facts[(facts["state"] == UNLEARNED) & facts["taught"] & facts["relearned"].notna()]
    yield "score", "facts that come back", "AUC"
    for name, sign in FORETELLING.items():
        table = asked.dropna(subset=name)
        back = table["relearned"].astype(bool)
        auc = f"{roc_auc_score(back, sign * table[name]):.2f}" if back.nunique() == 2 else "none"
        yield name, f"{int(back.sum())} of {len(back)}", auc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of seed_N_facts.csv and seed_N_copies.csv")
    folder = parser.parse_args().folder
    facts, copies = read(folder, "facts"), read(folder, "copies")
    copies = with_known(copies, facts)
    tables = {
        "False discoveries": false_discoveries(facts),
        "False lower bounds": false_bounds(copies),
        "Verdicts": confusion(copies),
        "Power": power(facts, copies),
        "What foretells that a fact comes back": foretelling(facts),
    }
    print(f"{facts['round'].nunique()} rounds, {len(copies)} copies.")
    for title, table in tables.items():
        print(f"\n### {title}\n", *lines_of(table), sep="\n")


if __name__ == "__main__":
    main()
