"""All figures: what each is called, drawn from, and named by. Free of matplotlib: rules read it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple


class FigureSpec(NamedTuple):
    """One figure per model and selection; or, without a model, one of the study.

    Its rule is plot_{name}, its function draw_{name}, its caption workflow/report/{name}.rst.

    Attributes:
        title: its heading in the report.
        module: the module of stillknows.figures that has its function.
        tables: files of <results>/tables, in the order of the function's arguments.
        parts: wildcards in its file names beside the model, in their order.
        is_seeded: whether the function draws bootstrap samples, and so wants a seed.
        per_model: whether there is one for each model.
    """

    name: str
    title: str
    module: str
    tables: tuple[str, ...]
    parts: tuple[str, ...] = ()
    is_seeded: bool = False
    per_model: bool = True

    @property
    def stem(self) -> str:
        """Its file names without model and format: curves.{window}.{span}.{score}."""
        return ".".join([self.name, *(f"{{{part}}}" for part in self.parts)])

    @property
    def file(self) -> str:
        """Its files in the folder of figures, without format: {model}/{stem}."""
        return f"{{model}}/{self.stem}" if self.per_model else self.stem

    @property
    def subcategory(self) -> str:
        """Where it stands among a model's figures in Snakemake's report."""
        return ", ".join(f"{{{part}}}" for part in self.parts) or self.module

    def function(self) -> Callable[..., Any]:
        """What draws it: (a frame per table, style, and seed if it is seeded) -> Figure.

        A frame has the rows of the figure's model and parts; of krs.parquet, what `concept_scores`
        returns.
        """
        module = import_module(f"stillknows.figures.{self.module}")
        function: Callable[..., Any] = getattr(module, f"draw_{self.name}")
        return function


_SELECTION = ("window", "span", "score")
_KRS, _CURVES = ("krs.parquet",), ("curves.csv", "krs.parquet")
# In the order in which a study's figures are shown.
_FIGURES = (
    FigureSpec("curves", "Recovery against layer", "curves", ("curves.csv",), _SELECTION),
    FigureSpec(
        "curves_by_method", "Recovery against layer, by method", "curves", _CURVES, _SELECTION
    ),
    FigureSpec("heatmap", "Every concept, layer by layer", "heatmap", _KRS, _SELECTION),
    FigureSpec("last_layer", "What the last layer recovers", "last_layer", _KRS, _SELECTION),
    FigureSpec("spans", "Which positions are compared", "compared", _CURVES, ("window", "score")),
    FigureSpec(
        "scores",
        "Other scores than KRS",
        "compared",
        ("scores.csv", "krs.parquet"),
        ("window", "span"),
    ),
    FigureSpec(
        "widths",
        "Recovery and the window's width",
        "widths",
        ("statistics.csv", "krs.parquet"),
        ("span", "score"),
    ),
    FigureSpec(
        "weight_changes",
        "How far each parameter moved",
        "weight_changes",
        ("weight_changes.csv",),
        is_seeded=True,
    ),
    FigureSpec(
        "noising_ratio",
        "Noising ratio: the unlearned model's components in the original",
        "curves",
        _CURVES,
        ("window", "span"),
    ),
    FigureSpec(
        "depth",
        "Fact loss by the unlearned and the reference model, layer by layer",
        "depth",
        ("depth.parquet",),
        ("form",),
        is_seeded=True,
    ),
    FigureSpec("facts", "Single facts", "facts", ("facts.csv", "verdicts.csv")),
    FigureSpec(
        "behaviour", "What the models answer", "behaviour", ("behaviour.csv",), is_seeded=True
    ),
    FigureSpec(
        "behaviour_patched",
        "Answers with a window patched",
        "behaviour",
        ("behaviour.csv",),
        is_seeded=True,
    ),
)
FIGURES = {figure.name: figure for figure in _FIGURES}
CALIBRATION = FigureSpec(
    "calibration",
    "Error rates of the scores",
    "calibration",
    ("rounds.csv", "calibration.csv"),
    per_model=False,
)
