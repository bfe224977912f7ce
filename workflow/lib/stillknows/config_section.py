"""What the sections of the config file have in common."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from stillknows.errors import not_known

T = TypeVar("T")


class Section(BaseModel):
    """Keys that are not known are refused, and nothing changes after it was read.

    The text below a field is its description in docs/reference/config.md.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(not_known("key", key, cls.model_fields, "known"))
        return values


def _as_name(value: Any) -> Any:
    # YAML reads the paper's concept ids (16, 18, ...) as numbers; everywhere else they are text.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _no_doubles(value: list[T]) -> list[T]:
    for number, item in enumerate(value):
        if item in value[:number]:
            raise ValueError(f"{item!r} is given twice; name it once")
    return value


Distinct = Annotated[list[T], AfterValidator(_no_doubles)]
Name = Annotated[str, BeforeValidator(_as_name), Field(min_length=1)]
Names = Distinct[Name]
