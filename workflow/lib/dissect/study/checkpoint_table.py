"""The checkpoints table: one row per checkpoint, tab-separated."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from dissect.errors import DissectError, shortened
from dissect.study.names import (
    MAX_NAME_BYTES,
    as_on_any_disk,
    name_problem,
    path_problem,
)
from dissect.study.rows import ORIGINAL, CheckpointRow

FORMATS_OF_KIND = {
    "path": ("transformers", "olmo-legacy"),
    "hub": ("transformers", "olmo-legacy"),
    "wheel": ("gguf",),
    "unlearn": ("transformers",),
}
_COLUMNS = ("model", "method", "concept", "source", "revision", "format")
_REQUIRED = _COLUMNS[:4]
_SOURCE = re.compile(
    r"path:(?P<path>\S.*)"
    r"|hub:(?P<hub>[\w.-]+/[\w.-]+)"
    r"|wheel:(?P<wheel>[\w.-]+==[\w.+!-]+)"
    r"|(?P<unlearn>unlearn)"
)


def read_table(path: Path) -> list[CheckpointRow]:
    """Read and check a checkpoints table.

    Empty lines and lines that begin with # are skipped. The columns revision and format may be
    left out or empty: a row then has no revision and its source's usual format. What Excel does to
    a saved table is read, too: a byte order mark, quoted fields, empty columns at the end.

    Raises:
        DissectError: naming the file, the line and what is legal there.
    """
    lines = [
        (number, line)
        for number, line in enumerate(_text(path).split("\n"), start=1)
        if line.strip() and not line.startswith(("#", '"#'))
    ]
    cells = [_cells(f"checkpoints: {path} line {number}", line) for number, line in lines]
    if not cells:
        raise DissectError(f"checkpoints: {path} is empty; its columns are {', '.join(_COLUMNS)}")
    header = cells[0]
    _check_header(path, header)
    rows: dict[tuple[str, str, str], CheckpointRow] = {}
    for (number, _), values in zip(lines[1:], cells[1:], strict=True):
        where = f"checkpoints: {path} line {number}"
        row = _row(where, header, values)
        if row.key in rows:
            raise DissectError(f"{where}: a second row for {row.name}; keep one of the two")
        rows[row.key] = row
    _check_distinct(path, rows.values())
    return list(rows.values())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DissectError(f"checkpoints: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DissectError(
            f"checkpoints: {path} is not a text file in UTF-8 (byte {error.start}); "
            "save it as tab-separated text in UTF-8"
        ) from error


def _cells(where: str, line: str) -> list[str]:
    """The fields of a line, without the empty ones at its end."""
    try:
        [fields] = csv.reader([line], delimiter="\t", strict=True)
    except csv.Error as error:
        raise DissectError(
            f"{where} cannot be read as tab-separated text ({error}); "
            "write each row on one line, without quotation marks"
        ) from error
    stripped = [field.strip() for field in fields]
    while stripped and not stripped[-1]:
        stripped.pop()
    return stripped


def _check_distinct(path: Path, rows: Iterable[CheckpointRow]) -> None:
    """Refuse names of one model that become one file on disks that ignore case."""
    names: dict[tuple[str, str, str], str] = {}
    for row in rows:
        for column, name in _names(row).items():
            parent = "" if column == "model" else row.model
            other = names.setdefault((column, parent, as_on_any_disk(name)), name)
            if other != name:
                raise DissectError(
                    f"checkpoints: {path}: {column} {name!r} and {column} {other!r} would be one "
                    "folder on a disk that ignores case; write both in the same way, or rename one"
                )


def _check_header(path: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in _COLUMNS]
    missing = [name for name in _REQUIRED if name not in header]
    if unknown or missing or len(set(header)) < len(header):
        raise DissectError(
            f"checkpoints: the first line of {path} names the columns {', '.join(header)}; "
            f"legal, separated by tabs, are {', '.join(_COLUMNS)}"
        )


def _row(where: str, header: list[str], values: list[str]) -> CheckpointRow:
    if len(values) > len(header):
        raise DissectError(f"{where} has {len(values)} columns, the first line has {len(header)}")
    cells = dict.fromkeys(_COLUMNS, "") | dict(zip(header, values, strict=False))
    source = cells["source"]
    match = _SOURCE.fullmatch(source)
    if not match or not match.lastgroup:
        raise DissectError(
            f"{where}: source {shortened(source)} is not known; legal are path:FOLDER, "
            "hub:OWNER/NAME, wheel:NAME==VERSION and unlearn"
        )
    formats = FORMATS_OF_KIND[match.lastgroup]
    row = CheckpointRow(**(cells | {"format": cells["format"] or formats[0]}))
    _check_row(where, row, formats)
    return row


def _names(row: CheckpointRow) -> dict[str, str]:
    return {"model": row.model, "method": row.method, "concept": row.concept}


def _check_row(where: str, row: CheckpointRow, formats: tuple[str, ...]) -> None:
    names = _names(row)
    for column, name in names.items():
        problem = name_problem(column, name)
        if problem and (column, row.method) != ("concept", ORIGINAL):
            raise DissectError(f"{where}: {column} {shortened(name)} {problem}")
    together = sum(len(name.encode()) for name in names.values())
    if together > MAX_NAME_BYTES:
        raise DissectError(
            f"{where}: model, method and concept together have {together} bytes; at most "
            f"{MAX_NAME_BYTES} are allowed, since a folder of Slurm's logs is named by all three"
        )
    if row.kind == "path" and (problem := path_problem(row.location)):
        raise DissectError(f"{where}: source {shortened(row.source)} {problem}")
    if row.method == ORIGINAL and row.concept:
        raise DissectError(
            f"{where}: an original has no concept, here {row.concept!r}; leave it empty"
        )
    if row.method == ORIGINAL and row.kind == "unlearn":
        raise DissectError(
            f"{where}: an original cannot be trained here; name its source, such as path:FOLDER"
        )
    if row.revision and row.kind != "hub":
        raise DissectError(f"{where}: a revision belongs to hub: rows only; leave it empty")
    if row.format not in formats:
        raise DissectError(
            f"{where}: format {row.format!r} does not go with {row.kind}; "
            f"legal there: {', '.join(formats)}"
        )
