"""How the sweep grows with layers, questions and windows, beside plain hooks.

    .venv/bin/python benchmarks/growth.py       about 8 minutes on 2 cores

Prints a table with the fitted exponent of each axis, and draws benchmarks/growth.png. The layers
are the demo's; experiment: MLP coefficients. Run it alone on the machine.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from sweep import SHAPES, SIZES, Contest, Task, make_pair, make_texts

from stillknows.engine.windows import windows_of

EXPERIMENT = "mlp_coefficients"
LAYERS = (8, 16, 32)
QUESTIONS = (2, 4, 8, 16)
WIDTHS = ("sliding_5", "sliding_1", "sliding_3", "sliding_9", "suffix")
USUAL = {"layers": 16, "questions": 4, "kinds": 1}
WAYS = ("this sweep", "plain hooks")
FIGURE = Path(__file__).with_name("growth.png")


def measure(axis: str, value: int) -> dict[str, object]:
    """Seconds of both ways at one point of an axis, the others at their usual value."""
    point = USUAL | {axis: value}
    sizes = SIZES["135m"] | {"num_hidden_layers": point["layers"]}
    texts = make_texts(SHAPES["demo"], point["questions"], sizes["vocab_size"])
    windows = windows_of(list(WIDTHS[: point["kinds"]]), point["layers"])
    with tempfile.TemporaryDirectory() as folder:
        make_pair(Path(folder), sizes, torch.float32)
        task = Task(Path(folder), texts, windows, torch.float32)
        with Contest(task, ("ours", "plain hooks")) as contest:
            found = contest.timed(EXPERIMENT)
    ours, plain = (found[way][0] for way in ("ours", "plain hooks"))
    size = len(windows) if axis == "kinds" else value
    name = "windows" if axis == "kinds" else axis
    print(f"{name:10}{size:5}{ours:8.2f} s ours{plain:8.2f} s plain{plain / ours:8.2f}", flush=True)
    return {"axis": name, "size": size, "this sweep": ours, "plain hooks": plain}


def exponents(points: pd.DataFrame) -> pd.DataFrame:
    """Slope of log seconds over log size, per axis and way."""
    return pd.DataFrame(
        {
            axis: {way: np.polyfit(np.log(some["size"]), np.log(some[way]), 1)[0] for way in WAYS}
            for axis, some in points.groupby("axis", sort=False)
        }
    ).T


def draw(points: pd.DataFrame) -> None:
    """Seconds against size, one panel per axis, both ways, each with its fitted exponent."""
    sns.set_theme(context="paper", style="ticks", palette="colorblind")
    tidy = points.melt(["axis", "size"], var_name="way", value_name="seconds")
    grid = sns.relplot(
        data=tidy,
        x="size",
        y="seconds",
        hue="way",
        style="way",
        col="axis",
        kind="line",
        markers=True,
        height=2.4,
        facet_kws={"sharex": False, "legend_out": True},
    )
    grid.set(xscale="log", yscale="log", title="")
    slopes = exponents(points)
    for axis, panel in grid.axes_dict.items():
        some = points[points["axis"] == axis].sort_values("size")
        panel.set_xticks(some["size"], [str(size) for size in some["size"]])
        panel.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
        panel.minorticks_off()
        panel.set_xlabel(f"number of {axis}, $n$")
        for color, way in zip(sns.color_palette(), WAYS, strict=False):
            # Above the line's middle.
            middle = len(some) // 2
            place = (some["size"].iloc[middle], some[way].iloc[middle])
            panel.annotate(
                f"$n^{{{slopes.loc[axis, way]:.2f}}}$",
                place,
                xytext=(-4, 6),
                textcoords="offset points",
                ha="right",
                color=color,
            )
    grid.savefig(FIGURE, dpi=200)
    plt.close(grid.figure)


def main() -> None:
    points = pd.DataFrame(
        [measure("layers", layers) for layers in LAYERS]
        + [measure("questions", questions) for questions in QUESTIONS]
        + [measure("kinds", kinds) for kinds in range(1, len(WIDTHS) + 1)]
    )
    print("\nexponents (seconds grow as size to the power of):")
    print(exponents(points).round(2).to_string())
    draw(points)
    print(f"drawn: {FIGURE.name}")


if __name__ == "__main__":
    main()
