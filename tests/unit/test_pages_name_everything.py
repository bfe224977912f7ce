"""The pages name what the code has: families, statuses, files, columns, scores and options.

config.md is generated from the code (test_config.py); test_claims.py compares the list of claims.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest

from dissect.analysis.collect import collect_self_patch
from dissect.calibration.scores import SCORES
from dissect.checkpoints import hub
from dissect.checkpoints.families import FAMILIES
from dissect.figures.registry import CALIBRATION, FIGURES, FigureSpec
from dissect.study.preflight import AVAILABLE, UNAVAILABLE, PreflightRow
from dissect.terms import BASE, ORIGINAL

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow/lib/dissect"
FIGURES_PAGE = "docs/reference/figures.md"
CHECKPOINTS_PAGE = "docs/how-to/checkpoints.md"
CONTROLS_PAGE = "docs/explanation/controls-answers-weights.md"
DEPTH_PAGE = "docs/explanation/depth.md"
STATISTICS_PAGE = "docs/explanation/statistics.md"
RATES_PAGE = "docs/explanation/calibration.md"
RESULTS_PAGE = "results/README.md"
# Both explain columns that several tables have, and those of tables without a page of their own.
COLUMNS_PAGES = (FIGURES_PAGE, f"{RESULTS_PAGE}#Columns")


def read(name: str) -> str:
    """A page; with #heading, that section down to the next heading of the same level."""
    path, _, heading = name.partition("#")
    text = (ROOT / path).read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0] if heading else text


# Names in a text.


def names(text: str) -> set[str]:
    """The names that a text explains; `loss_..` and `..._low` stand for several.

    Those in code spans, at the beginning of a list item or table row, and after "row per"; and all
    words with an underscore.
    """
    line = " ".join(text.split())
    parts = [
        *re.findall(r"`([^`]+)`", line),
        *re.findall(r"\brow per ([^.:]*)[.:]", line),
        *re.findall(r"^- ([^:\n]+):", text, re.MULTILINE),
        *re.findall(r"^\| ([^|\n]+) \|", text, re.MULTILINE),
        *re.findall(r"; (\w+(?:, \w+)*):", line),
    ]
    words = {word for part in parts for word in re.findall(r"[\w.]+", part)}
    return words | set(re.findall(r"\w*_\w+", text))


def unexplained(wanted: Iterable[str], *pages: str) -> list[str]:
    """The names that no page explains."""
    explained = {name for page in pages for name in names(read(page)) if re.search(r"\w", name)}
    patterns = (re.sub(r"(?:\\\.){2,}", ".*", re.escape(name)) for name in explained)
    every = "|".join(pattern.replace("_EXPERIMENT_", "_.+_") for pattern in patterns)
    return [name for name in wanted if not re.fullmatch(every, name)]


def test_names_are_read_off_a_text() -> None:
    text = (
        "- low, high: the `form`\n\n| auc | of all |\n\nOne row per model, layer. It is; x: an n_a."
    )
    assert names(text) == {*("low", "high", "form", "auc", "model", "layer", "x", "n_a")}


def test_dots_stand_for_several_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "read", lambda _page: "`loss_..`, `..._low`, `a_EXPERIMENT_b`")
    wanted = ["loss_patched", "uds_low", "a_both_b", "loss", "uds_high", "a_b"]
    assert unexplained(wanted, "page.md") == wanted[3:]


# Model families.


def families() -> dict[str, set[str]]:
    """The versions of each family, by its name in small letters and without hyphens."""
    versions: dict[str, set[str]] = {}
    for model_type in FAMILIES:
        name, version = re.findall(r"([a-z]+)(\d*)", re.sub("_text|_", "", model_type))[0]
        versions.setdefault(name, set()).add(version or "1")
    return versions


def families_in(text: str) -> dict[str, set[str]]:
    """The same of a list such as "Llama, Qwen2 and 3, OLMo 1 to 3 and Phi-3"."""
    versions = {}
    listed = re.findall(r"([A-Z][A-Za-z-]*[A-Za-z])[- ]?(\d?)(?: (and|to) (\d))?", text)
    for name, first, word, last in listed:
        numbers = [int(number or 1) for number in (first, last or first)]
        every = range(numbers[0], numbers[1] + 1) if word == "to" else numbers
        versions[name.lower().replace("-", "")] = {str(number) for number in every}
    return versions


def test_the_readme_names_every_family() -> None:
    (listed,) = re.findall(r"^- \*\*families\*\*: (.*?);$", read("README.md"), re.M | re.S)
    assert families_in(re.sub(r"\(.*?\)", "", listed)).keys() == families().keys()


def test_the_engines_page_names_every_version_of_a_family() -> None:
    text = " ".join(read("docs/explanation/engine.md").split())
    (listed,) = re.findall(r"tested on small models of (.*?)\.", text)
    assert families_in(listed) == families()


# Statuses of preflight.


