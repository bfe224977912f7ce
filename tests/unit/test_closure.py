"""What a script's result depends on: its closure, and the digest of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dissect import closure as module
from dissect.closure import PACKAGE, closure, code_digest
from dissect.errors import DissectError
from dissect.figures.registry import FIGURES
from dissect.training.methods import METHODS

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
METHOD = "dissect.training.methods.dpo"
# What later steps read or draw; nothing that computes on a model may depend on it.
LATER = re.compile(
    r"(report|figures|compare|cluster)/"
    r"|results/(?!schema|answers|self_patch)"
    r"|study/(config|study|selection|products|resources)\.py"
)
COMPUTING = [
    "answer_as_original",
    "answer_as_unlearned",
    "answer_patched",
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
    methods = {f"training/methods/{name}.py" for name in METHODS} & found
    assert methods == {"training/methods/dpo.py"}
    assert {"texts/prompts.py", "checkpoints/reader.py"} <= found


@pytest.mark.parametrize("script", COMPUTING)
def test_what_computes_on_a_model_depends_on_nothing_later(script: str) -> None:
    chosen = [METHOD] if script == "unlearn_concept" else []
    assert [name for name in modules(script, *chosen) if LATER.match(name)] == []


def test_a_figure_depends_on_its_own_drawing_module() -> None:
    drawing = {f"figures/{spec.module}.py" for spec in FIGURES.values()}
    for figure in FIGURES.values():
        found = modules("plot", f"dissect.figures.{figure.module}")
        assert f"figures/{figure.module}.py" in found
        # A drawing module may use another one's functions, never all of them.
        assert found & drawing < drawing


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the same name, of three modules, and a script that imports one of them."""
    files = {
        "script.py": "import json\nfrom dissect.parts import one\n",
        "dissect/__init__.py": "",
        "dissect/parts/__init__.py": "",
        "dissect/parts/one.py": "def late():\n    import dissect.parts.two\n",
        "dissect/parts/two.py": "",
        "dissect/parts/three.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "dissect")
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
    (package / "dissect/parts/three.py").write_text("# edited\n")
    assert code_digest(package / "script.py") == before
    forget()
    (package / "dissect/parts/two.py").write_text("# edited\n")
    assert code_digest(package / "script.py") != before


BY_NAME = "from importlib import import_module\nimport_module('dissect.parts.two')\n"


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        (BY_NAME, "IMPORTS_BY_NAME"),
        ("import importlib\nimportlib.import_module('x')\n", "IMPORTS_BY_NAME"),
        ("def f(name):\n    return __import__(name)\n", "IMPORTS_BY_NAME"),
        ("from importlib import resources\n", "PACKAGE_DATA"),
        ("TEXT = open(__file__)\n", "PACKAGE_DATA"),
    ],
)
def test_what_imports_do_not_show_must_be_declared(package: Path, text: str, constant: str) -> None:
    (package / "dissect/parts/one.py").write_text(text)
    with pytest.raises(DissectError, match=f"one.py uses .*{constant}"):
        names(package)


def test_of_modules_imported_by_name_the_chosen_count_or_all(package: Path) -> None:
    one = package / "dissect/parts/one.py"
    one.write_text(f'IMPORTS_BY_NAME = "dissect.parts"\n{BY_NAME}')
    assert names(package) == ["script", "__init__", "one", "three", "two"]
    assert names(package, "dissect.parts.three") == ["script", "__init__", "one", "three"]


def test_data_that_a_module_declares_counts(package: Path) -> None:
    (package / "dissect/parts/one.py").write_text('PACKAGE_DATA = ("*.html",)\n')
    (package / "dissect/parts/page.html").write_text("<p>")
    assert names(package) == ["script", "__init__", "one", "page"]
