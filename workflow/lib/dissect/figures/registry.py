"""All figures: what each is called, drawn from, and named by. Free of matplotlib: rules read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

IMPORTS_BY_NAME = "dissect.figures"


@dataclass(frozen=True)
class FigureSpec:
    """One figure per model and selection.

    Its rule is plot_{name}, its function draw_{name}, its caption workflow/report/{name}.rst.

    Attributes:
        title: its heading in the report.
        module: the module of dissect.figures that has its function.
        tables: files of <results>/tables, in the order of the function's arguments.
        parts: wildcards in its file names beside the model, in their order.
        rows: column -> the value that the tables' rows must have, whatever is selected.
        is_seeded: whether the function draws bootstrap samples, and so wants a seed.
        topic: its subcategory in Snakemake's report, where it has no parts.
    """

    name: str
    title: str
    module: str
    tables: tuple[str, ...]
    parts: tuple[str, ...] = ()
    rows: Mapping[str, str] = field(default_factory=dict)
    is_seeded: bool = False
    topic: str = ""

    @property
    def stem(self) -> str:
        """Its file names without model and format: curves.{window}.{span}.{score}."""
        return ".".join([self.name, *self._wildcards])

    @property
    def log(self) -> str:
        """Its jobs' log files, without folder and suffix: {model}/{window}.{span}.{score}."""
        return "/".join(filter(None, ["{model}", ".".join(self._wildcards)]))

    @property
    def subcategory(self) -> str:
        """Where it stands among a model's figures in Snakemake's report."""
        return self.topic or ", ".join(self._wildcards)

    @property
    def _wildcards(self) -> list[str]:
        return [f"{{{part}}}" for part in self.parts]

    def function(self) -> Callable[..., Any]:
        """What draws it: (one frame per table, style, and seed if it is seeded) -> Figure."""
        module = import_module(f"dissect.figures.{self.module}")
        function: Callable[..., Any] = getattr(module, f"draw_{self.name}")
        return function


# In the order in which a study's figures are shown.
FIGURES = {
    figure.name: figure
    for figure in (
        FigureSpec(
            "curves",
            "Recovery against layer",
            module="curves",
            tables=("curves.csv",),
            parts=("window", "span", "score"),
        ),
        FigureSpec(
            "curves_by_method",
            "Recovery against layer, by method",
            module="curves",
            tables=("curves.csv", "krs.parquet"),
            parts=("window", "span", "score"),
        ),
        FigureSpec(
            "heatmap",
            "Every concept, layer by layer",
            module="heatmap",
            tables=("krs.parquet",),
            parts=("window", "span", "score"),
        ),
        FigureSpec(
            "last_layer",
            "What the last layer gives back",
            module="last_layer",
            tables=("krs.parquet",),
            parts=("window", "span", "score"),
        ),
        FigureSpec(
            "spans",
            "Which positions are compared",
            module="compared",
            tables=("curves.csv", "krs.parquet"),
            parts=("window", "score"),
            rows={"donor": "original"},
        ),
        FigureSpec(
            "scores",
            "Other scores than KRS",
            module="compared",
            tables=("scores.csv", "krs.parquet"),
            parts=("window", "span"),
            rows={"donor": "original"},
        ),
        FigureSpec(
            "widths",
            "Recovery and the window's width",
            module="widths",
            tables=("statistics.csv", "krs.parquet"),
            parts=("span", "score"),
            rows={"donor": "original"},
        ),
        FigureSpec(
            "trace",
            "How far each parameter moved",
            module="trace",
            tables=("trace.csv",),
            is_seeded=True,
            topic="trace in the parameters",
        ),
        FigureSpec(
            "behaviour",
            "What the models answer",
            module="behaviour",
            tables=("behaviour.csv",),
            rows={"experiment": ""},
            is_seeded=True,
            topic="behaviour",
        ),
        FigureSpec(
            "behaviour_patched",
            "Answers with a window put back",
            module="behaviour",
            tables=("behaviour.csv",),
            is_seeded=True,
            topic="behaviour",
        ),
    )
}
