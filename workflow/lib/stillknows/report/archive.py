"""One file of a study for whoever reviews it: the same results give the same bytes."""

import json
import os
import platform
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import yaml

from stillknows.analysis.compare import MANIFEST
from stillknows.errors import StudyError
from stillknows.files import atomic_path, read_json, sha256_of
from stillknows.models.provenance import hash_of, versions
from stillknows.parquet_files import metadata_of
from stillknows.report.crate import CITATION, CONTENTS, CRATE, LICENSE, SNAKEFILE, crate_text

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
    """Each file's name in the archive, and the file, or the text that goes there.

    Args:
        results: the study's folder; files in it keep their place.
        checkpoints: the checkpoints table.
        manifests: those of its checkpoints; the folder that they name is left out.
        outputs: tables, figures, report; all of them in `results`.
        config: the config as used.
        workflow: the folder of the Snakefile.
    """
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
    """The commit of the workflow, its date, and whether files differ from it; None outside of git.

    The date is the committer's, in UTC: YYYY-MM-DD.
    """

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
    """Removes what must not be disclosed: folders of the machine, access tokens, passwords.

    An absolute path becomes .../ and its last name, ~, or the path from here.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        """Of files and folders that texts may name; relative ones are not replaced."""
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
        """The text of the file of that name, redacted.

        Raises:
            StudyError: if it holds what looks like an access token.
        """
        if _TOKEN.search(text) or (os.environ.get("HF_TOKEN") or "\0") in text:
            raise StudyError(f"{name} holds an access token of the hub: remove it and run again")
        for pattern, word in self._words:
            text = pattern.sub(word, text)
        return _LOGIN.sub("", text)


def write_archive(output: Path, members: Mapping[str, Path | str], redactor: Redactor) -> None:
    """Write a zip file of the members, their description and checksums, whole or not at all.

    Names are sorted, times and permissions fixed, private paths replaced.

    Raises:
        StudyError: if a member holds an access token, or the disk is full.
    """
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
