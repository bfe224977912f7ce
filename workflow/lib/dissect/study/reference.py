"""The reference of every config key, made from the models in config.py.

python -m dissect.study.reference > docs/reference/config.md
"""

import json
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dissect.study.config import Config
from dissect.training.recipe import Optimisation, Recipe

_HEAD = """# The config file

This page is generated from workflow/lib/dissect/study/config.py by
`python -m dissect.study.reference > docs/reference/config.md`; do not edit it.

A study is one YAML file. Snakemake reads config/config.yaml, or the file that `--configfile` names
instead. `--config key=value` sets a single key. Unknown keys are refused. Relative paths start at
the working directory. [inputs.md](inputs.md) describes the concept file and the checkpoints table.
"""
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true, false"}
# Options of several sections, described once: the class, and what it is about.
_SHARED = {Optimisation: "every training", Recipe: "every `unlearn` row"}


def reference() -> str:
    """The whole of docs/reference/config.md."""
    shared = [
        _section(section, "", f"Options of {about}", "They belong to each section that links here.")
        for section, about in _SHARED.items()
    ]
    return _HEAD + _section(Config, "", "The study") + "".join(shared)


def _section(section: type[BaseModel], prefix: str, title: str, doc: str = "") -> str:
    rows = []
    deeper = ""
    shared = next((base for base in section.__mro__[1:] if base in _SHARED), None)
    for name, field in section.model_fields.items():
        if shared and _row(field) == _row(shared.model_fields.get(name)):
            continue
        inner, between = section_inside(field)
        if inner:
            deeper += _section(inner, f"{prefix}{name}{between}.", f"`{prefix}{name}{between}`")
        else:
            rows.append(f"| `{name}` | {_row(field)} |")
    text = doc or " ".join((section.__doc__ or "").split())
    if shared:
        anchor = f"options-of-{_SHARED[shared]}".replace(" ", "-").replace("`", "")
        text += f" Also: the [options of {_SHARED[shared]}](#{anchor})."
    if rows:
        rows = ["", "| key | allowed | default | meaning |", "|---|---|---|---|", *rows]
    return f"\n## {title}\n\n{text}\n" + "".join(f"{row}\n" for row in rows) + deeper


def _row(field: FieldInfo | None) -> str:
    """What is said of a key: what is allowed, the default, the meaning."""
    if field is None:
        return ""
    meaning = " ".join((field.description or "").split())
    return f"{_allowed(field)} | {_default(field)} | {meaning}"


def section_inside(field: FieldInfo) -> tuple[type[BaseModel] | None, str]:
    """The section inside a key, and what stands between: nothing, or a name of the user's."""
    annotation, between = field.annotation, ""
    if get_origin(annotation) is dict:
        annotation, between = get_args(annotation)[1], ".<name>"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, between
    return None, between


def _allowed(field: FieldInfo) -> str:
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
    return _PLAIN.get(annotation, "any value")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    return "" if isinstance(field.default, BaseModel) else f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    print(reference(), end="")
