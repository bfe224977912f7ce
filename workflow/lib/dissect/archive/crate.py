"""The archive as a Workflow Run RO-Crate: ro-crate-metadata.json, made from the packed files alone.

Profiles: Workflow Run Crate 0.5 and Process Run Crate 0.5 (https://w3id.org/ro/wfrun) and Workflow
RO-Crate 1.0, which build on RO-Crate 1.1.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from dissect.errors import DissectError
from dissect.files import read_json, sha256_of
from dissect.results.schema import read_metadata

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

CRATE = "ro-crate-metadata.json"
CITATION, LICENSE, SNAKEFILE = "CITATION.cff", "LICENSE", "workflow/Snakefile"
_INPUTS = ("config.yaml", "checkpoints.tsv", "checkpoints/")
_RESULTS = ("report.html", "tables/", "figures/")
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
# RO-Crate 1.1 has no term for it.
_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
_FORMATS = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
}


def crate_text(files: Mapping[str, Path], checksums: str) -> str:
    """The text of ro-crate-metadata.json.

    The same files give the same text: it contains no current time and no random identifier.

    Args:
        files: each file's name in the archive, and the file as it is packed.
        checksums: the name of the file that lists the sha256 of all others, this text's too. It is
            described without its own sha256.
    """
    # Takes a fifth of a second, which a comparison of archives need not spend.
    from rocrate.rocrate import ROCrate

    citation = yaml.safe_load(files[CITATION].read_text(encoding="utf-8"))
    provenance = read_json(files["provenance.json"])
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms = _TERMS
    workflow = _add_workflow(crate, files[SNAKEFILE], citation, provenance)
    for name, path in files.items():
        if name != SNAKEFILE:
            crate.add_file(dest_path=name, properties=_file_properties(name, path))
    crate.add_file(dest_path=checksums, properties={"name": checksums, **_format(checksums)})
    crate.get("README.md")["about"] = crate.root_dataset
    _describe_root(crate, files, citation, provenance)
    crate.root_dataset["mentions"] = _add_run(crate, workflow, files)
    return json.dumps(crate.metadata.generate(), indent=2, ensure_ascii=False) + "\n"


def _format(name: str) -> dict[str, str]:
    return {"encodingFormat": _FORMATS.get(PurePosixPath(name).suffix, "text/plain")}


def _file_properties(name: str, path: Path) -> dict[str, str]:
    size = str(path.stat().st_size)
    return {"name": name, "contentSize": size, "sha256": sha256_of(path), **_format(name)}


def _describe_root(
    crate: "ROCrate",
    files: Mapping[str, Path],
    citation: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    models = ", ".join(yaml.safe_load(files["config.yaml"].read_text(encoding="utf-8"))["models"])
    paper = citation["preferred-citation"]
    root = crate.root_dataset
    root["name"] = "Results of a study of unlearning"
    root["description"] = (
        f"Tables, figures and report of a study of {models}, made with the workflow "
        f'"{citation["title"]}" after the paper "{paper["title"]}".'
    )
    root["datePublished"] = _date(files[LICENSE], provenance)
    root["license"] = _license(crate, citation)
    root["author"] = _authors(crate, citation["authors"])
    root["citation"] = _add_paper(crate, paper)
    root["conformsTo"] = [_add_profile(crate, url, name) for url, name in _PROFILES.items()]


def _date(license_file: Path, provenance: Mapping[str, Any]) -> str:
    """The date of the workflow's commit; outside of git, the year of the licence.

    RO-Crate requires a date of publication, and results have no date. The time of packing would
    give other bytes each time.

    Raises:
        DissectError: if the licence is needed and contains no year.
    """
    if commit := provenance["workflow"]:
        return str(commit["date"])
    text = license_file.read_text(encoding="utf-8")
    if year := re.search(r"Copyright \D*(\d{4})", text):
        return year[1]
    raise DissectError(
        f"{LICENSE} has no line 'Copyright YEAR', and the workflow has no commit that "
        "gives the archive a date: add the line, or use the workflow from its git repository"
    )


def _add(crate: "ROCrate", identifier: str, kind: str, **properties: Any) -> "Entity":
    """The entity of that identifier, added if it is new."""
    present = crate.get(identifier)
    return present or crate.add_jsonld({"@id": identifier, "@type": kind, **properties})


def _add_profile(crate: "ROCrate", url: str, name: str) -> "Entity":
    return _add(crate, url, "CreativeWork", name=name, version=url.rpartition("/")[2])


def _license(crate: "ROCrate", citation: Mapping[str, Any]) -> "Entity":
    name = citation["license"]
    about = f"The licence of the workflow, {name}. Models and concepts have licences of their own."
    url = f"https://spdx.org/licenses/{name}"
    return _add(crate, url, "CreativeWork", name=name, description=about)


def _authors(crate: "ROCrate", authors: list[dict[str, str]]) -> "Entity | list[Entity]":
    entities = [_add_author(crate, author) for author in authors]
    return entities if len(entities) > 1 else entities[0]  # as RO-Crate recommends


def _add_author(crate: "ROCrate", author: Mapping[str, str]) -> "Entity":
    """An author as CITATION.cff has it: a group's name, or a person's given and family names."""
    if "name" in author:
        name = author["name"]
        return _add(crate, f"#{quote(name)}", "Organization", name=name)
    given, family = author["given-names"], author["family-names"]
    name = f"{given} {family}"
    identifier = author.get("orcid", f"#{quote(name)}")
    return _add(crate, identifier, "Person", name=name, givenName=given, familyName=family)


def _add_paper(crate: "ROCrate", paper: Mapping[str, Any]) -> "Entity":
    article = _add(crate, "#paper", "ScholarlyArticle", name=paper["title"])
    article["datePublished"] = str(paper["year"])
    article["author"] = _authors(crate, paper["authors"])
    return article


def _add_workflow(
    crate: "ROCrate", snakefile: Path, citation: Mapping[str, Any], provenance: Mapping[str, Any]
) -> "Entity":
    packages = provenance["packages"]
    workflow = crate.add_workflow(
        dest_path=SNAKEFILE,
        main=True,
        lang="snakemake",
        lang_version=packages["snakemake"],
        properties=_file_properties(SNAKEFILE, snakefile),
    )
    workflow["name"] = citation["title"]
    workflow["description"] = " ".join(citation["abstract"].split())
    workflow["version"] = citation["version"]
    workflow["license"] = _license(crate, citation)
    workflow["author"] = _authors(crate, citation["authors"])
    if commit := provenance["workflow"]:
        state = "files differ from this commit" if commit["modified"] else "no file differs from it"
        workflow["identifier"] = _add_value(
            crate, "commit of the workflow", "git commit", commit["commit"], state
        )
    workflow["softwareRequirements"] = [
        _add_package(crate, f"https://pypi.org/project/{name}/", name, version)
        for name, version in packages.items()
        if name != "dissect"  # the workflow itself
    ] + [_add_package(crate, "https://www.python.org/", "python", provenance["python"])]
    return workflow


def _add_package(crate: "ROCrate", url: str, name: str, version: str) -> "Entity":
    properties = {"name": name, "url": url, "softwareVersion": version}
    return _add(crate, url, "SoftwareApplication", **properties)


def _add_run(crate: "ROCrate", workflow: "Entity", files: Mapping[str, Path]) -> "Entity":
    """The one action: the study, from its inputs to its results."""
    hashes = [*_add_weights(crate, files), *_add_concepts(crate, files["tables/krs.parquet"])]
    inputs = [crate.get(quote(name)) for name in files if name.startswith(_INPUTS)]
    results = [crate.get(quote(name)) for name in files if name.startswith(_RESULTS)]
    properties = {
        "name": "Run of the study",
        "description": "From config, checkpoints and concepts to tables, figures and report. The "
        "workflow's requirements have the versions at the time of packing; tables/krs.parquet has "
        "those of each sweep in its metadata.",
    }
    return crate.add_action(workflow, "#run", [*inputs, *hashes], results, properties)


def _add_value(crate: "ROCrate", name: str, kind: str, value: str, about: str) -> "Entity":
    properties = {"name": name, "propertyID": kind, "value": value, "description": about}
    return _add(crate, f"#{quote(name)}", "PropertyValue", **properties)


def _add_weights(crate: "ROCrate", files: Mapping[str, Path]) -> Iterator["Entity"]:
    about = "over the lines '<sha256>  <name>' of its safetensors files; they are not in the crate"
    for name, path in files.items():
        if PurePosixPath(name).name == "manifest.json":
            manifest = read_json(path)
            parts = (manifest["model"], manifest["method"], manifest["concept"])
            checkpoint = f"weights of {'/'.join(filter(None, parts))}"
            yield _add_value(crate, checkpoint, "sha256", manifest["weights_sha256"], about)


def _add_concepts(crate: "ROCrate", sweeps: Path) -> Iterator["Entity"]:
    """The sha256 of each concept's texts and questions, as far as sweeps name it.

    Args:
        sweeps: tables/krs.parquet; `collect_sweeps` describes its metadata.
    """
    metadata = read_metadata(sweeps)
    hashes = {}
    for sweep, own in json.loads(metadata["sweeps"]).items():
        model, _, concept, _ = sweep.split("/")
        hashes[f"{model}/{concept}"] = {**metadata, **own}.get("data_sha256")
    for name, digest in sorted(hashes.items()):
        if digest:
            about = "its texts and questions; they are not in the crate"
            yield _add_value(crate, f"concept data of {name}", "sha256", digest, about)
