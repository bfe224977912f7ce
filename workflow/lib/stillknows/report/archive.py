"""One file of a study for whoever reviews it: the same results give the same bytes."""

import json
import os
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from stillknows.analysis.compare import MANIFEST
from stillknows.files import atomic_path, read_json, sha256_of
from stillknows.models.provenance import hash_of, versions
from stillknows.report.crate import CITATION, CONTENTS, CRATE, LICENSE, SNAKEFILE, crate_text
from stillknows.report.redact import Redactor

_PICTURES = (".png", ".pdf")  # all others but parquet files are texts
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip file knows no earlier time
_READABLE = 0o100644 << 16  # a plain file, rw-r--r--
_UNIX = 3

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
        workflow: the folder that the Snakefile lies in.
    """
    members: dict[str, Path | str] = {str(path.relative_to(results)): path for path in outputs}
    for path in manifests:
        manifest = read_json(path)
        del manifest["folder"]
        members[str(path.relative_to(results))] = _as_json(manifest)
    members["README.md"] = README
    members["config.yaml"] = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    members["checkpoints.tsv"] = checkpoints.read_text(encoding="utf-8")
    provenance = {
        "workflow": workflow_commit(workflow),
        "config_hash": hash_of(config),
        "python": platform.python_version(),
        "packages": versions("pandas", "matplotlib", "snakemake"),
    }
    members["provenance.json"] = _as_json(provenance)
    return members | {name: workflow / name for name in (CITATION, LICENSE, SNAKEFILE)}


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


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
            return None  # a copy of the workflow that lies in somebody else's repository
        changed = git("status", "--porcelain", "--", "Snakefile", "workflow")
        commit, date = git("log", "-1", "--format=%H %cd", "--date=short-local").split()
        return {"commit": commit, "date": date, "modified": bool(changed)}
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


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
                _add(archive, name, path)


def _stage(copies: Path, name: str, member: Path | str, redactor: Redactor) -> Path:
    """The file to pack: a redacted copy, or the member itself where it holds no text."""
    copy = copies / name
    if isinstance(member, Path):
        if member.suffix == ".parquet":
            return redactor.redact_parquet(member, copy)
        if member.suffix in _PICTURES:
            return member
        member = member.read_text(encoding="utf-8")
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(redactor.redact(member, name), encoding="utf-8")
    return copy


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, _READABLE
    info.create_system = _UNIX
    with path.open("rb") as file, archive.open(info, "w", force_zip64=True) as packed:
        shutil.copyfileobj(file, packed)
