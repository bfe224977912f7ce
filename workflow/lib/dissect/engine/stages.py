"""How many runs there are at each layer of a sweep: what its memory and its work follow from."""

from collections.abc import Sequence
from dataclasses import dataclass

from dissect.study.windows import Window


@dataclass(frozen=True)
class Stage:
    """The runs that pass one layer.

    Attributes:
        outside: the unpatched run, where it is one of them, and those whose window is behind them.
        inside: runs in a window that began further down.
        begins: 1 if windows begin here (they are one run), else 0.
        closing: how many windows end here; each leaves a run of its own outside.
    """

    outside: int
    inside: int
    begins: int
    closing: int

    @property
    def rows(self) -> int:
        """Runs whose states are held while the layer is passed."""
        return self.outside + self.inside + self.begins


def stages_of(windows: Sequence[Window], layers: int, *, unpatched: bool = True) -> list[Stage]:
    """The stages of one donor's runs, from the lowest layer up.

    Args:
        unpatched: whether the unpatched run is among them; a sweep has it once.
    """
    spans = {(window.first, window.last) for window in windows}
    end_of = {first: max(last for start, last in spans if start == first) for first, _ in spans}
    return [
        Stage(
            outside=unpatched + sum(last < layer for _, last in spans),
            inside=sum(first < layer <= end for first, end in end_of.items()),
            begins=int(layer in end_of),
            closing=sum(last == layer for _, last in spans),
        )
        for layer in range(layers)
    ]
