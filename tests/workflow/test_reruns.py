"""What runs again after a change, by the number of jobs that Snakemake plans."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from tiny_study import Workflow

TABLES = {
    "collect_krs": 1,
    "summarise_curves": 1,
    "summarise_scores": 1,
    "summarise_statistics": 1,
    "summarise_controls": 1,
    "decide_claims": 1,
}
FIGURES = {
    "plot_curves": 1,
    "plot_curves_by_method": 1,
    "plot_heatmap": 1,
    "plot_last_layer": 1,
    "plot_spans": 1,
    "plot_scores": 1,
    # The page shows them all.
    "make_report": 1,
}
SWEEPS = {"dissect_layers": 6} | TABLES | FIGURES
TRAINING = {"unlearn_concept": 1}
# A module -> the jobs that run again once it is edited: of the rules that import it, and of those
# that need their results. Every rule of the tiny study is the first of one of them.
EDITED: dict[str, dict[str, int]] = {
    "texts/concepts.py": {"prepare_concept": 3, "answer_questions": 1, "record_original": 2}
    | TRAINING
    | SWEEPS,
    "answers/original_answers.py": {
        "answer_questions": 1,
        "record_original": 1,
        "dissect_layers": 2,
    }
    | TRAINING
    | TABLES
    | FIGURES,
    "training/methods/dpo.py": TRAINING | {"dissect_layers": 2} | TABLES | FIGURES,
    "engine/recording.py": {"record_original": 2} | SWEEPS,
    "engine/directions.py": SWEEPS,
    "analysis/statistics.py": {name: 1 for name in TABLES if name != "collect_krs"} | FIGURES,
    "figures/heatmap.py": {"plot_heatmap": 1, "make_report": 1},
    "report/templates/findings.html": {"make_report": 1},
}


@contextmanager
def kept(path: Path) -> Iterator[Path]:
    """The file as it was, in content and time, after whatever is done to it inside."""
    aside = path.with_name(f"{path.name}.aside")
    shutil.copy2(path, aside)
    try:
        yield path
    finally:
        aside.replace(path)


def test_the_study_is_complete_and_nothing_is_to_be_done(done: Workflow) -> None:
    assert done.plan().jobs == {}
    sweeps = pd.read_csv(done.result("tables/coverage.csv"))
    assert len(sweeps) == 6
    assert set(sweeps["status"]) == {"done"}
    for name in ("curves", "curves_by_method", "heatmap", "last_layer"):
        for kind in ("png", "pdf"):
            figure = done.result(f"figures/tiny/{name}.sliding_3.notebook.krs.{kind}")
            assert figure.stat().st_size > 1000
    for name in ("spans.sliding_3.krs", "scores.sliding_3.notebook"):
        assert done.result(f"figures/tiny/{name}.png").stat().st_size > 1000
    assert done.result("report.html").read_text(encoding="utf-8").endswith("</html>\n")
    assert done.result("training/tiny/dpo/coffee.parquet").exists()
    for log in done.result("logs").rglob("*.log"):
        assert "done in" in log.read_text(encoding="utf-8"), log


def test_a_concept_added_runs_only_its_sweeps(done: Workflow) -> None:
    assert done.plan(concepts={"tiny": ["tea", "coffee", "mate"]}).jobs == (
        {"register_checkpoint": 1, "record_original": 1, "dissect_layers": 2} | TABLES | FIGURES
    )


def test_a_concept_taken_out_runs_only_tables_and_figures(done: Workflow) -> None:
    assert done.plan(concepts={"tiny": ["coffee"]}).jobs == TABLES | FIGURES


def test_an_experiment_added_runs_only_its_sweeps(done: Workflow) -> None:
    experiments = ["attention", "value_vectors", "mlp_coefficients"]
    assert done.plan(experiments=experiments).jobs == {"dissect_layers": 3} | TABLES | FIGURES


def test_controls_repeat_the_sweeps_and_self_patch_checks_repeat_nothing(done: Workflow) -> None:
    off = {"self_patch": False}
    noise = off | {"donors": ["noise"], "layers": [2]}
    assert done.plan(controls=noise).jobs == {"dissect_layers": 6} | TABLES | FIGURES
    # Layers without a donor change no sweep; the report says them.
    assert done.plan(controls=off | {"layers": [2]}).jobs == {"make_report": 1}
    # All that there is stays; what is checked are three unlearned ones and the original twice.
    assert done.plan(controls={"self_patch": True}).jobs == {
        "check_self_patch": 5,
        "collect_self_patch": 1,
        "make_report": 1,
    }


def test_a_method_added_to_a_concept_runs_only_its_sweeps(done: Workflow) -> None:
    with kept(done.root / "checkpoints.tsv") as table:
        with table.open("a", encoding="utf-8") as file:
            file.write("tiny\tgrad_diff\tcoffee\tpath:own/dpo_mate\n")
        assert done.plan().jobs == (
            {"register_checkpoint": 1, "dissect_layers": 2} | TABLES | FIGURES
        )


def test_a_changed_plot_style_redraws_only_figures(done: Workflow) -> None:
    assert done.plan(figures={"style": {"font_scale": 1.5}}).jobs == FIGURES


@pytest.mark.parametrize("name", EDITED)
def test_an_edited_module_repeats_what_depends_on_it(done: Workflow, name: str) -> None:
    with kept(done.root / "workflow/lib/stillknows" / name) as module:
        module.write_text(module.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        assert done.plan().jobs == EDITED[name]


def test_what_changes_no_result_runs_nothing(done: Workflow) -> None:
    """Other modules, times, a further concept in the file, a lost recording, another device."""
    package = done.root / "workflow/lib/stillknows"
    for module in package.rglob("*.py"):
        os.utime(module)
    with ExitStack() as stack:
        # Another method than those of the study, a module of the planning, and an excluded one.
        for name in ("training/methods/grad_diff.py", "study/products.py", "errors.py"):
            module = stack.enter_context(kept(package / name))
            module.write_text(module.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        path = stack.enter_context(kept(done.root / "concepts.json"))
        entries = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps([entries[0] | {"id": "new"}, *entries]), encoding="utf-8")
        stack.enter_context(kept(done.result("recordings/tiny/tea.safetensors"))).unlink()
        assert done.plan(device="auto").jobs == {}


def test_a_moved_concept_file_changes_only_the_config_that_the_page_shows(done: Workflow) -> None:
    models = {"tiny": {"concepts": "elsewhere/concepts.json"}}
    moved = done.root / "elsewhere/concepts.json"
    moved.parent.mkdir()
    with kept(done.root / "concepts.json") as file:
        file.rename(moved)
        assert done.plan(models=models).jobs == {"make_report": 1}
        moved.write_text(
            moved.read_text(encoding="utf-8").replace("It is", "Is it"), encoding="utf-8"
        )
        assert "dissect_layers" in done.plan(models=models).jobs


def test_a_changed_question_repeats_its_concept_alone(done: Workflow) -> None:
    with kept(done.root / "concepts.json") as path:
        entries = json.loads(path.read_text(encoding="utf-8"))
        entries[0]["QA_with_answers"][0] += " Indeed."
        path.write_text(json.dumps(entries), encoding="utf-8")
        # Tea's own sweeps; and coffee's training, which retains tea, with all that stands on it.
        assert done.plan().jobs == (
            {"prepare_concept": 1, "unlearn_concept": 1, "record_original": 1, "dissect_layers": 6}
            | TABLES
            | FIGURES
        )


def test_other_windows_repeat_the_sweeps_alone(done: Workflow) -> None:
    jobs = done.plan(windows=["sliding_3", "suffix"], figures={"windows": ["sliding_3"]}).jobs
    assert jobs == {"dissect_layers": 6} | TABLES | FIGURES | {"plot_widths": 1}


def test_single_files_and_targets_can_be_asked_for(done: Workflow) -> None:
    with kept(done.result("krs/tiny/dpo/tea/attention.parquet")) as sweep:
        sweep.unlink()
        wanted = "results/tiny/krs/tiny/dpo/tea/attention.parquet"
        assert done.plan(wanted).jobs == {"dissect_layers": 1}
        assert done.plan("tables").jobs == {"dissect_layers": 1, "tables": 1} | TABLES
