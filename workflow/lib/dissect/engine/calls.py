"""Rows in calls of bounded size, and what happens where the device's memory does not hold one."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from dissect.errors import DissectError

log = logging.getLogger("dissect")
T = TypeVar("T")


class Calls:
    """Sends rows through a computation, so many at a time.

    On a GPU, what other programs hold can make a call too large that the plan allows; then calls
    are halved from there on.

    Attributes:
        tokens: of one call (rows x tokens); one row is sent even if it has more.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def rows(self, tokens: int) -> int:
        """How many rows of so many tokens go at a time."""
        return max(1, self.tokens // tokens)

    def parts(self, compute: Callable[[Tensor], T], batch: Tensor) -> Iterator[T]:
        """What `compute` makes of a (rows, tokens, hidden) batch, one call after the other.

        Raises:
            DissectError: if the memory does not hold the call of a single row.
        """
        start = 0
        while start < len(batch):
            some = batch[start : start + self.rows(batch.shape[1])]
            try:
                part = compute(some)
            except torch.OutOfMemoryError as error:
                self._halve(some, str(error))
            else:
                start += len(some)
                yield part
                continue
            # Only here the exception is gone, and with it the tensors of the frames it left.
            if batch.is_cuda:
                torch.cuda.empty_cache()

    def __call__(self, compute: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        """All parts in one."""
        parts = list(self.parts(compute, batch))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _halve(self, some: Tensor, message: str) -> None:
        rows, tokens = some.shape[:2]
        if rows == 1:
            raise DissectError(
                f"the memory of {some.device} does not hold one run of {tokens} tokens; end what "
                f"else computes there, or choose another device ({message.splitlines()[0]})"
            )
        self.tokens = rows // 2 * tokens
        log.warning(
            "out of memory with %d runs of %d tokens in a call; %d from here on",
            *(rows, tokens, rows // 2),
        )
