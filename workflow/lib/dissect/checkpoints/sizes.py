"""Sizes in a config.json that no model can have, refused before anything is built of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dissect.errors import DissectError


def refuse_impossible(path: Path, sizes: Mapping[str, Any]) -> None:
    """Refuse sizes that are not whole numbers from 1; None counts as absent.

    Args:
        path: the config.json, for the message.
        sizes: by the names that they have there.

    Raises:
        DissectError: naming the first such size.
    """
    for name, value in sizes.items():
        if value is not None and not (type(value) is int and value > 0):
            raise DissectError(
                f"{path}: {name} is {json.dumps(value)}, but a size is a whole number from 1; "
                "use the config.json that was saved with the weights"
            )


def refuse_remainder(path: Path, sizes: Mapping[str, Any]) -> None:
    """Refuse two sizes, by their names, of which the first is no multiple of the second.

    Raises:
        DissectError: naming both; where one is None, there is nothing to refuse.
    """
    (name, whole), (other, part) = sizes.items()
    if None not in (whole, part) and whole % part:
        raise DissectError(
            f"{path}: {name} is {whole}, which is no multiple of {other} = {part}; "
            "use the config.json that was saved with the weights"
        )
