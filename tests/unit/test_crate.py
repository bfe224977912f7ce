"""ro-crate-metadata.json: every file with its sha256, inputs and results, nothing of the machine.

tests/crate compares it with the profiles.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from planted_archive import DATA, WEIGHTS, commit, pack, plant_archived_study

Entities = dict[str, dict[str, Any]]


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    root = tmp_path / "home" / "marvin" / "study"
    root.mkdir(parents=True)
    return plant_archived_study(root)


def entities_of(archive: zipfile.ZipFile) -> Entities:
    """The crate's entities by their @id."""
    graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    return entities


def named(entities: Entities, references: Any) -> list[str]:
    """The names of the entities that a property refers to."""
    listed = references if isinstance(references, list) else [references]
    return [entities[reference["@id"]]["name"] for reference in listed]


def test_every_file_is_listed_with_its_sha256(study: dict[str, Any]) -> None:
    archive = pack(study)
    entities = entities_of(archive)
    parts = {unquote(part["@id"]): entities[part["@id"]] for part in entities["./"]["hasPart"]}
    assert sorted([*parts, "ro-crate-metadata.json"]) == sorted(archive.namelist())
    assert "sha256" not in parts.pop("MANIFEST.sha256")
    for name, part in parts.items():
        content = archive.read(name)
        assert part["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert part["contentSize"] == str(len(content))


def test_a_name_that_no_address_may_contain(study: dict[str, Any]) -> None:
    figure = study["results"] / "figures/a b#c.png"
    figure.write_bytes(b"\x89PNG")
    study["outputs"].append(figure)
    entities = entities_of(pack(study))
    assert {"@id": "figures/a%20b%23c.png"} in entities["./"]["hasPart"]
    assert {"@id": "figures/a%20b%23c.png"} in entities["#run"]["result"]


def test_the_run_names_inputs_results_and_the_workflow(study: dict[str, Any]) -> None:
    entities = entities_of(pack(study))
    run = entities["#run"]
    assert run["@type"] == "CreateAction"
    assert run["instrument"] == entities["./"]["mainEntity"] == {"@id": "workflow/Snakefile"}
    assert named(entities, run["object"]) == [
        "checkpoints.tsv",
        "checkpoints/path/tiny/original/manifest.json",
        "config.yaml",
        "weights of tiny/original",
        "concept data of tiny/tea",
    ]
    hashes = [entities[one["@id"]]["value"] for one in run["object"][-2:]]
    assert hashes == [WEIGHTS, DATA]
    results = ["figures/curves.png", "tables/coverage.csv", "tables/krs.parquet"]
    assert named(entities, run["result"]) == results


def test_the_versions_are_those_of_provenance_json(study: dict[str, Any]) -> None:
    archive = pack(study)
    entities = entities_of(archive)
    provenance = json.loads(archive.read("provenance.json"))
    workflow = entities["workflow/Snakefile"]
    required = [entities[one["@id"]] for one in workflow["softwareRequirements"]]
    versions = {one["name"]: one["softwareVersion"] for one in required}
    own = {"stillknows": provenance["packages"]["stillknows"]}  # the workflow itself
    assert versions | own == provenance["packages"] | {"python": provenance["python"]}
    assert "stillknows" not in versions
    language = entities[workflow["programmingLanguage"]["@id"]]
    assert (language["name"], language["version"]) == ("Snakemake", versions["snakemake"])


def test_commit_and_date_are_the_workflows(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert entities_of(pack(study))["./"]["datePublished"] == "2026"  # of the licence
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2025-06-07T12:00:00Z")
    commit(study["workflow"], "workflow")
    archive = pack(study)
    entities = entities_of(archive)
    assert entities["./"]["datePublished"] == "2025-06-07"
    packed = json.loads(archive.read("provenance.json"))["workflow"]["commit"]
    assert entities[entities["workflow/Snakefile"]["identifier"]["@id"]]["value"] == packed