def statuses() -> set[str]:
    """All that the column `status` of preflight.csv may say."""
    tree = ast.parse((PACKAGE / "preparation/availability.py").read_text(encoding="utf-8"))
    keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword))
    given = [keyword.value for keyword in keywords if keyword.arg == "status"]
    defaults = [node.args[-1] for node in given if isinstance(node, ast.Call)]  # of getattr
    constants = {node.value for node in given + defaults if isinstance(node, ast.Constant)}
    return {AVAILABLE, *UNAVAILABLE, *hub._MESSAGES, *map(str, constants)}


def test_every_status_of_preflight_is_explained() -> None:
    (text,) = re.findall(r"The status is one of:\n\n(.*?)\n\n", read(CHECKPOINTS_PAGE), re.DOTALL)
    assert set(re.findall(r"`([a-z_]+)`[:,]", text)) == statuses()


# Result files.


def documented() -> dict[str, str]:
    """The paths below R in the table of results/README.md, and what it says of each."""
    paths = {}
    for cell, text in re.findall(r"^\| (`R/.*?) \| (.*) \|$", read(RESULTS_PAGE), re.MULTILINE):
        first, *more = re.findall(r"`([^`]+)`", cell)
        others = [one if one.startswith("R/") else first[: -len(one)] + one for one in more]
        paths |= {path.removeprefix("R/"): text for path in (first, *others)}
    return paths


FORMATS = ("png", "pdf")
REGISTERED = [*FIGURES.values(), CALIBRATION]
# What {checkpoint} stands for in the rules.
CHECKPOINTS = (ORIGINAL, BASE, "{method}/{concept}")
# What no rule names: other modules write it, or a wildcard has a special value.
OTHER_FILES = {
    "checkpoints/preflight.csv",
    "checkpoints/{source}/{model}/{method}/.manifest.hashes.json",
    "concepts/{model}/{concept}.unrelated.json",
    "answers/{model}/{concept}.unrelated.json",
}


def tables() -> set[str]:
    """The files in <results>/tables: those of a study, and that of the target `resources`."""
    sources = (PACKAGE / "study/products.py", ROOT / "workflow/rules/resources.smk")
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    return {f"tables/{name}" for name in re.findall(r'"(\w+\.(?:csv|parquet))"', text)}


def examples(path: str) -> set[str]:
    """The path with each value of {checkpoint} and {format}, if it has them."""
    values = product(CHECKPOINTS, FORMATS)
    return {path.replace("{checkpoint}", one).replace("{format}", form) for one, form in values}


def rule_files() -> Iterator[str]:
    """What the rules name in the results, except tables and figures."""
    for source in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for path in re.findall(r'"<results>/([^"]+)"', source.read_text(encoding="utf-8")):
            if not path.startswith(("tables/", "figures/")):
                yield from examples(path)


def figure_files(figure: FigureSpec, form: str) -> list[str]:
    """As which paths results/README.md may list a figure: by its name, or for several."""
    files = (figure.file, figure.file.replace(figure.name, "{figure}", 1))
    return [f"figures/{file}.{form}" for file in files]


def pattern_of(path: str) -> str:
    """{model} in a documented path stands for one name, ... for any number of them."""
    return re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path).replace(re.escape("..."), ".+"))


def test_every_table_is_listed() -> None:
    assert {path for path in documented() if path.startswith("tables/")} == tables()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("figure", REGISTERED, ids=lambda figure: figure.name)
def test_every_figure_is_listed(figure: FigureSpec, form: str) -> None:
    paths = documented()
    own, shared = figure_files(figure, form)
    assert own in paths or figure.name in re.findall(r"\w+", paths.get(shared, ""))


def test_every_other_file_is_listed() -> None:
    every = "|".join(map(pattern_of, documented()))
    assert [path for path in rule_files() if not re.fullmatch(every, path)] == []


def test_every_listed_file_exists() -> None:
    figures = [figure_files(*each) for each in product(REGISTERED, FORMATS)]
    files = {*tables(), *rule_files(), *OTHER_FILES}.union(*figures)
    patterns = {path: re.compile(pattern_of(path)) for path in documented()}
    assert [path for path, one in patterns.items() if not any(map(one.fullmatch, files))] == []


# Columns: the page that explains a table, besides COLUMNS_PAGES.

