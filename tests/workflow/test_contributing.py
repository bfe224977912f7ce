"""CONTRIBUTING.md: what it says to add is added to a copy of the workflow, as it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tiny_study import CONFIG, ROOT, ROWS, Workflow

from stillknows.terms import DENOISING


def insert(path: Path, after: str, line: str) -> None:
    """Add a line after another one to a file."""
    text = path.read_text("utf-8")
    assert text.count(after) == 1, f"{path}: {after}"
    path.write_text(text.replace(after, f"{after}{line}\n"), "utf-8")


def add(workflow: Workflow, file: str, after: str, line: str) -> None:
    """Add a line after another one to a file of the package."""
    insert(workflow.root / "workflow/lib/stillknows" / file, after, line)


def test_a_method_an_experiment_and_a_figure_are_planned(planned: Workflow) -> None:
    package = planned.root / "workflow/lib/stillknows"
    methods = package / "training/methods"
    text = (methods / "grad_diff.py").read_text("utf-8").replace("GradDiff", "Mine")
    (methods / "mine.py").write_text(text, "utf-8")
    module = "stillknows.training.methods.mine"
    add(planned, "training/methods/__init__.py", "import DPO\n", f"from {module} import Mine")
    add(planned, "training/methods/__init__.py", '"dpo": DPO,\n', '    "mine": Mine,')

    add(planned, "terms.py", "Noising = Literal[\n", '    "noising_mine",')
    line = '    "noising_mine": Experiment(residual=True, noising=True),'
    add(planned, "engine/patches.py", "EXPERIMENTS: dict[str, Experiment] = {\n", line)
    add(planned, "figures/style.py", "_COMPONENTS = {\n", '    "mine": Look("mine", 3, "D"),')

    line = '    FigureSpec("mine", "Mine", "curves", ("curves.csv",)),'
    add(planned, "figures/registry.py", "_FIGURES = (\n", line)
    shutil.copy(
        package.parents[1] / "report/noising_ratio.rst", package.parents[1] / "report/mine.rst"
    )

    planned.write_table([*ROWS, ("tiny", "mine", "tea", "unlearn")])
    changes = {
        "experiments": ["attention", "noising_mine"],
        "methods": ["mine"],
        "concepts": {"tiny": ["tea"]},
    }
    changes["unlearning"] = {
        "mine": CONFIG["unlearning"]["dpo"] | {"held_out": [], "retain": ["mate"]}
    }
    jobs = planned.plan(**changes).jobs
    assert (jobs["unlearn_concept"], jobs["dissect_layers"], jobs["plot_mine"]) == (1, 2, 1)


def python(workflow: Workflow, *arguments: str) -> str:
    """What Python prints, with the copy's package and the tests' helpers."""
    paths = [workflow.root / "workflow/lib", ROOT / "tests"]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=workflow.root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_family_is_compared_with_plain_hooks(planned: Workflow) -> None:
    line = '    "helium": Family(),'
    add(planned, "models/families.py", "FAMILIES: dict[str, Family] = {\n", line)
    tests = planned.root / "tests"
    shutil.copytree(ROOT / "tests", tests, ignore=shutil.ignore_patterns("fixtures", "__pycache__"))
    of_families = tests / "unit/test_families.py"
    insert(of_families, "from transformers import (\n", "    HeliumConfig,")
    line = '    "helium": HeliumConfig(**SIZES, head_dim=8),'
    insert(of_families, "CONFIGS: dict[str, Any] = {\n", line)
    options = ("-q", "-p", "no:cacheprovider", "-k", "helium or every_row")
    printed = python(planned, "-m", "pytest", *options, str(of_families))
    assert re.search(rf"^{len(DENOISING) + 2} passed", printed, re.MULTILINE), printed


COLLECTED = """
from pathlib import Path
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.tables import concept_scores, curves
from planted import flat, plant

table = Path("krs.parquet")
collect_sweeps([plant(Path(), flat(0.5), span="answer")], table)
"""


def test_a_score_is_in_the_table_of_scores(planned: Workflow) -> None:
    line = '    "mine": Measure("loss_patched", "loss_unlearned", 0.0, rises=False),'
    add(planned, "analysis/tables.py", "MEASURES = {\n", line)
    code = """
from stillknows.analysis.tables import EVERY_SCORE
rows = curves(concept_scores(table, EVERY_SCORE))
print(*rows.loc[rows["score"] == "mine", "mean"].unique())
"""
    assert python(planned, "-c", COLLECTED + code) == "0.5\n"


def test_a_claim_is_decided(planned: Workflow) -> None:
    line = (
        '    Claim("mine", "Mine.", "the highest point", Peak(ATTENTION),'
        ' threshold=0.4, reason="A test."),'
    )
    add(planned, "analysis/claims.py", "CLAIMS = (\n", line)
    code = """
from stillknows.analysis.claims import CLAIM_SCORES, claims
rows = claims(concept_scores(table, CLAIM_SCORES), ["sliding_1"])
print(*rows.loc[rows["id"] == "mine", "verdict"].unique())
"""
    assert python(planned, "-c", COLLECTED + code) == "undecided\n"
