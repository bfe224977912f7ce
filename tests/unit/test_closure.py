"""What a script's result depends on: its closure, and the digest of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillknows import closure as module
from stillknows.closure import EXCLUDED, PACKAGE, closure, code_digest
from stillknows.figures.registry import FIGURES
from stillknows.training.methods import METHODS

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
METHOD = "stillknows.training.methods.dpo"
# What later steps read or draw; nothing that computes on a model may depend on it.
LATER = re.compile("(analysis/(?!self_patch)|figures|report|study/(?!model_job)|cluster)")
COMPUTING = [
    "answer_patched",
    "answer_prompts",
    "answer_questions",
    "check_self_patch",
    "dissect_layers",
    "download_checkpoint",
    "import_wheel",
    "merge_adapter",
    "prepare_concept",
    "record_original",
    "register_checkpoint",
    "measure_weight_changes",
    "unlearn_concept",
]


def modules(script: str, *chosen: str) -> set[str]:
    """The closure's files by their paths in the package, without the script and empty packages."""
    files = closure(SCRIPTS / f"{script}.py", *chosen)
    assert files[0] == SCRIPTS / f"{script}.py"
    found = {str(path.relative_to(PACKAGE)) for path in files[1:]}
    return {name for name in found if not name.endswith("__init__.py")}


def test_a_training_depends_on_its_own_method_and_no_other() -> None:
    found = modules("unlearn_concept", METHOD)
    assert {name for name in found if name.startswith("training/")} == {
        "training/check.py",
        "training/log_probs.py",
        "training/methods/dpo.py",
        "training/recipe.py",
        "training/scoring.py",
        "training/texts.py",
        "training/train.py",
        "training/unlearn.py",
    }
    assert {"texts/prompts.py", "models/reader.py"} <= found


def test_a_summary_is_of_tables_alone() -> None:
    """No model is read; of the engine, the names of windows."""
    outside = {name for name in modules("summarise") if not name.startswith("analysis/")}
    assert outside == {"csv_files.py", "engine/windows.py", "parquet_files.py"}
    assert modules("prepare_concept") == {"texts/concepts.py", "texts/fact_matching.py"}
    assert modules("fetch_concepts") == set()


def test_the_report_depends_on_its_templates_and_assets() -> None:
    assert {"report/templates/page.html", "report/assets/style.css"} <= modules("make_report")


@pytest.mark.parametrize("script", COMPUTING)
def test_what_computes_on_a_model_depends_on_nothing_later(script: str) -> None:
    chosen = [METHOD] if script == "unlearn_concept" else []
    assert [name for name in modules(script, *chosen) if LATER.match(name)] == []


def test_a_figure_depends_on_its_own_drawing_module() -> None:
    drawing = {f"figures/{spec.module}.py" for spec in FIGURES.values()}
    for figure in FIGURES.values():
        found = modules("plot", f"stillknows.figures.{figure.module}")
        assert f"figures/{figure.module}.py" in found
        # A drawing module may use another one's functions, never all of them.
        assert found & drawing < drawing


def test_every_excluded_module_exists_and_says_why() -> None:
    assert len(EXCLUDED) <= 10
    for name, reason in EXCLUDED.items():
        assert module._file_of(name) is not None, name
        assert reason


def test_every_method_that_can_be_trained_can_be_chosen() -> None:
    for method in METHODS:
        assert closure(SCRIPTS / "unlearn_concept.py", f"stillknows.training.methods.{method}")
    with pytest.raises(ModuleNotFoundError):
        closure(SCRIPTS / "unlearn_concept.py", "stillknows.training.methods.none")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the same name, of three modules, and a script that imports one of them."""
    files = {
        "script.py": "import json\nfrom stillknows.parts import one\n",
        "stillknows/__init__.py": "",
        "stillknows/parts/__init__.py": "",
        "stillknows/parts/one.py": "def late():\n    import stillknows.parts.two\n",
        "stillknows/parts/two.py": "",
        "stillknows/parts/three.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "stillknows")
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    for cached in (module.code_digest, module._file_of, module._read, module._sha256_of):
        cached.cache_clear()


def names(root: Path, *chosen: str) -> list[str]:
    forget()
    return [path.stem for path in closure(root / "script.py", *chosen)]


def test_imports_inside_functions_count_and_a_module_in_no_import_does_not(package: Path) -> None:
    assert names(package) == ["script", "__init__", "one", "two"]
    before = code_digest(package / "script.py")
    forget()
    (package / "stillknows/parts/three.py").write_text("# edited\n")
    assert code_digest(package / "script.py") == before
    forget()
    (package / "stillknows/parts/two.py").write_text("# edited\n")
    assert code_digest(package / "script.py") != before


def test_an_excluded_module_is_left_out_with_what_it_alone_imports(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXCLUDED, "stillknows.parts.one", "a test")
    assert names(package) == ["script", "__init__"]


def test_a_module_imported_by_name_counts_where_it_is_chosen(package: Path) -> None:
    one = package / "stillknows/parts/one.py"
    one.write_text("from importlib import import_module\n")
    assert names(package, "stillknows.parts.three") == ["script", "__init__", "one", "three"]


def test_every_module_that_hides_what_it_depends_on_is_known() -> None:
    """Whose rules choose what is imported by name, or that declares its files."""
    hiding = re.compile(r"import_module|__import__|__file__|pkgutil|import resources")
    files = [*PACKAGE.rglob("*.py"), *SCRIPTS.glob("*.py")]
    texts = {path.name: path.read_text("utf-8") for path in files}
    found = {name for name, text in texts.items() if hiding.search(text)}
    assert found == {"closure.py", "registry.py", "page.py", "audit.py"}
    assert "PACKAGE_DATA" in texts["page.py"]


def test_data_that_a_module_declares_counts(package: Path) -> None:
    (package / "stillknows/parts/one.py").write_text('PACKAGE_DATA = ("*.html",)\n')
    (package / "stillknows/parts/page.html").write_text("<p>")
    assert names(package) == ["script", "__init__", "one", "page"]
