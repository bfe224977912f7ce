"""The archive against the profile Workflow Run Crate, by roc-validator: make test-crate.

roc-validator has an environment of its own, since it needs an older rich than the project's tools.
"""

import json
import os
import subprocess
from pathlib import Path

from planted_archive import ROOT, commit, pack, plant_archived_study

PYTHON = ROOT / ".venv/roc-validator/bin/python"


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
