"""What single values of the config may be."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from stillknows.config_section import Distinct
from stillknows.engine.windows import layers_between, window_width
from stillknows.errors import shortened
from stillknows.names import path_problem, text_problem


def _url(url: str) -> str:
    if not re.fullmatch(r"(https?|ftp)://\S+", url):
        raise ValueError(
            f"{shortened(url)} is not an address; it must begin with https://, http:// or ftp://"
        )
    return url


def _sha256(digits: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", digits.lower()):
        raise ValueError(f"{shortened(digits)} is not a SHA-256, which has 64 hexadecimal digits")
    return digits.lower()


def _device(name: str) -> str:
    if not re.fullmatch("auto|cpu|mps|cuda(:[0-9]{1,2})?", name):
        raise ValueError(
            f"{shortened(name)} is not a device; allowed: auto, cpu, mps, cuda, cuda:N"
        )
    return name


def _window(name: str) -> str:
    window_width(name)
    return name


def _layers(name: str) -> str:
    layers_between(name)
    return name


def _prompt(text: str) -> str:
    if problem := text_problem(text):
        raise ValueError(f"{shortened(text)} {problem}")
    if text not in ("paper", "chat") and "{q}" not in text:
        raise ValueError(
            f"{shortened(text)} is not a prompt; allowed are paper, chat, or a text with {{q}}"
        )
    return text


def _path(path: str) -> str:
    if problem := path_problem(path):
        raise ValueError(f"{shortened(path)} {problem}")
    return str(Path(path))


def _below_here(path: str) -> str:
    if path == "." or Path(path).name == "..":
        raise ValueError("results need a folder of their own, such as results/mine")
    return path


# The kinds of values that the config's keys have.
UserPath = Annotated[str, Field(min_length=1), AfterValidator(_path)]
Results = Annotated[UserPath, AfterValidator(_below_here)]
Url = Annotated[str, AfterValidator(_url)]
Sha256 = Annotated[str, AfterValidator(_sha256)]
Prompt = Annotated[str, AfterValidator(_prompt)]
Device = Annotated[str, AfterValidator(_device)]
Windows = Distinct[Annotated[str, AfterValidator(_window)]]
LayerRanges = Distinct[Annotated[str, AfterValidator(_layers)]]
