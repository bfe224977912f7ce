"""The archive against the profile Workflow Run Crate, by roc-validator: make test-crate.

roc-validator has an environment of its own, since it needs an older rich than the project's tools.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planted_archive import ROOT, commit, pack, plant_archived_study

PYTHON = ROOT / ".venv/roc-validator/bin/python"
CRATE = "ro-crate-metadata.json"

Entities = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an unpacked archive."""
    root = tmp_path_factory.mktemp("crate")
    pack(plant_archived_study(root)).extractall(root / "unpacked")
    return root / "unpacked"


def problems(*crates: Path) -> list[list[str]]:
    """What each crate, a folder or a zip file, lacks of what the profile requires."""
    assert PYTHON.exists(), "roc-validator is not installed: make test-crate"
    command = [PYTHON, Path(__file__).parent / "validate.py", *crates]
    environment = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_archive_is_a_workflow_run_crate(tmp_path: Path) -> None:
    archive = pack(plant_archived_study(tmp_path))
    assert archive.filename is not None
    assert problems(Path(archive.filename)) == [[]]


def test_an_archive_with_a_commit_is_one(tmp_path: Path) -> None:
    study = plant_archived_study(tmp_path)
    commit(tmp_path, "workflow")
    archive = pack(study)
    assert json.loads(archive.read("provenance.json"))["workflow"]["commit"]
    assert archive.filename is not None
    assert problems(Path(archive.filename)) == [[]]


def without(entity: str, name: str) -> Callable[[Entities], object]:
    """A change that removes a property."""
    return lambda entities: entities[entity].pop(name)


BROKEN: dict[str, tuple[Callable[[Entities], object], str]] = {
    "no main workflow": (without("./", "mainEntity"), "must be specified through a `mainEntity`"),
    "no language": (without("workflow/Snakefile", "programmingLanguage"), "refer to its language"),
    "no licence": (without("./", "license"), "`license`"),
    "no date": (without("./", "datePublished"), "`datePublished`"),
    "no instrument": (without("#run", "instrument"), "MUST have an instrument"),
    "no run": (
        lambda entities: entities.pop("#run"),
        "reference the root data entity's mainEntity",
    ),
    "no profile": (without("./", "conformsTo"), "Workflow Run Crate profile"),
    "unknown term": (lambda entities: entities["#run"].update(colour="red"), "colour"),
}


def test_broken_crates_are_detected(unpacked: Path, tmp_path: Path) -> None:
    crates = []
    for name, (change, _) in BROKEN.items():
        # The validator misreads folders with a space in their name.
        crate = shutil.copytree(unpacked, tmp_path / name.replace(" ", "_"))
        content = json.loads((crate / CRATE).read_text(encoding="utf-8"))
        entities = {entity["@id"]: entity for entity in content["@graph"]}
        change(entities)
        content["@graph"] = list(entities.values())
        (crate / CRATE).write_text(json.dumps(content), encoding="utf-8")
        crates.append(crate)
    for (name, (_, message)), found in zip(BROKEN.items(), problems(*crates), strict=True):
        assert any(message in problem for problem in found), (name, found)


def test_missing_files_are_detected(unpacked: Path, tmp_path: Path) -> None:
    crate = shutil.copytree(unpacked, tmp_path / "crate")
    (crate / "workflow/Snakefile").unlink()
    (crate / "tables/krs.parquet").unlink()
    (found,) = problems(crate)
    text = "\n".join(found)
    assert "Main Workflow workflow/Snakefile not found in crate" in text
    assert "does not include the Data Entity 'tables/krs.parquet'" in text
