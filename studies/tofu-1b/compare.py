"""This study beside what UDS's authors published.

.venv/bin/python studies/tofu-1b/compare.py [RESULTS]

Prints UDS of each unlearned copy beside the published one, and, of the models of known state, how
well each score tells those that know the facts (pos_...) from those that never did (neg_...).
"""

import sys
from pathlib import Path

import pandas as pd
from scipy.stats import mannwhitneyu

from stillknows.csv_files import read_csv
from stillknows.terms import CORRECTED, PUBLISHED

HERE = Path(__file__).parent
PUBLISHED_AUC = 0.971  # of UDS, on these 60 models (docs/data/meta_eval.json there)
# What UDS of all 367 facts may differ from that of 363, and rounding in other kernels: to be told
# from a mistake, differences should be well below those between methods.
TOLERANCE = 0.02


def beside_published(uds: pd.DataFrame) -> pd.DataFrame:
    """method, published, here (the form of the published script), corrected, difference."""
    means = uds[uds["question"].isna()].pivot(index="method", columns="form", values="uds")
    table = read_csv(HERE / "published.csv").set_index("method")[["uds"]]
    table = table.rename(columns={"uds": "published"}).assign(
        here=means[PUBLISHED], corrected=means[CORRECTED]
    )
    return table.assign(difference=table["here"] - table["published"]).reset_index()


def scores(uds: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Per method, scores of which higher values speak for knowledge."""
    means = uds[uds["question"].isna()].pivot(index="method", columns="form", values="uds")
    tested = facts.groupby("method")
    shares = {name: tested[f"{name}_p"].agg(lambda p: (p <= 0.05).mean()) for name in _TESTS}
    return pd.DataFrame({"answers": tested["says"].mean(), **shares}).join(
        -means.add_prefix("uds_")
    )


_TESTS = ("association", "exposure")


def auc_of_pools(table: pd.DataFrame) -> "pd.Series[float]":
    """How often a model that knows the facts has the higher score of a pair."""
    knows, never = (table[table.index.str.startswith(pool)] for pool in ("pos_", "neg_"))
    return pd.Series(
        {
            name: mannwhitneyu(knows[name], never[name]).statistic / (len(knows) * len(never))
            for name in table
        }
    )


def main(results: Path) -> None:
    uds, facts = (read_csv(results / "tables" / name) for name in ("uds.csv", "facts.csv"))
    table = beside_published(uds)
    print(table.round(4).to_string(index=False))
    worst = table["difference"].abs().max()
    print(f"largest difference {worst:.4f}; expected: at most {TOLERANCE}\n")
    aucs = auc_of_pools(scores(uds, facts))
    print(aucs.round(3).to_string())
    print(f"published AUC of UDS: {PUBLISHED_AUC}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/tofu-1b"))
