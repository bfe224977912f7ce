"""The reference of every config key, made from the models in config.py.

python -m dissect.study.reference > docs/config.md
"""

import json
from typing import Annotated, Any, Literal, get_args, get_origin

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
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true, false"}


def reference() -> str:
    """The whole of docs/config.md."""
    return _HEAD + _section(Config, "", "The study")


def _section(section: type[BaseModel], prefix: str, title: str) -> str:
    rows = ["| key | legal | default | meaning |", "|---|---|---|---|"]
    deeper = ""
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        meaning = " ".join((field.description or "").split())
        rows.append(f"| `{path}` | {_legal(field)} | {_default(field)} | {meaning} |")
        inner, between = _inner(field)
        if inner:
            deeper += _section(inner, f"{path}{between}.", f"`{path}{between}`")
    doc = (section.__doc__ or "").strip()
    return f"\n## {title}\n\n{doc}\n\n" + "\n".join(rows) + "\n" + deeper


def _inner(field: FieldInfo) -> tuple[type[BaseModel] | None, str]:
    """The section inside a key, and what stands between: nothing, or a name of the user's."""
    annotation, between = field.annotation, ""
    if get_origin(annotation) is dict:
        annotation, between = get_args(annotation)[1], ".<name>"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, between
    return None, between


def _legal(field: FieldInfo) -> str:
    limits = [
        f", {word} {getattr(item, key)}"
        for item in field.metadata
        for key, word in _BOUNDS.items()
        if hasattr(item, key)
    ]
    return _type(field.annotation) + "".join(limits)


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
    if type(None) in arguments:
        return ", ".join(map(_type, arguments))
    if annotation is type(None):
        return "null"
    return _PLAIN.get(annotation, "a section of its own")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    return "" if isinstance(field.default, BaseModel) else f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    print(reference(), end="")
