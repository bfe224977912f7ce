"""The archive as a Workflow Run RO-Crate: ro-crate-metadata.json, made from the packed files alone.

Profiles: Workflow Run Crate 0.5 and Process Run Crate 0.5 (https://w3id.org/ro/wfrun) and Workflow
RO-Crate 1.0, which build on RO-Crate 1.1.
"""

import json
import re
from collections.abc import Iterator, Mapping
from mimetypes import MimeTypes
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from stillknows.files import read_json, sha256_of
from stillknows.parquet_files import read_metadata

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

CRATE = "ro-crate-metadata.json"
CITATION, LICENSE, SNAKEFILE = "CITATION.cff", "LICENSE", "workflow/Snakefile"
INPUT, RESULT, ABOUT = "input", "result", "about"
# What an archive contains: how the names begin, role in the run of the study, what it is.
CONTENTS = [
    ("report.html", RESULT, "the study on one page, if it was made; open it in a browser"),
    ("tables/", RESULT, "krs.parquet has all rows; its metadata, versions, hashes and devices"),
    ("figures/", RESULT, "each figure, as a picture and for print"),
    ("config.yaml", INPUT, "the config as it was used, with every default"),
    ("checkpoints.tsv", INPUT, "the checkpoints table"),
    ("checkpoints/", INPUT, "source, commit, sha256 and training of each checkpoint"),
    ("provenance.json", ABOUT, "versions and the workflow's commit at the time of packing"),
    (CRATE, ABOUT, "all of this for programs, as a Workflow Run RO-Crate"),
    (SNAKEFILE, ABOUT, "the workflow's first file"),
    (CITATION, ABOUT, "how to cite the workflow"),
    (LICENSE, ABOUT, "the workflow's licence"),
]
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
# RO-Crate 1.1 has no term for it.
_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
# Of the standard library alone: this machine's list would give other bytes than another's.
_FORMATS = MimeTypes()
_FORMATS.add_type("application/yaml", ".yaml")
_FORMATS.add_type("application/yaml", ".cff")
_FORMATS.add_type("application/vnd.apache.parquet", ".parquet")


def crate_text(files: Mapping[str, Path], checksums: str) -> str:
    """The text of ro-crate-metadata.json.

    The same files give the same text: it contains no current time and no random identifier.

    Args:
        files: each file's name in the archive, and the file as it is packed.
        checksums: the name of the file that lists the sha256 of all others, this text's too. It is
            described without its own sha256.
    """
    from rocrate.rocrate import ROCrate  # takes a fifth of a second

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
    return {"encodingFormat": _FORMATS.guess_type(name)[0] or "text/plain"}


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
    # RO-Crate requires a date of publication, and results have none; the time of packing would give
    # other bytes each time. Outside of git: the year of the licence.
    year = re.findall(r"\b\d{4}\b", files[LICENSE].read_text(encoding="utf-8"))[0]
    root["datePublished"] = (provenance["workflow"] or {"date": year})["date"]
    root["license"] = _license(crate, citation)
    root["author"] = _authors(crate, citation["authors"])
    root["citation"] = _add(
        crate,
        "#paper",
        "ScholarlyArticle",
        name=paper["title"],
        datePublished=str(paper["year"]),
        author=_authors(crate, paper["authors"]),
    )
    root["conformsTo"] = [
        _add(crate, url, "CreativeWork", name=name, version=url.rpartition("/")[2])
        for url, name in _PROFILES.items()
    ]


def _add(crate: "ROCrate", identifier: str, kind: str, **properties: Any) -> "Entity":
    """The entity of that identifier, added if it is new."""
    present = crate.get(identifier)
    return present or crate.add_jsonld({"@id": identifier, "@type": kind, **properties})


def _add_value(crate: "ROCrate", name: str, kind: str, value: str, about: str) -> "Entity":
    properties = {"name": name, "propertyID": kind, "value": value, "description": about}
    return _add(crate, f"#{quote(name)}", "PropertyValue", **properties)


