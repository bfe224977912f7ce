"""python -m stillknows.study.config_docs > docs/reference/config.md"""

import json
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stillknows.study.config import Config
from stillknows.training.recipe import Optimisation, Recipe
from stillknows.training.teaching import Lessons

_HEAD = """# The config file

`python -m stillknows.study.config_docs > docs/reference/config.md` generates this page.

A study is one YAML file: config/config.yaml, or the file that `--configfile` names instead.
`--config key=value` sets a single key. Unknown keys are refused. Relative paths start at the
working directory. [inputs.md](inputs.md) describes the concept file and the checkpoints table.

Each key is followed by its default and by what is allowed (0..9: from 0 to 9). Where the paper
gives a value, that is the default.
"""
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_PLAIN = {str: "text", int: "integer", float: "number", bool: "true, false"}
# Options of several sections, described once: the class, what it is about, what else belongs to it.
_SHARED = (
    (Recipe, "every `unlearn` row", "Each method also has the options of every training run."),
    (
        Lessons,
        "teaching and relearning",
        "`teaching` and `recall.relearning` also have the options of every training run.",
    ),
    (Optimisation, "every training run", "All training runs have these options."),
)


def config_docs() -> str:
    """The whole of docs/reference/config.md."""
    shared = [_section(part, "", f"Options of {name}", doc) for part, name, doc in _SHARED]
    return _HEAD + _section(Config, "", "The study") + "".join(shared)


def _section(section: type[BaseModel], prefix: str, title: str, doc: str = "") -> str:
    items, deeper = "", ""
    inherited = getattr(section.__base__, "model_fields", {})
    for name, field in section.model_fields.items():
        if _item(name, field) == _item(name, inherited.get(name)):
            continue
        inner, between = _section_inside(field)
        if inner:
            deeper += _section(inner, f"{prefix}{name}{between}.", f"`{prefix}{name}{between}`")
        else:
            items += _item(name, field)
    text = doc or " ".join((section.__doc__ or "").split())
    return f"\n## {title}\n\n{text}\n" + (f"\n{items}" if items else "") + deeper


def _item(name: str, field: FieldInfo | None) -> str:
    """An item of a list: the key, the default, what is allowed, the meaning."""
    if field is None:
        return ""
    has_type = field.annotation in _PLAIN and not field.is_required()
    kind = "" if has_type else _type(field.annotation)
    values = "; ".join(filter(None, (_default(field), kind, _limits(field))))
    meaning = " ".join((field.description or "").split())
    return f"- `{name}` ({values}): {meaning}\n"


def _section_inside(field: FieldInfo) -> tuple[type[BaseModel] | None, str]:
    """The section inside a key, and what stands between: nothing, or a name of the user's."""
    annotation, between = field.annotation, ""
    if get_origin(annotation) is dict:
        annotation, between = get_args(annotation)[1], ".<name>"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, between
    return None, between


def _limits(field: FieldInfo) -> str:
    limits = {
        key: getattr(item, key) for item in field.metadata for key in _BOUNDS if hasattr(item, key)
    }
    if limits.keys() == {"ge", "le"}:
        return f"{limits['ge']}..{limits['le']}"
    return ", ".join(f"{_BOUNDS[key]} {limit}" for key, limit in limits.items())


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
    if type(None) in arguments:  # the default is null, which shows that null is allowed
        return _type(arguments[0])
    return _PLAIN.get(annotation, "any value")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if isinstance(field.default, BaseModel) else f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    print(config_docs(), end="")
