"""`snakemake archive` on the tiny study, and the comparison of what it packed."""

import json
import zipfile

from tiny_study import Workflow

from planted_archive import commit
from stillknows.__main__ import main


def test_the_study_is_packed_and_equals_itself(done: Workflow) -> None:
    commit(done.root, "workflow", "Snakefile")
    run = done.run("archive")
    assert run.status == 0, run.output
    path = done.result("archive.zip")
    archive = zipfile.ZipFile(path)
    names = set(archive.namelist())
    kept = [*done.result("tables").iterdir(), *done.result("figures").rglob("*.*")]
    assert {str(file.relative_to(done.result("."))) for file in kept} <= names
    assert {"config.yaml", "checkpoints.tsv", "MANIFEST.sha256", "provenance.json"} <= names
    assert {"ro-crate-metadata.json", "workflow/Snakefile"} <= names
    provenance = json.loads(archive.read("provenance.json"))
    assert provenance["workflow"]["commit"] and not provenance["workflow"]["modified"]
    for name in names:
        assert str(done.root).encode() not in archive.read(name), name
    assert main(["compare", str(path), str(done.result("."))]) == 0
    assert done.plan("archive").jobs == {}
