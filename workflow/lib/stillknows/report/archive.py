"""One file of a study for whoever reviews it: the same results give the same bytes."""

import json
import os
import platform
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from mimetypes import MimeTypes
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow.parquet as pq
import yaml

from stillknows.analysis.compare import MANIFEST
from stillknows.errors import StudyError
from stillknows.files import atomic_path, read_json, sha256_of
from stillknows.models.provenance import hash_of, versions
from stillknows.parquet_files import metadata_of, read_metadata

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
# Of the standard library alone: this machine's list would give other bytes than another's.
_FORMATS = MimeTypes()
_FORMATS.add_type("application/yaml", ".yaml")
_FORMATS.add_type("application/yaml", ".cff")
_FORMATS.add_type("application/vnd.apache.parquet", ".parquet")


def crate_text(files: Mapping[str, Path], checksums: str) -> str:
    """The text of ro-crate-metadata.json, without the current time and without random ids."""
    from rocrate.rocrate import ROCrate  # takes a fifth of a second

    citation, config = (
        yaml.safe_load(files[name].read_text("utf-8")) for name in (CITATION, "config.yaml")
    )
    provenance = read_json(files["provenance.json"])
    crate = ROCrate(version="1.1")
    # RO-Crate 1.1 has no term for it.
    crate.metadata.extra_terms = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
    workflow = _add_workflow(crate, _file_properties(files[SNAKEFILE]), citation, provenance)
    for name, path in files.items():
        if name != SNAKEFILE:
            properties = {"name": name, **_file_properties(path), **_format(name)}
            crate.add_file(dest_path=name, properties=properties)
    crate.add_file(dest_path=checksums, properties={"name": checksums, **_format(checksums)})
    crate.get("README.md")["about"] = root = crate.root_dataset
    paper = citation["preferred-citation"]
    root["name"] = "Results of a study of unlearning"
    root["description"] = (
        f"Tables, figures and report of a study of {', '.join(config['models'])}, made with the "
        f'workflow "{citation["title"]}" after the paper "{paper["title"]}".'
    )
    # RO-Crate requires a date of publication, and results have none; the time of packing would give
    # other bytes each time. Outside of git: the year of the licence.
    year = re.findall(r"\b\d{4}\b", files[LICENSE].read_text("utf-8"))[0]
    root["datePublished"] = (provenance["workflow"] or {"date": year})["date"]
    root["license"], root["author"] = workflow["license"], workflow["author"]
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
    root["mentions"] = _add_run(crate, workflow, files)
    return json.dumps(crate.metadata.generate(), indent=2, ensure_ascii=False) + "\n"


def _format(name: str) -> dict[str, str]:
    return {"encodingFormat": _FORMATS.guess_type(name)[0] or "text/plain"}


def _file_properties(path: Path) -> dict[str, str]:
    return {"contentSize": str(path.stat().st_size), "sha256": sha256_of(path)}


def _add(crate: "ROCrate", identifier: str, kind: str, **properties: Any) -> "Entity":
    present = crate.get(identifier)
    return present or crate.add_jsonld({"@id": identifier, "@type": kind, **properties})


def _add_value(crate: "ROCrate", name: str, kind: str, value: str, about: str) -> "Entity":
    properties = {"name": name, "propertyID": kind, "value": value, "description": about}
    return _add(crate, f"#{quote(name)}", "PropertyValue", **properties)


def _authors(crate: "ROCrate", authors: list[dict[str, str]]) -> "Entity | list[Entity]":
    """Authors as CITATION.cff has them: a group's name, or a person's given and family names."""
    entities = []
    for author in authors:
        kind = "Organization" if "name" in author else "Person"
        name = author.get("name") or f"{author['given-names']} {author['family-names']}"
        entities.append(_add(crate, author.get("orcid", f"#{quote(name)}"), kind, name=name))
    return entities if len(entities) > 1 else entities[0]  # as RO-Crate recommends


