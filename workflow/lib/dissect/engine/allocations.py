"""What a computation needs of memory, found without computing: on torch's meta device.

A tensor on the meta device has a shape and a life, but no data. So transformers' own layer, run
there, says how many bytes are alive at once in any family, and nothing about it is written twice.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Counts the bytes of what operations return, for as long as it lives.

    What an operation holds only inside itself is not seen, nor are the tensors it is given.

    Attributes:
        now: bytes alive.
        peak: the most that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        for tensor in _tensors((args, kwargs)):
            self._meet(tensor, 0)
        result = function(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            # A view has its source's storage, which is known already.
            self._meet(tensor, tensor.untyped_storage().nbytes())
        return result

    def _meet(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak_bytes(compute: Callable[[], object]) -> int:
    """The most bytes alive at once while `compute` runs on meta tensors, its result included."""
    with torch.inference_mode(), Allocations() as allocations:
        compute()
    peak: int = allocations.peak
    return peak


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
