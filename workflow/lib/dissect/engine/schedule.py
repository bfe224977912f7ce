"""The schedule of a sweep: which runs start, are patched and end at each layer.

A run is the host model, the one that runs, with one window of layers patched. Below its window a
run equals the unpatched run, so it starts where its window starts. Runs whose windows start at the
same layer are equal until the shorter window ends; until then one row of a batch stands for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

LayerRange = tuple[int, int]
"""First and last layer of a window, both included, counted from 0: the key of a run."""


@dataclass(frozen=True)
class LayerSchedule:
    """What happens to one donor's runs at one layer.

    Attributes:
        in_window: the rows whose window started below and that are patched here, each by the first
            layer of its windows.
        starts: whether windows start here; all of them are one row.
        ends: the windows that end here; each leaves a finished run of its own.
        remaining: the rows that are still in a window at the next layer, by their first layer.
        finished: the windows that ended below, in the order in which they ended; their runs pass
            this layer unpatched.
    """

    in_window: tuple[int, ...]
    starts: bool
    ends: tuple[LayerRange, ...]
    remaining: tuple[int, ...]
    finished: tuple[LayerRange, ...]

    @property
    def patches(self) -> bool:
        """Whether any run is patched at this layer."""
        return self.starts or bool(self.in_window)


def schedule(windows: Iterable[LayerRange], n_layers: int) -> list[LayerSchedule]:
    """The schedule of one donor's runs, one entry for each layer from the lowest up.

    Args:
        windows: first and last layer of each window, in any order; equal ones are one run.
        n_layers: of the model.
    """
    ordered = sorted(set(windows))
    longest_end = dict(ordered)  # by first layer: the last pair of each, since they are sorted
    finished: list[LayerRange] = []
    layers = []
    for layer in range(n_layers):
        ends = [window for window in ordered if window[1] == layer]
        layers.append(
            LayerSchedule(
                in_window=tuple(f for f, end in longest_end.items() if f < layer <= end),
                starts=layer in longest_end,
                ends=tuple(ends),
                remaining=tuple(f for f, end in longest_end.items() if f <= layer < end),
                finished=tuple(finished),
            )
        )
        finished += ends
    return layers
