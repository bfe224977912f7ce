"""The reference of every config key, made from the models in config.py.

python -m dissect.study.reference > docs/config.md
"""

import json
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dissect.study.config import Config

_HEAD = """# The config file

Made by `python -m dissect.study.reference > docs/config.md` from
workflow/lib/dissect/study/config.py; do not edit it here. A study is one YAML file. Snakemake reads
config/config.yaml, or instead of it the file given with `--configfile`; single keys are set with
`--config key=value`. Unknown keys are refused. Relative paths start at the working directory.
The concept files and the checkpoints table: inputs.md.
"""


_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def reference() -> str:
    """The whole of docs/config.md."""
    return _HEAD + _section(Config, "", "The study")


def keys(section: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Every key that the config knows, as a dotted path; <name> stands for a user's own key."""
    names = []
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        inner = _inner(field)
        names += [path] if inner is None else keys(inner[0], f"{path}{inner[1]}.")
    return names


def _section(section: type[BaseModel], prefix: str, title: str) -> str:
    rows = ["| key | legal | default | meaning |", "|---|---|---|---|"]
    deeper = ""
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        rows.append(f"| `{path}` | {_legal(field)} | {_default(field)} | {field.description} |")
        inner = _inner(field)
        if inner is not None:
            deeper += _section(inner[0], f"{path}{inner[1]}.", f"`{path}{inner[1]}`")
    doc = (section.__doc__ or "").strip()
    return f"\n## {title}\n\n{doc}\n\n" + "\n".join(rows) + "\n" + deeper


def _inner(field: FieldInfo) -> tuple[type[BaseModel], str] | None:
    """The section inside a key, and what stands between: nothing, or a name of the user's."""
    annotation, between = field.annotation, ""
    if get_origin(annotation) is dict:
        annotation, between = get_args(annotation)[1], ".<name>"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, between
    return None


def _legal(field: FieldInfo) -> str:
    bounds = {
        word: getattr(item, key)
        for item in field.metadata
        for key, word in _BOUNDS.items()
        if hasattr(item, key)
    }
    limits = "".join(f", {word} {value}" for word, value in bounds.items())
    return _type(field.annotation) + limits


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin is list:
        return f"list: {_type(arguments[0])}"
    if origin is dict:
        return f"per name: {_type(arguments[1])}"
    if origin is Union or (arguments and type(None) in arguments):
        return ", ".join(_type(argument) for argument in arguments)
    plain = {str: "text", int: "whole number", float: "number", bool: "true, false"}
    return {**plain, type(None): "null"}.get(annotation, "a section of its own")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    if isinstance(field.default, BaseModel):
        return ""
    return f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    print(reference(), end="")