def _add_workflow(
    crate: "ROCrate",
    file: Mapping[str, str],
    citation: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> "Entity":
    license_ = citation["license"]
    about = (
        f"The licence of the workflow, {license_}. Models and concepts have licences of their own."
    )
    url = f"https://spdx.org/licenses/{license_}"
    properties = {
        **file,
        **_format(SNAKEFILE),
        "name": citation["title"],
        "description": " ".join(citation["abstract"].split()),
        "version": citation["version"],
        "license": _add(crate, url, "CreativeWork", name=license_, description=about),
        "author": _authors(crate, citation["authors"]),
    }
    packages = provenance["packages"]
    requirements = {
        name: (f"https://pypi.org/project/{name}/", version)
        for name, version in packages.items()
        if name != "stillknows"  # the workflow itself
    }
    requirements["python"] = ("https://www.python.org/", provenance["python"])
    properties["softwareRequirements"] = [
        _add(crate, url, "SoftwareApplication", name=name, url=url, softwareVersion=version)
        for name, (url, version) in requirements.items()
    ]
    if commit := provenance["workflow"]:
        state = "files differ from this commit" if commit["modified"] else "no file differs from it"
        identifier = ("commit of the workflow", "git commit", commit["commit"], state)
        properties["identifier"] = _add_value(crate, *identifier)
    language = {"lang": "snakemake", "lang_version": packages["snakemake"]}
    return crate.add_workflow(dest_path=SNAKEFILE, main=True, **language, properties=properties)


def _add_run(crate: "ROCrate", workflow: "Entity", files: Mapping[str, Path]) -> "Entity":
    """The one action: the study, from its inputs to its results."""
    by_role: dict[str, list[Entity]] = {INPUT: [], RESULT: []}
    for role, entities in by_role.items():
        starts = tuple(start for start, own_role, _ in CONTENTS if own_role == role)
        entities += [crate.get(quote(name)) for name in files if name.startswith(starts)]
    about = "over the lines '<sha256>  <name>' of its safetensors files; they are not in the crate"
    for name, path in files.items():
        if PurePosixPath(name).name == "manifest.json":
            manifest = read_json(path)
            parts = (manifest["model"], manifest["method"], manifest["concept"])
            checkpoint = f"weights of {'/'.join(filter(None, parts))}"
            digest = manifest["weights_sha256"]
            by_role[INPUT].append(_add_value(crate, checkpoint, "sha256", digest, about))
    shared, concepts = read_metadata(files["tables/krs.parquet"]), {}
    for sweep, differing in json.loads(shared["sweeps"]).items():
        model, _, concept, _ = sweep.split("/")
        concepts[f"concept data of {model}/{concept}"] = (shared | differing).get("data_sha256")
    about = "its texts and questions; they are not in the crate"
    for name, digest in sorted(concepts.items()):
        if digest:
            by_role[INPUT].append(_add_value(crate, name, "sha256", digest, about))
    properties = {
        "name": "Run of the study",
        "description": "From config, checkpoints and concepts to tables, figures and report. The "
        "workflow's requirements have the versions at the time of packing; tables/krs.parquet has "
        "those of each sweep in its metadata.",
    }
    return crate.add_action(workflow, "#run", by_role[INPUT], by_role[RESULT], properties)


_PICTURES = (".png", ".pdf")  # all others but parquet files are texts
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip file knows no earlier time
_READABLE = 0o100644 << 16  # a plain file, rw-r--r--
_UNIX = 3
# hub tokens; user:password@ in an address.
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")
_LOGIN = re.compile(r"(?<=://)[^/\s@\"']+@")

_LINES = "\n".join(f"- `{start}`: {about}." for start, _, about in CONTENTS)
README = f"""# Results of a study of unlearning

`sha256sum -c {MANIFEST}` checks every file. Paths on the machine that made it are shortened to
their last part.

{_LINES}

`python -m stillknows compare archive.zip results/...` compares it with another run.
"""


def study_members(
    results: Path,
    checkpoints: Path,
    manifests: list[Path],
    outputs: list[Path],
    config: Mapping[str, Any],
    workflow: Path,
) -> dict[str, Path | str]:
    """Each file's name in the archive, and the file (`outputs` keep their place), or its text."""
    members: dict[str, Path | str] = {str(path.relative_to(results)): path for path in outputs}
    texts = {str(path.relative_to(results)): read_json(path) for path in manifests}
    for manifest in texts.values():
        del manifest["folder"]
    texts["provenance.json"] = {
        "workflow": workflow_commit(workflow),
        "config_hash": hash_of(config),
        "python": platform.python_version(),
        "packages": versions("pandas", "matplotlib", "snakemake"),
    }
    for name, value in texts.items():
        members[name] = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    members["README.md"] = README
    members["config.yaml"] = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    members["checkpoints.tsv"] = checkpoints
    return members | {name: workflow / name for name in (CITATION, LICENSE, SNAKEFILE)}


def workflow_commit(workflow: Path) -> dict[str, Any] | None:
    """The workflow's commit, its date (UTC), whether files differ from it; None outside of git."""

    def git(*words: str) -> str:
        command, utc = ["git", "-C", str(workflow), *words], os.environ | {"TZ": "UTC0"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=utc)
        return done.stdout.strip()

    try:
        if git("rev-parse", "--show-prefix"):
            return None  # a copy of the workflow in somebody else's repository
        changed = git("status", "--porcelain", "--", "Snakefile", "workflow")
        commit, date = git("log", "-1", "--format=%H %cd", "--date=short-local").split()
        return {"commit": commit, "date": date, "modified": bool(changed)}
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


class Redactor:
    """Removes folders of the machine (a path becomes .../ and its last name), tokens, passwords."""

    def __init__(self, paths: Iterable[Path]) -> None:
        replacements = {path: f".../{path.name}" for path in paths if path.is_absolute()}
        replacements |= {Path.home(): "~", Path.cwd(): "."}
        replacements |= {path.resolve(): word for path, word in replacements.items()}
        # Longest first: what is in a folder before the folder itself.
        ordered = sorted(replacements.items(), key=lambda item: -len(str(item[0])))
        self._words = [
            (re.compile(rf"(?<![\w./~-]){re.escape(str(path))}(?![\w-])"), word)
            for path, word in ordered
            if len(path.parts) > 1
        ]

    def redact(self, text: str, name: str) -> str:
        """The text of a file of that name, redacted; a StudyError if it may hold a token."""
        if _TOKEN.search(text) or (os.environ.get("HF_TOKEN") or "\0") in text:
            raise StudyError(f"{name} holds an access token of the hub: remove it and run again")
        for pattern, word in self._words:
            text = pattern.sub(word, text)
        return _LOGIN.sub("", text)


def write_archive(output: Path, members: Mapping[str, Path | str], redactor: Redactor) -> None:
    """Write a zip file, whole or not at all: names sorted, times fixed, private paths replaced."""
    with atomic_path(output) as partial, TemporaryDirectory(dir=output.parent) as folder:
        copies = Path(folder)
        staged = {name: _stage(copies, name, members[name], redactor) for name in sorted(members)}
        staged[CRATE] = _stage(copies, CRATE, crate_text(staged, MANIFEST), redactor)
        staged = dict(sorted(staged.items()))
        lines = [f"{sha256_of(path)}  {name}\n" for name, path in staged.items()]
        (copies / MANIFEST).write_text("".join(lines), encoding="utf-8")
        with zipfile.ZipFile(partial, "w") as archive:
            for name, path in ({MANIFEST: copies / MANIFEST} | staged).items():
                info = zipfile.ZipInfo(name, _EARLIEST)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, _READABLE
                info.create_system = _UNIX
                with path.open("rb") as file, archive.open(info, "w", force_zip64=True) as packed:
                    shutil.copyfileobj(file, packed)


def _stage(copies: Path, name: str, member: Path | str, redactor: Redactor) -> Path:
    """The file to pack: a redacted copy, or the member itself where nothing has to be redacted."""
    copy = copies / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(member, Path):
        if member.suffix in _PICTURES:
            return member
        if member.suffix == ".parquet":
            file = pq.ParquetFile(member)
            metadata = metadata_of(file.schema_arrow)
            clean = {key: redactor.redact(value, name) for key, value in metadata.items()}
            if clean == metadata:
                return member
            with pq.ParquetWriter(copy, file.schema_arrow.with_metadata(clean)) as writer:
                for group in range(file.num_row_groups):
                    rows = file.read_row_group(group)
                    writer.write_table(rows.replace_schema_metadata(clean), rows.num_rows)
            return copy
        member = member.read_text(encoding="utf-8")
    copy.write_text(redactor.redact(member, name), encoding="utf-8")
    return copy
