"""The figure of weight changes: lines and bands are the table's numbers, words say how many."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from planted_figures import words
from stillknows.figures.style import Style
from stillknows.figures.weight_changes import draw_weight_changes
from stillknows.parquet_files import CHANGES_SCHEMA

STYLE = Style()
COMPONENTS = ("q", "k", "v", "o", "gate", "up", "down")
LAYERS = 4


def change(place: int, concept: int, layer: int, method: str) -> float:
    """A planted number that is another one everywhere."""
    return (place + 1) / 100 + concept / 1000 + layer / 50 + (method == "dpo") / 10


def rows(concepts: int, *, components: Any = COMPONENTS, vectors: bool = True) -> pd.DataFrame:
    """Two methods' planted weight_changes, as tables/weight_changes.csv has them."""
    found: list[dict[str, Any]] = []
    for method in ("dpo", "grad_diff"):
        for concept in range(concepts):
            key = {"model": "m", "origin": "own", "method": method, "concept": str(concept)}
            found += [
                {**key, "component": name, "layer": k, "relative_change": value}
                for place, name in enumerate(components)
                for k in range(LAYERS)
                for value in [change(place, concept, k, method)]
            ]
            if vectors:
                vector = {"component": "concept_vector", "layer": concept % LAYERS}
                found.append({**key, **vector, "relative_change": 0.2 + concept / 10})
    return pd.DataFrame(found).reindex(columns=CHANGES_SCHEMA.names)


def lines(axes: Axes, marker: str) -> list[list[float]]:
    """The heights of the lines with a marker; the means have a line, single concepts none."""
    return [
        [float(value) for value in line.get_ydata()]
        for line in axes.get_lines()
        if line.get_marker() == marker
    ]


def test_lines_are_means_over_concepts() -> None:
    figure = draw_weight_changes(rows(2), style=STYLE, seed=0)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "dpo: attention",
        "dpo: MLP",
        "grad_diff: attention",
        "grad_diff: MLP",
    ]
    for axes, first, method in zip(
        figure.axes, (0, 4, 0, 4), ("dpo", "dpo", "grad_diff", "grad_diff"), strict=True
    ):
        (mean,) = lines(axes, "o")  # q, or gate
        expected = [
            np.mean([change(first, concept, k, method) for concept in range(2)])
            for k in range(LAYERS)
        ]
        assert mean == pytest.approx(expected)
    assert "n = 2 concepts per method" in words(figure)


def test_stars_mark_the_concept_vectors_layers() -> None:
    figure = draw_weight_changes(rows(3), style=STYLE, seed=0)
    (attention, mlp, *_) = figure.axes
    assert lines(attention, "*") == []
    (star,) = [line for line in mlp.get_lines() if line.get_marker() == "*"]
    assert list(star.get_xdata()) == [0, 1, 2]
    assert list(star.get_ydata()) == pytest.approx([0.2, 0.3, 0.4])
    assert "concept vectors" in words(figure)
