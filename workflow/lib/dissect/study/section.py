"""What the sections of the config file have in common."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")


class Section(BaseModel):
    """Keys that are not known are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _as_name(value: Any) -> Any:
    # YAML reads the paper's concept ids (16, 18, ...) as numbers; everywhere else they are text.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def no_doubles(value: list[T]) -> list[T]:
    """A list as it is.

    Raises:
        ValueError: naming the first item that it has twice.
    """
    twice = [item for number, item in enumerate(value) if item in value[:number]]
    if twice:
        raise ValueError(f"{twice[0]!r} stands there twice; name it once")
    return value


Name = Annotated[str, BeforeValidator(_as_name), Field(min_length=1)]
Names = Annotated[list[Name], AfterValidator(no_doubles)]
