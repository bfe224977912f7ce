"""Draw what the audit's tests find over finished rounds of facts, beside what is true.

    .venv/bin/python calibration/draw_fact_rates.py calibration/fact_rounds fact_rates.png

Left: of each copy with no or intact knowledge, the share of facts that each test finds, against the
share that it was taught. Right: what is left of the taught facts, step by step of an unlearning
training (of the host that was taught half of the facts), with recall of retained facts.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from print_fact_rates import by_present_rule, estimates, ladder, read

HALF = "taught_50"
PALETTE = sns.color_palette("colorblind")
# What is drawn, by the columns of print_fact_rates.estimates and of .ladder; the same colour is
# the same test.
TESTS = {"says": 0, "association": 1, "exposure": 2, "UDS": 3, "bound": 4, "back": 9}
COLOURS = {name: PALETTE[number] for name, number in TESTS.items()}
SHARES = {
    "says": ("said in free answers", "says", "o"),
    "association, p ≤ 0.05": ("association, p ≤ 0.05", "association", "s"),
    "exposure, p ≤ 0.05": ("exposure, p ≤ 0.05", "exposure", "^"),
    "UDS ≤ 0.5": ("UDS ≤ 0.5", "UDS", "D"),
    "lower bound": ("the verdict's lower bound", "bound", "v"),
}
LEFT = {
    "says": ("said in free answers", "says", "o"),
    "association": ("association, p ≤ 0.05", "association", "s"),
    "UDS": ("UDS ≤ 0.5", "UDS", "D"),
    "comes back": ("said after half of the others were taught again", "back", "X"),
}
RETAINED = "retained facts recalled, of the original's"


def draw(shares: pd.DataFrame, steps: pd.DataFrame) -> Figure:
    """All panels, from print_fact_rates.estimates and .ladder."""
    of_half = steps[steps["host"] == HALF]
    methods, _, stops = zip(*of_half["recipe"].str.rpartition("_").to_numpy(), strict=True)
    is_ladder = [stop.isdigit() for stop in stops]
    ladders = [*of_half.assign(ladder=methods)[is_ladder].groupby("ladder")]
    figure, axes = plt.subplots(1, 1 + len(ladders), figsize=(11, 4.6), layout="constrained")
    panels = np.atleast_1d(axes)
    _draw_shares(panels[0], shares.drop(columns=["round", "method", "state"]))
    about = f"{len(shares)} copies with no or intact knowledge, {shares['round'].nunique()} rounds"
    panels[0].set_title(f"{about}\ngrey: what is true; above it: false", size=9)
    for panel, (method, rows) in zip(panels[1:], ladders, strict=True):
        _draw_ladder(panel, rows.sort_values("steps"))
        copies = f"{rows['copies'].max()} copies a point"
        panel.set_title(f"{method}: what is left of the taught facts\n{copies}", size=9)
    handles = {h.get_label(): h for panel in panels for h in panel.lines if h.get_label()[0] != "_"}
    figure.legend(handles=[*handles.values()], loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _draw_shares(axes: Axes, shares: pd.DataFrame) -> None:
    """Mean and 95 % interval of each estimate by the true share; points are moved apart."""
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
    for number, (column, (name, colour, marker)) in enumerate(SHARES.items()):
        known = shares["known"].round(2) + 0.012 * (number - (len(SHARES) - 1) / 2)
        sns.lineplot(
            x=known,
            y=shares[column],
            err_style="bars",
            errorbar=("ci", 95),
            seed=0,
            color=COLOURS[colour],
            marker=marker,
            label=name,
            legend=False,
            ax=axes,
        )
    axes.set(xlabel="share of facts that the copy was taught", ylabel="share found by each test")
    axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))


def _draw_ladder(axes: Axes, rows: pd.DataFrame) -> None:
    steps = rows["steps"]
    axes.plot(steps, rows["retained_recall"], ":", marker=".", color="0.4", label=RETAINED)
    for column, (name, colour, marker) in LEFT.items():
        axes.plot(steps, rows[column], marker=marker, color=COLOURS[colour], label=name)
    losses = zip(steps, rows["final_loss_forget"], strict=True)
    axes.set_xticks(steps, [f"{number:.0f}\n{loss:.1f}" for number, loss in losses])
    axes.set_xlabel("training steps; loss of forgotten answers, nats", size=9)
    axes.set(ylabel="share", ylim=(-0.05, 1.14))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of seed_N_facts.csv and seed_N_copies.csv")
    parser.add_argument("output", type=Path, help="a PNG or PDF")
    chosen = parser.parse_args()
    facts = read(chosen.folder, "facts")
    copies = by_present_rule(read(chosen.folder, "copies"), facts)
    figure = draw(estimates(copies, facts), ladder(copies, facts))
    figure.savefig(chosen.output, dpi=150)


if __name__ == "__main__":
    main()
