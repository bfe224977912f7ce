"""A small study to pack, in folders of this machine."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from planted import flat, plant
from stillknows.analysis.collect import collect_sweeps
from stillknows.report.archive import Redactor, study_members, write_archive
from stillknows.study.config import load_config

ROOT = Path(__file__).parents[1]
WEIGHTS, DATA = "a" * 64, "b" * 64  # sha256


def plant_archived_study(root: Path) -> dict[str, Any]:
    """Write a study of one sweep and its workflow; return the arguments of `study_members`."""
    results, folder = root / "results", root / "data" / "original"
    source = f"path:{folder}"
    sweep = plant(results, flat(0.5), metadata={"original_source": source, "data_sha256": DATA})
    collect_sweeps([sweep], results / "tables/krs.parquet")
    (results / "tables/coverage.csv").write_text(f"reason\nfolder {folder} is gone\n", "utf-8")
    (results / "figures").mkdir()
    (results / "figures/curves.png").write_bytes(b"\x89PNG")
    manifest = results / "checkpoints/path/tiny/original/manifest.json"
    manifest.parent.mkdir(parents=True)
    names = {"model": "tiny", "method": "original", "concept": ""}
    what = {"source": source, "folder": str(folder), "weights_sha256": WEIGHTS}
    manifest.write_text(json.dumps(names | what), "utf-8")
    table = root / "checkpoints.tsv"
    table.write_text(f"model\tmethod\tconcept\tsource\ntiny\toriginal\t\t{source}\n", "utf-8")
    config = {
        "results": str(results),
        "checkpoints": str(table),
        "models": {"tiny": {"concepts": str(root / "concepts.json")}},
    }
    copy_workflow(root)
    return {
        "results": results,
        "checkpoints": table,
        "manifests": [manifest],
        "outputs": [*sorted((results / "tables").iterdir()), results / "figures/curves.png"],
        "config": load_config(config).model_dump(mode="json"),
        "workflow": root,
    }


def copy_workflow(root: Path) -> None:
    """Copy those files of the workflow that an archive contains."""
    (root / "workflow").mkdir()
    for name in ("CITATION.cff", "LICENSE", "workflow/Snakefile"):
        shutil.copy(ROOT / name, root / name)


def commit(root: Path, *names: str) -> None:
    """Make a folder a git repository with one commit of these files."""
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", *names], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)


def redactor(study: dict[str, Any]) -> Redactor:
    root = study["workflow"]
    folders = [study["results"], study["checkpoints"], root, root / "data/original"]
    return Redactor([*folders, root / "concepts.json"])


def pack(study: dict[str, Any], name: str = "archive.zip") -> zipfile.ZipFile:
    output = study["workflow"] / name
    write_archive(output, study_members(**study), redactor(study))
    return zipfile.ZipFile(output)
