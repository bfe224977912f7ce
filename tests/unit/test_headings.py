"""Above every figure stand two lines; all else is in its notes, which are saved with it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dissect.analysis.behaviour import BEHAVIOUR_COLUMNS
from dissect.analysis.collect import collect_sweeps
from dissect.analysis.scores import EVERY_SCORE
from dissect.analysis.statistics import statistics
from dissect.analysis.tables import concept_scores, curves
from dissect.calibration.scores import SCORES
from dissect.calibration.table import calibration_table
from dissect.figures import notes
from dissect.figures.calibration import draw_calibration
from dissect.figures.canvas import NOTES, new_grid, save
from dissect.figures.registry import FIGURES
from dissect.figures.style import Style
from dissect.results.schema import CHANGES_SCHEMA
from dissect.terms import DAMAGE
from planted import plant, sloped
from planted_depth import planted_depth
from planted_figures import heading, study
from planted_rounds import planted_rounds, steady

STYLE = Style()
LONG = "organisation-a-model-of-a-very-long-name-0.135b-instruct"
PHRASES = {"shown": ["s" * 40, "t" * 90], "counted": ["n = 2", "u" * 90]}


def damage(root: Path, origin: str, concepts: int) -> list[Path]:
    return [
        plant(
            root,
            sloped(0.5),
            model=LONG,
            concept=f"c{c}",
            origin=origin,
            experiment="noising_attention",
            donor="copy",
            krs=float("nan"),
            damage=0.5,
        )
        for c in range(concepts)
    ]


def behaviour(concepts: int) -> pd.DataFrame:
    keys = {"model": LONG, "origin": "own", "method": "dpo", "set": "target", "questions": 4}
    rows = [
        keys | {"concept": f"c{c}", "concept_name": "C", "bleu": 0.5, "rouge_l": 0.5} | patch
        for c in range(concepts)
        for patch in (
            {"experiment": ""},
            {"experiment": "attention", "first_layer": 1, "last_layer": 2},
        )
    ]
    return pd.DataFrame(rows, columns=BEHAVIOUR_COLUMNS)


def weight_changes(concepts: int) -> pd.DataFrame:
    rows = [
        {"component": name, "layer": layer, "concept": f"c{c}", "relative_change": 0.1}
        for name in ("q", "down")
        for layer in range(3)
        for c in range(concepts)
    ]
    frame = pd.DataFrame(rows, columns=CHANGES_SCHEMA.names)
    return frame.assign(model=LONG, origin="own", method="dpo")


def every_figure(root: Path, sweeps: list[Path], concepts: int) -> dict[str, Figure]:
    """All figures of the registry, and the one of the calibration."""
    table = root / "krs.parquet"
    collect_sweeps([*sweeps, *damage(root, "own", concepts)], table)
    every = concept_scores(table, (*EVERY_SCORE, DAMAGE))
    is_damage = every["score"] == DAMAGE
    damages, krs = every[is_damage], every[every["score"] == "krs"]
    of_window = every[~is_damage & (every["window"] == "sliding_3")]
    one_kind = of_window[of_window["score"] == "krs"]
    depth = planted_depth(lambda *_: 0.2, lambda *_: 1.0, concepts=concepts, model=LONG)
    frames = {
        "curves": (curves(one_kind),),
        "curves_by_method": (curves(one_kind), one_kind),
        "heatmap": (one_kind,),
        "last_layer": (one_kind,),
        "spans": (curves(one_kind), one_kind),
        "scores": (curves(of_window), of_window),
        "widths": (statistics(krs), krs),
        "weight_changes": (weight_changes(concepts),),
        "damage": (curves(damages), damages),
        "depth": (depth,),
        "behaviour": (behaviour(concepts),),
        "behaviour_patched": (behaviour(concepts),),
    }
    figures = {}
    for name, tables in frames.items():
        seeded = {"seed": 0} if FIGURES[name].is_seeded else {}
        figures[name] = FIGURES[name].function()(*tables, style=STYLE, **seeded)
    rounds = planted_rounds(concepts, uds=steady(0.2, 0.8, 0.2)).assign(model=LONG)
    scores = [spec for spec in SCORES if spec.name == "uds"]
    numbers = calibration_table(rounds, scores=scores)
    return figures | {"calibration": draw_calibration(rounds, numbers, STYLE, ["uds"])}


def one_method(root: Path) -> list[Path]:
    return [plant(root, sloped(0.5), model=LONG, concept=f"c{c}", window=KINDS) for c in range(5)]


def two_origins_with_gaps(root: Path) -> list[Path]:
    swept = study(root, concepts=2, model=LONG, window=KINDS)
    return [*swept[:-3], plant(root, sloped(9.0), model=LONG, origin="published", window=KINDS)]


KINDS = ["sliding_3", "suffix"]


@pytest.mark.parametrize(
    ("sweeps", "concepts"), [(one_method, 5), (two_origins_with_gaps, 2)], ids=["narrow", "wide"]
)
def test_every_figure_has_two_lines_that_say_of_how_many_it_is(
    sweeps: Callable[[Path], list[Path]], concepts: int, tmp_path: Path
) -> None:
    figures = every_figure(tmp_path, sweeps(tmp_path), concepts)
    assert figures.keys() - {"calibration"} == FIGURES.keys()
    for name, figure in figures.items():
        lines = heading(figure)
        assert len(lines) == 2, name
        assert lines[0].startswith("organisation"), name
        assert "n = " in lines[1], name
        assert "n = " in figure.get_label(), name
        if concepts >= 5 and name not in ("curves", "heatmap", "last_layer"):
            assert "95 % intervals" in lines[1], name


@pytest.mark.parametrize("style", [STYLE, Style(font_scale=10), Style(width=2)])
@pytest.mark.parametrize("model", ["m", LONG, "m\n" * 300])
def test_whatever_is_said_two_lines_are_enough(model: str, style: Style) -> None:
    figure, _ = new_grid((style.width, 2), 1, 1)
    notes.heading(figure, model, **PHRASES, style=style)
    assert len(heading(figure)) == 2
    assert figure.get_label() == "; ".join([*PHRASES["shown"], *PHRASES["counted"]])


def test_what_fits_stands_in_the_line() -> None:
    figure, _ = new_grid((7, 2), 1, 1)
    notes.heading(figure, LONG, **PHRASES, style=STYLE)
    assert heading(figure) == [f"{LONG}: {'s' * 40}", f"n = 2; {'u' * 90}"]


def test_the_notes_are_in_the_file(tmp_path: Path) -> None:
    figure, _ = new_grid((7, 2), 1, 1)
    notes.heading(figure, "m", ["at most −1"], ["", "Ω"], STYLE)  # noqa: RUF001
    save(figure, [tmp_path / "a.png", tmp_path / "a.pdf"], STYLE)
    with Image.open(tmp_path / "a.png") as image:
        assert image.info[NOTES] == "at most −1; Ω"  # noqa: RUF001
    assert b"/Subject" in (tmp_path / "a.pdf").read_bytes()
