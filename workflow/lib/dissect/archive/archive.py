"""One file of a study for whoever reviews it: the same results give the same bytes."""

import json
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from dissect.analysis.compare import MANIFEST
from dissect.archive.crate import CITATION, CRATE, LICENSE, SNAKEFILE, crate_text
from dissect.archive.redact import Redactor
from dissect.errors import DissectError
from dissect.files import atomic_path, read_json, sha256_of
from dissect.provenance import hash_of, versions

_TEXTS = (".csv", ".tsv", ".json", ".html", ".yaml", ".md", ".svg", ".txt")
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip file knows no earlier time
_READABLE = 0o100644 << 16  # a plain file, rw-r--r--
_UNIX = 3

README = """# Results of a study of unlearning

`sha256sum -c MANIFEST.sha256` checks every file. Paths on the machine that made it are
shortened to their last part.

- `report.html`: the study on one page, if it was made; open it in a browser.
- `tables/`: krs.parquet has every row of every sweep, and in its metadata versions, hashes and
  devices; the other tables summarise it.
- `figures/`: each figure, as a picture and for print.
- `config.yaml`: the config as it was used, with every default.
- `checkpoints.tsv`: the checkpoints table.
- `checkpoints/`: what each checkpoint is: source, commit, sha256 of each file, how it was trained.
- `provenance.json`: versions and the workflow's commit at the time of packing.
- `ro-crate-metadata.json`: all of this for programs, as a Workflow Run RO-Crate.
- `workflow/Snakefile`, `CITATION.cff`, `LICENSE`: the workflow's first file, how to cite it, its
  licence.

`python -m dissect compare archive.zip results/...` compares it with another run.
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

    Raises:
        DissectError: if the workflow's folder lacks CITATION.cff, LICENSE or workflow/Snakefile.
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
    return members | {name: _read(workflow, name) for name in (CITATION, LICENSE, SNAKEFILE)}


def _read(workflow: Path, name: str) -> str:
    try:
        return (workflow / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DissectError(
            f"{workflow / name} is missing, and the archive must contain it: copy it from the "
            "workflow's repository"
        ) from error


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def workflow_commit(workflow: Path) -> dict[str, Any] | None:
    """The commit of the workflow, its date, and whether files differ from it; None outside of git.

    The date is the committer's, in UTC: YYYY-MM-DD.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(workflow), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != workflow.resolve():
            return None  # a copy of the workflow that lies in somebody else's repository
        changed = git("status", "--porcelain", "--", "Snakefile", "workflow")
        commit, seconds = git("log", "-1", "--format=%H %ct").split()
        return {
            "commit": commit,
            "date": datetime.fromtimestamp(int(seconds), UTC).date().isoformat(),
            "modified": bool(changed),
        }
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def write_archive(output: Path, members: Mapping[str, Path | str], redactor: Redactor) -> None:
    """Write a zip file of the members, their description and checksums, whole or not at all.

    Names are sorted, times and permissions fixed, private paths replaced.

    Raises:
        DissectError: if a member holds an access token, or the disk is full.
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
    if isinstance(member, Path) and member.suffix == ".parquet":
        return redactor.redact_parquet(member, copy)
    if isinstance(member, Path) and member.suffix not in _TEXTS:
        return member
    text = member if isinstance(member, str) else member.read_text(encoding="utf-8")
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(redactor.redact(text, name), encoding="utf-8")
    return copy


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, _READABLE
    info.create_system = _UNIX
    with path.open("rb") as file, archive.open(info, "w", force_zip64=True) as packed:
        shutil.copyfileobj(file, packed)
