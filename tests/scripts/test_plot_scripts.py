"""plot_*.py: from the tables to files, in seconds and without torch."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dissect.errors import DissectError
from dissect.results.collect import collect_cells
from dissect.results.scores import EVERY_SCORE
from dissect.results.statistics import statistics
from dissect.results.tables import concept_scores, curves, write_csv
from planted import EXPERIMENTS, plant, sloped

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
INPUTS = {
    "plot_curves": ["curves"],
    "plot_curves_by_method": ["curves", "table"],
    "plot_heatmap": ["table"],
    "plot_last_layer": ["table"],
    "plot_spans": ["curves", "table"],
    "plot_scores": ["scores", "table"],
    "plot_widths": ["statistics", "table"],
}
# What a figure compares is no part of its selection.
COMPARED = {"plot_spans": "span", "plot_scores": "score", "plot_widths": "window"}
EVERY = pytest.mark.parametrize("name", INPUTS)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """krs.parquet and curves.csv of a small study."""
    root = tmp_path_factory.mktemp("study")
    cells = [
        plant(root, sloped(0.2 * (i + 1)), method=method, experiment=experiment, span="answer")
        for method in ("dpo", "grad_diff")
        for i, experiment in enumerate(EXPERIMENTS)
    ]
    found = {name: root / f"{name}.csv" for name in ("curves", "scores", "statistics")}
    found["table"] = root / "krs.parquet"
    collect_cells(cells, found["table"])
    write_csv(found["curves"], curves(concept_scores(found["table"])))
    write_csv(found["scores"], curves(concept_scores(found["table"], EVERY_SCORE)))
    write_csv(found["statistics"], statistics(concept_scores(found["table"])))
    return found


def run(name: str, tables: dict[str, Path], outputs: list[Path], **changed: Any) -> None:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    selection = {"model": "tiny", "window": "sliding_1", "span": "answer", "score": "krs_of_means"}
    inputs = {key: tables[key] for key in INPUTS[name]}
    given = {**selection, "style": {}, **changed}
    given.pop(COMPARED.get(name, ""), None)
    script.main(**inputs, **given, outputs=outputs)


@EVERY
def test_both_formats_are_written(name: str, tables: dict[str, Path], tmp_path: Path) -> None:
    outputs = [tmp_path / "figures" / f"{name}.png", tmp_path / "figures" / f"{name}.pdf"]
    run(name, tables, outputs)
    assert outputs[0].read_bytes().startswith(b"\x89PNG")
    assert outputs[1].read_bytes().startswith(b"%PDF")
    assert sorted(outputs[0].parent.iterdir()) == sorted(outputs)


@EVERY
def test_what_was_not_computed_is_refused(
    name: str, tables: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(DissectError, match=r"no row with .*model other"):
        run(name, tables, [tmp_path / "x.png"], model="other")
    if COMPARED.get(name) != "span":
        with pytest.raises(DissectError, match=r"no row with .*span notebook"):
            run(name, tables, [tmp_path / "x.png"], span="notebook")
    assert not list(tmp_path.iterdir())


def test_style_changes_the_picture(tables: dict[str, Path], tmp_path: Path) -> None:
    plain, styled = tmp_path / "plain.png", tmp_path / "styled.png"
    run("plot_curves", tables, [plain])
    run("plot_curves", tables, [styled], style={"palette": "dark", "dpi": 100})
    assert plain.read_bytes() != styled.read_bytes()
    with pytest.raises(DissectError, match="'colour' is no field"):
        run("plot_curves", tables, [plain], style={"colour": "red"})


def test_tables_and_figures_need_no_torch() -> None:
    code = (
        "import sys, dissect.results.collect, dissect.figures.curves, dissect.figures.heatmap, "
        "dissect.figures.compared, dissect.figures.widths, "
        "dissect.figures.last_layer; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
