"""Names of models, methods and concepts, and paths: what the workflow can use, and why not."""

import re
import unicodedata

MAX_NAME_BYTES = 200
"""Of model, method and concept together: Slurm's log folder joins them with the experiment to one
folder name of at most 255 bytes, and a temporary file's name adds up to 40 to one of them."""

_MAX_PART_BYTES = 255  # of one part of a path: what Linux and macOS take
_MAX_PATH_BYTES = 1024
_SAFE_NAME = re.compile(r"\w[\w.+-]*")
# Snakemake takes such a wildcard for an endless recursion.
_REPEATED = re.compile(r"(.+)\1{19}$")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Column, what a name must not match there, and why.
_RESERVED = (
    ("model", r".*\.json", "ends in .json, as the concept file beside the model's folder does"),
    ("method", "all", "is reserved for the mean over methods in the tables"),
    ("method", r"original\..*", "begins with 'original.', as the original's own log files do"),
    ("concept", r"(manifest|released)\.json", "is the name of a file beside a model's checkpoints"),
    ("concept", r".*\.patched", "ends in .patched, as the names of files of answers do"),
    ("concept", r".*\.unrelated", "ends in .unrelated, as the names of unrelated questions do"),
)


def name_problem(column: str, name: str) -> str:
    """Why a model, method or concept (the column) cannot have this name; empty if it can."""
    if _SAFE_NAME.fullmatch(name) is None:
        return (
            "cannot be a part of a path; allowed are letters, digits, _ - . and +, beginning with "
            "a letter, a digit or _"
        )
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        return f"has {size} bytes; at most {MAX_NAME_BYTES} are allowed in a part of file names"
    if _REPEATED.search(name):
        return "ends in the same characters 20 times, which Snakemake refuses; choose another name"
    for reserved, pattern, reason in _RESERVED:
        if column == reserved and re.fullmatch(pattern, name, re.IGNORECASE):
            return f"{reason}; choose another name"
    return ""


def length_problem(*names: str) -> str:
    """Why a model, a method and a concept cannot go together; empty if they can."""
    together = len("".join(names).encode())
    problem = (
        f"model, method and concept together have {together} bytes; at most {MAX_NAME_BYTES} are "
        "allowed, since a folder of Slurm's logs is named by all three; shorten them"
    )
    return problem if together > MAX_NAME_BYTES else ""


def text_problem(text: str) -> str:
    """Why a text cannot be used at all; empty if it can."""
    if "\0" in text:
        return "holds a NUL character; remove it"
    if _SURROGATE.search(text):
        return "holds half of a surrogate pair, which is no character; write the whole character"
    return ""


def path_problem(path: str) -> str:
    """Why a path of the user's cannot be used; empty if it can. Nothing is looked up."""
    if problem := text_problem(path):
        return problem
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in path):
        return "holds a line break or another control character; rename the file or folder"
    if path.startswith("~"):
        return "begins with ~, which is not expanded here; write the whole path"
    if set("{}<>") & set(path):
        return "holds { } < or >, which mark wildcards in Snakemake; rename the file or folder"
    longest = max(len(part.encode()) for part in path.split("/"))
    if longest > _MAX_PART_BYTES or len(path.encode()) > _MAX_PATH_BYTES:
        return (
            f"is too long for a path: at most {_MAX_PATH_BYTES} bytes are allowed, and "
            f"{_MAX_PART_BYTES} between two slashes"
        )
    return ""