def _license(crate: "ROCrate", citation: Mapping[str, Any]) -> "Entity":
    name = citation["license"]
    about = f"The licence of the workflow, {name}. Models and concepts have licences of their own."
    url = f"https://spdx.org/licenses/{name}"
    return _add(crate, url, "CreativeWork", name=name, description=about)


def _authors(crate: "ROCrate", authors: list[dict[str, str]]) -> "Entity | list[Entity]":
    """Authors as CITATION.cff has them: a group's name, or a person's given and family names."""
    entities = []
    for author in authors:
        kind = "Organization" if "name" in author else "Person"
        name = author.get("name") or f"{author['given-names']} {author['family-names']}"
        entities.append(_add(crate, author.get("orcid", f"#{quote(name)}"), kind, name=name))
    return entities if len(entities) > 1 else entities[0]  # as RO-Crate recommends


def _add_workflow(
    crate: "ROCrate", snakefile: Path, citation: Mapping[str, Any], provenance: Mapping[str, Any]
) -> "Entity":
    packages = provenance["packages"]
    requirements = {
        name: (f"https://pypi.org/project/{name}/", version)
        for name, version in packages.items()
        if name != "stillknows"  # the workflow itself
    }
    requirements["python"] = ("https://www.python.org/", provenance["python"])
    properties = {
        **_file_properties(SNAKEFILE, snakefile),
        "name": citation["title"],
        "description": " ".join(citation["abstract"].split()),
        "version": citation["version"],
        "license": _license(crate, citation),
        "author": _authors(crate, citation["authors"]),
        "softwareRequirements": [
            _add(crate, url, "SoftwareApplication", name=name, url=url, softwareVersion=version)
            for name, (url, version) in requirements.items()
        ],
    }
    if commit := provenance["workflow"]:
        state = "files differ from this commit" if commit["modified"] else "no file differs from it"
        properties["identifier"] = _add_value(
            crate, "commit of the workflow", "git commit", commit["commit"], state
        )
    return crate.add_workflow(
        dest_path=SNAKEFILE,
        main=True,
        lang="snakemake",
        lang_version=packages["snakemake"],
        properties=properties,
    )


def _add_run(crate: "ROCrate", workflow: "Entity", files: Mapping[str, Path]) -> "Entity":
    """The one action: the study, from its inputs to its results."""
    hashes = [*_add_weights(crate, files), *_add_concepts(crate, files["tables/krs.parquet"])]
    inputs, results = (
        [
            crate.get(quote(name))
            for name in files
            if name.startswith(tuple(start for start, of, _ in CONTENTS if of == role))
        ]
        for role in (INPUT, RESULT)
    )
    properties = {
        "name": "Run of the study",
        "description": "From config, checkpoints and concepts to tables, figures and report. The "
        "workflow's requirements have the versions at the time of packing; tables/krs.parquet has "
        "those of each sweep in its metadata.",
    }
    return crate.add_action(workflow, "#run", [*inputs, *hashes], results, properties)


def _add_weights(crate: "ROCrate", files: Mapping[str, Path]) -> Iterator["Entity"]:
    about = "over the lines '<sha256>  <name>' of its safetensors files; they are not in the crate"
    for name, path in files.items():
        if PurePosixPath(name).name == "manifest.json":
            manifest = read_json(path)
            parts = (manifest["model"], manifest["method"], manifest["concept"])
            checkpoint = f"weights of {'/'.join(filter(None, parts))}"
            yield _add_value(crate, checkpoint, "sha256", manifest["weights_sha256"], about)


def _add_concepts(crate: "ROCrate", sweeps: Path) -> Iterator["Entity"]:
    """The sha256 of each concept's texts and questions, as far as tables/krs.parquet names it."""
    shared, hashes = read_metadata(sweeps), {}
    for sweep, differing in json.loads(shared["sweeps"]).items():
        model, _, concept, _ = sweep.split("/")
        hashes[f"{model}/{concept}"] = (shared | differing).get("data_sha256")
    for name, digest in sorted(hashes.items()):
        if digest:
            about = "its texts and questions; they are not in the crate"
            yield _add_value(crate, f"concept data of {name}", "sha256", digest, about)
