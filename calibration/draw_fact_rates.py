"""Draw what the audit's tests find over finished rounds of facts, beside what is true.

    .venv/bin/python calibration/draw_fact_rates.py calibration/fact_rounds fact_rates.png

Left: of each copy with no or intact knowledge, the share of facts that each test finds, against the
share that it was taught. Right: what is left of the taught facts, step by step of an unlearning
training, with recall of retained facts.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from print_fact_rates import estimates, ladder, read

HALF = "taught_50"
RETAINED = "retained facts recalled, of the original's"
LINES = {
    "says": "said in free answers",
    "association": "association, p $\\leq$ 0.05",
    "UDS": "UDS $\\leq$ 0.5",
    "comes back": "said after the others were taught again",
    "retained_recall": RETAINED,
}


def draw(shares: pd.DataFrame, steps: pd.DataFrame) -> Figure:
    """Both panels, from print_fact_rates.estimates and .ladder."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    rounds = shares["round"].nunique()
    _draw_shares(left, shares.drop(columns=["round", "method", "state"]))
    _draw_ladder(right, steps[steps["host"] == HALF])
    about = f"{len(shares)} copies with no or intact knowledge; rounds: {rounds}"
    figure.suptitle(about, size=10)
    return figure


def _draw_shares(axes: Axes, shares: pd.DataFrame) -> None:
    """Mean and 95 % interval of each estimate by the true share; points are moved apart."""
    long = shares.melt("known", var_name="estimate", value_name="share")
    names = [*long["estimate"].unique()]
    apart = 0.012 * (long["estimate"].map(names.index) - (len(names) - 1) / 2)
    long["known"] = long["known"].round(2) + apart
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
    sns.lineplot(
        long,
        x="known",
        y="share",
        hue="estimate",
        style="estimate",
        markers=True,
        dashes=False,
        err_style="bars",
        errorbar=("ci", 95),
        seed=0,
        palette="colorblind",
        ax=axes,
    )
    axes.set(xlabel="share of facts that the copy was taught", ylabel="share found by each test")
    axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    axes.legend(title=None, fontsize=8, loc="upper left")
    axes.set_title("grey: what is true; below it: missed; above it: false", size=9)


def _draw_ladder(axes: Axes, steps: pd.DataFrame) -> None:
    colours = sns.color_palette("colorblind", len(LINES))
    methods = steps["recipe"].str.rsplit("_", n=1).str[0]
    for method, dashes in zip(sorted(methods.unique()), ("solid", "dashed"), strict=False):
        rows = steps[methods == method].sort_values("steps")
        for (column, name), colour in zip(LINES.items(), colours, strict=True):
            style = {"color": "0.5"} if column == "retained_recall" else {"color": colour}
            axes.plot(
                rows["final_loss_forget"],
                rows[column],
                linestyle=dashes,
                marker="o",
                markersize=4,
                label=f"{method}: {name}",
                **style,
            )
    axes.set(xlabel="loss of the forgotten answers, nats per token")
    axes.set(ylabel="share", ylim=(-0.04, 1.14))
    axes.legend(fontsize=7)
    axes.set_title("taught facts that are left (host: half of the facts taught)", size=9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of seed_N_facts.csv and seed_N_copies.csv")
    parser.add_argument("output", type=Path, help="a PNG or PDF")
    chosen = parser.parse_args()
    facts, copies = read(chosen.folder, "facts"), read(chosen.folder, "copies")
    figure = draw(estimates(copies, facts), ladder(copies, facts))
    figure.savefig(chosen.output, dpi=150)


if __name__ == "__main__":
    main()
