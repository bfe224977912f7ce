"""Under which patches questions are answered: fixed in the config, never chosen by results."""

from collections.abc import Sequence
from dataclasses import dataclass

from stillknows.engine.windows import layers_between


@dataclass(frozen=True)
class Setting:
    """What is patched, and into which layers: first..last, inclusive, from 0."""

    experiment: str
    first: int
    last: int


def settings_of(experiments: Sequence[str], windows: Sequence[str], layers: int) -> list[Setting]:
    """Every experiment on every window, FIRST-LAST each, of a model of so many layers."""
    return [
        Setting(experiment, *layers_between(window, layers))
        for window in windows
        for experiment in experiments
    ]
