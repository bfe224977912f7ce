"""plot.py: from the tables to files, in seconds and without torch."""

import ast
import math
import subprocess
import sys
from pathlib import Path

import plot
import pytest

from planted import EXPERIMENTS, plant, sloped
from planted_depth import planted_depth
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.statistics import statistics
from stillknows.analysis.tables import EVERY_SCORE, concept_scores, curves
from stillknows.csv_files import write_csv
from stillknows.figures.registry import CALIBRATION, FIGURES
from stillknows.figures.style import Style
from stillknows.parquet_files import DEPTH_SCHEMA, write_rows

WORKFLOW = Path(__file__).parents[2] / "workflow"
FOLDER = sorted((WORKFLOW / "lib/stillknows/figures").glob("*.py"))
SELECTION = {"window": "sliding_1", "span": "answer", "score": "krs_of_means"}
SELECTION |= {"form": "corrected"}
# The figures of curves; the others are drawn in test_trace_scripts and test_behaviour_scripts.
EVERY = pytest.mark.parametrize("name", [name for name, spec in FIGURES.items() if spec.parts])


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with krs.parquet and the tables made from it, of a small study."""
    root = tmp_path_factory.mktemp("study")
    sweeps = [
        plant(root, sloped(0.2 * (i + 1)), method=method, experiment=experiment, span="answer")
        for method in ("dpo", "grad_diff")
        for i, experiment in enumerate(EXPERIMENTS)
    ]
    noising = {"experiment": "noising_attention", "donor": "copy", "krs": math.nan}
    noising["noising_ratio"] = 0.5
    sweeps += [
        plant(root, sloped(0.5), method=method, span="answer", **noising)
        for method in ("dpo", "grad_diff")
    ]
    write_rows(
        root / "depth.parquet", planted_depth(lambda *_: 1.0, lambda *_: 2.0), {}, DEPTH_SCHEMA
    )
    table = root / "krs.parquet"
    collect_sweeps(sweeps, table)
    write_csv(root / "curves.csv", curves(concept_scores(table)))
    write_csv(root / "scores.csv", curves(concept_scores(table, EVERY_SCORE)))
    write_csv(root / "statistics.csv", statistics(concept_scores(table)))
    return root


def run(
    name: str, folder: Path, pictures: list[Path], style: Style | None = None, **changed: str
) -> None:
    """Draw a figure of the model tiny and of SELECTION, as far as it selects; or of others."""
    selection = {part: SELECTION[part] for part in FIGURES[name].parts}
    plot.main(
        figure=name,
        tables=[folder / table for table in FIGURES[name].tables],
        wildcards={"model": "tiny"} | selection | changed,
        style=style or Style(),
        pictures=pictures,
        seed=0 if FIGURES[name].is_seeded else None,
    )


@EVERY
def test_both_formats_are_written(name: str, tables: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "figures" / f"{name}.png", tmp_path / "figures" / f"{name}.pdf"]
    run(name, tables, outputs)
    assert outputs[0].read_bytes().startswith(b"\x89PNG")
    assert outputs[1].read_bytes().startswith(b"%PDF")
    assert sorted(outputs[0].parent.iterdir()) == sorted(outputs)


def test_every_drawing_function_is_registered_and_has_a_caption() -> None:
    modules = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER}
    functions = {
        (module, node.name.removeprefix("draw_"))
        for module, tree in modules.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("draw_")
    }
    registered = [*FIGURES.values(), CALIBRATION]
    assert functions == {(spec.module, spec.name) for spec in registered}
    captions = {path.stem for path in (WORKFLOW / "report").glob("*.rst")}
    assert captions == {spec.name for spec in registered}


def imported(code: str, *modules: str) -> bool:
    """Whether a program that runs this code loads one of the modules."""
    end = f"sys.exit(not sys.modules.keys().isdisjoint({modules}))"
    command = [sys.executable, "-c", f"import sys\n{code}\n{end}"]
    return subprocess.run(command, check=False).returncode != 0


def test_tables_figures_and_the_report_need_no_torch() -> None:
    code = "import stillknows.analysis.collect, stillknows.report.page\n"
    code += "from stillknows.figures.registry import CALIBRATION, FIGURES"
    assert not imported(f"{code}\n[spec.function() for spec in FIGURES.values()]", "torch")


def test_the_study_is_planned_without_heavy_libraries() -> None:
    code = "import stillknows.study.load, stillknows.study.products"
    assert not imported(code, "matplotlib", "numpy", "pandas", "torch")
