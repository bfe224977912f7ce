"""The figure of weight changes: lines and bands are the table's numbers, words say how many."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from dissect.analysis.bootstrap import interval_of_mean
from dissect.figures.style import Style
from dissect.figures.weight_changes import draw_weight_changes
from dissect.results.schema import CHANGES_SCHEMA
from planted_figures import words

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
    figure = draw_weight_changes(rows(2), STYLE, seed=0)
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


def test_from_five_concepts_on_there_are_bands_and_no_points() -> None:
    table = rows(6)
    figure = draw_weight_changes(table, STYLE, seed=3)
    axes = figure.axes[0]
    band = axes.collections[0].get_paths()[0].vertices
    some = table[(table["method"] == "dpo") & (table["component"] == "q")]
    values = some.pivot(index="concept", columns="layer", values="relative_change").to_numpy()
    low, high = interval_of_mean(values[None], seed=3)
    for layer in range(LAYERS):
        heights = band[band[:, 0] == layer][:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((low[layer], high[layer]))
    assert not np.isfinite(lines(axes, ".")).any()
    assert "bands: 95 % intervals" in words(figure)
    assert "single concepts" not in words(figure)


def test_few_concepts_are_points() -> None:
    figure = draw_weight_changes(rows(3), STYLE, seed=0)
    points = lines(figure.axes[0], ".")
    assert points[:3] == [[change(0, c, k, "dpo") for k in range(LAYERS)] for c in range(3)]
    assert "small points: single concepts" in words(figure)
    assert "bands" not in words(figure)


def test_one_concept_is_its_own_line() -> None:
    figure = draw_weight_changes(rows(1), STYLE, seed=0)
    assert lines(figure.axes[0], ".") == []
    assert "n = 1 concept per method" in words(figure)
    assert "mean over" not in words(figure)


def test_stars_mark_the_concept_vectors_layers() -> None:
    figure = draw_weight_changes(rows(3), STYLE, seed=0)
    (attention, mlp, *_) = figure.axes
    assert lines(attention, "*") == []
    (star,) = [line for line in mlp.get_lines() if line.get_marker() == "*"]
    assert list(star.get_xdata()) == [0, 1, 2]
    assert list(star.get_ydata()) == pytest.approx([0.2, 0.3, 0.4])
    assert "concept vectors" in words(figure)


def test_what_is_not_there_is_not_drawn_and_is_said() -> None:
    figure = draw_weight_changes(rows(2, components=("q", "up"), vectors=False), STYLE, seed=0)
    assert lines(figure.axes[1], "o") == []
    legends = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert legends == [["query"], ["up"]]
    assert "no concept vector is named in the concept file" in words(figure)


def test_origins_are_not_pooled() -> None:
    table = pd.concat([rows(2), rows(1).assign(origin="published")])
    titles = [axes.get_title("left") for axes in draw_weight_changes(table, STYLE, seed=0).axes]
    assert titles[0::2] == [
        "dpo, own: attention",
        "dpo, published: attention",
        "grad_diff, own: attention",
        "grad_diff, published: attention",
    ]
