"""CONTRIBUTING.md: what it says to add is added to a copy of the workflow, as it says."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from tiny_study import CONFIG, ROOT, ROWS, Workflow

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
STEPS = re.split(r"\n(?=\*\*A)", TEXT.partition("## Add something")[2])[1:]


def full_text(step: str) -> str:
    """A step, or the section of the page that it leads to."""
    link = re.search(r"\]\((\S+)#([\w-]+)\)\.\s*$", step)
    if link is None:
        return step.strip()
    sections = re.split(r"^## ", (ROOT / link[1]).read_text("utf-8"), flags=re.MULTILINE)
    [section] = [
        text for text in sections if text.splitlines()[0].lower().replace(" ", "-") == link[2]
    ]
    return section.partition("\n")[2].strip()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.partition("**:")[0])
def test_each_has_under_ten_lines_and_names_what_exists(step: str) -> None:
    text = full_text(step)
    assert len(text.splitlines()) < 10
    paths = [
        f"{path}__init__.py" if path.endswith("/") else path
        for path in re.findall(r"`([\w/]+(?:\.py|/))`", text)
    ]
    folders = (ROOT, ROOT / "workflow/lib/dissect", ROOT / "workflow/lib/dissect/training/methods")
    files = [folder / path for path in paths for folder in folders if (folder / path).is_file()]
    assert len(files) == len(paths), f"not all files exist: {paths}"
    sources = "".join(path.read_text("utf-8") for path in files)
    for name in re.findall(r"`(_?[A-Z][A-Z_]+)`", text):
        assert re.search(rf"^{name}\b", sources, re.MULTILINE), name


def add(workflow: Workflow, file: str, after: str, line: str) -> None:
    """Add a line after another one to a file of the package."""
    path = workflow.root / "workflow/lib/dissect" / file
    text = path.read_text("utf-8")
    assert text.count(after) == 1, f"{file}: {after}"
    path.write_text(text.replace(after, f"{after}{line}\n"), "utf-8")


def test_a_method_an_experiment_and_a_figure_are_planned(planned: Workflow) -> None:
    package = planned.root / "workflow/lib/dissect"
    methods = package / "training/methods"
    text = (methods / "grad_diff.py").read_text("utf-8").replace("GradDiff", "Mine")
    (methods / "mine.py").write_text(text, "utf-8")
    module = "dissect.training.methods.mine"
    add(planned, "training/methods/__init__.py", "import DPO\n", f"from {module} import Mine")
    add(planned, "training/methods/__init__.py", '"dpo": DPO,\n', '    "mine": Mine,')

    add(planned, "terms.py", "Noising = Literal[\n", '    "noising_mine",')
    line = '    "noising_mine": Experiment(residual=True, noising=True),'
    add(planned, "engine/patches.py", "EXPERIMENTS: dict[str, Experiment] = {\n", line)
    add(planned, "figures/style.py", "_COMPONENTS = {\n", '    "mine": Look("mine", 3, "D"),')

    line = '    FigureSpec("mine", "Mine", "damage", ("curves.csv",)),'
    add(planned, "figures/registry.py", "_FIGURES = (\n", line)
    shutil.copy(package.parents[1] / "report/damage.rst", package.parents[1] / "report/mine.rst")

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


def python(workflow: Workflow, code: str) -> str:
    """What code prints that imports the copy's package and the tests' helpers."""
    paths = [workflow.root / "workflow/lib", ROOT / "tests"]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workflow.root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


COLLECTED = """
from pathlib import Path
from dissect.analysis.collect import collect_sweeps
from dissect.analysis.tables import concept_scores, curves
from planted import flat, plant

table = Path("krs.parquet")
collect_sweeps([plant(Path(), flat(0.5), span="answer")], table)
"""


def test_a_score_is_in_the_table_of_scores(planned: Workflow) -> None:
    line = '    "mine": Measure("loss_patched", "loss_unlearned", 0.0, rises=False),'
    add(planned, "analysis/scores.py", "MEASURES = {\n", line)
    code = """
from dissect.analysis.scores import EVERY_SCORE
rows = curves(concept_scores(table, EVERY_SCORE))
print(*rows.loc[rows["score"] == "mine", "mean"].unique())
"""
    assert python(planned, COLLECTED + code) == "0.5\n"


def test_a_claim_is_decided(planned: Workflow) -> None:
    line = (
        '    Claim("mine", "Mine.", "the highest point", "above", 0.4, "A test.",'
        " ahead=Peak(ATTENTION)),"
    )
    add(planned, "analysis/claim_list.py", "CLAIMS = (\n", line)
    code = """
from dissect.analysis.claims import CLAIM_SCORES, claims
rows = claims(concept_scores(table, CLAIM_SCORES), ["sliding_1"])
print(*rows.loc[rows["id"] == "mine", "verdict"].unique())
"""
    assert python(planned, COLLECTED + code) == "undecided\n"