EXPLAINED_IN = {
    "analysis.behaviour.BEHAVIOUR_COLUMNS": (CONTROLS_PAGE,),
    "analysis.claims.CLAIM_COLUMNS": (STATISTICS_PAGE,),
    "analysis.collect.COVERAGE_COLUMNS": (),
    "analysis.controls.CONTROL_COLUMNS": (CONTROLS_PAGE,),
    "analysis.depth.SUMMARY_COLUMNS": (DEPTH_PAGE,),
    "analysis.disagreements.DISAGREEMENT_COLUMNS": ("docs/explanation/scores.md",),
    "analysis.facts.FACT_COLUMNS": ("pretrained/README.md",),
    "analysis.reference.REFERENCE_COLUMNS": (DEPTH_PAGE,),
    "analysis.specificity.SPECIFICITY_COLUMNS": (CONTROLS_PAGE,),
    "analysis.statistics.STATISTIC_COLUMNS": (STATISTICS_PAGE,),
    "analysis.tables.CURVE_COLUMNS": (),
    "calibration.table.CALIBRATION_COLUMNS": (RATES_PAGE,),
    "calibration.table.ROUND_COLUMNS": ("calibration/rounds/README.md",),
    "analysis.compare._COLUMNS": ("docs/how-to/archive.md",),
    "depth.schema.DEPTH_SCHEMA": (DEPTH_PAGE,),
    "depth.schema.DONOR_SCHEMA": (DEPTH_PAGE,),
    "recall.schema.RECALL_SCHEMA": ("docs/how-to/unlearning.md",),
    "results.resources.RESOURCE_COLUMNS": ("docs/how-to/cluster.md",),
    "results.schema.ANSWER_SCHEMA": (CONTROLS_PAGE,),
    "results.schema.CHANGES_SCHEMA": (CONTROLS_PAGE,),
    "results.schema.ORIGINAL_SCHEMA": (CONTROLS_PAGE,),
    "results.schema.SWEEP_SCHEMA": (),
    "study.checkpoint_table._COLUMNS": ("docs/reference/inputs.md",),
}
NO_FILE = {
    "analysis.curve_groups.GROUP_COLUMNS",  # of several tables
    "analysis.curve_groups.WINDOW_COLUMNS",
    "report.run.CHECKPOINT_COLUMNS",  # a table of the report
}


def columns_constants() -> Iterator[str]:
    """The module's and the constant's name of every list of columns in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"^(\w*(?:_COLUMNS|_SCHEMA))\b[^=\n]* = ", text, re.MULTILINE)
        yield from (f"{module}.{constant}" for constant in found)


def test_every_list_of_columns_has_a_page() -> None:
    assert set(columns_constants()) == EXPLAINED_IN.keys() | NO_FILE


@pytest.mark.parametrize("name", EXPLAINED_IN)
def test_every_column_is_explained(name: str) -> None:
    module, _, constant = name.rpartition(".")
    columns = getattr(import_module(f"dissect.{module}"), constant)
    wanted = getattr(columns, "names", columns)
    assert unexplained(wanted, *COLUMNS_PAGES, *EXPLAINED_IN[name]) == []


def test_every_column_of_preflight_is_explained() -> None:
    pages = (*COLUMNS_PAGES, CHECKPOINTS_PAGE, "docs/reference/inputs.md")
    assert unexplained(PreflightRow._fields, *pages) == []


def test_every_column_of_the_self_patch_table_is_explained() -> None:
    assert unexplained(collect_self_patch([]), *COLUMNS_PAGES) == []


def test_every_score_of_a_round_is_explained() -> None:
    assert unexplained([spec.name for spec in SCORES], RATES_PAGE) == []


# Command lines.

COMMANDS = {
    "calibration/keep_rounds.py": "calibration/README.md",
    "calibration/make_study.py": "calibration/README.md",
    "workflow/lib/dissect/__main__.py": "docs/how-to/archive.md",
    "workflow/lib/dissect/analysis/facts.py": "pretrained/README.md",
    "workflow/lib/dissect/cluster/__main__.py": "docs/how-to/cluster.md",
}


def command_files() -> Iterator[str]:
    """The modules that have a command line, outside the benchmarks."""
    for folder in ("calibration", "workflow"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "ArgumentParser(" in path.read_text(encoding="utf-8"):
                yield path.relative_to(ROOT).as_posix()


def words_of_command(file: str) -> Iterator[str]:
    """How a command is called, and its options, subcommands and choices."""
    module = Path(file).with_suffix("").as_posix().removeprefix("workflow/lib/")
    in_package = module.startswith("dissect/")
    yield f"-m {module.removesuffix('/__main__').replace('/', '.')}" if in_package else file
    for node in ast.walk(ast.parse(read(file))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            first = [
                ast.literal_eval(arg) for arg in node.args[:1] if isinstance(arg, ast.Constant)
            ]
            if node.func.attr == "add_parser":
                yield from first
            elif node.func.attr == "add_argument":
                yield from (word for word in first if word.startswith("-"))
                choices = (one.value for one in node.keywords if one.arg == "choices")
                yield from (word for one in choices for word in ast.literal_eval(one))


def test_every_command_has_a_page() -> None:
    assert set(command_files()) == COMMANDS.keys()


@pytest.mark.parametrize("file", COMMANDS)
def test_every_option_is_explained(file: str) -> None:
    text = read(COMMANDS[file])
    words = list(words_of_command(file))
    missing = [one for one in words if not re.search(rf"(?<![\w-]){one}(?![\w-])", text)]
    assert missing == []
