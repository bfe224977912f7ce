"""Micro-batches: rows in calls of a bounded number of tokens, which bounds the memory they take."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from dissect.errors import DissectError

log = logging.getLogger("dissect")
T = TypeVar("T")

# Tokens through a layer. Larger calls gain nothing. On a CPU it is never halved: the number of rows
# of a product can change its last bits, and results must not depend on the memory there is.
TOKENS_PER_CALL = 4096
POSITIONS_PER_CALL = 1024  # through the head, whose outputs are as wide as the vocabulary


class MicroBatches:
    """Sends rows through a computation, a bounded number of tokens at a time.

    Where a device's memory does not hold a call, it is halved, as are later calls of this object.

    Attributes:
        tokens: of one call (rows x tokens); one row is sent even if it has more.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def rows(self, tokens: int) -> int:
        """How many rows of so many tokens go at a time."""
        return max(1, self.tokens // tokens)

    def parts(self, compute: Callable[[Tensor], T], batch: Tensor) -> Iterator[T]:
        """The results of `compute` for a (rows, tokens, hidden) batch, one call after the other.

        Raises:
            DissectError: if the memory does not hold the call of a single row.
        """
        start = 0
        while start < len(batch):
            rows = batch[start : start + self.rows(batch.shape[1])]
            failure = None
            try:
                part = compute(rows)
            except torch.OutOfMemoryError as error:
                failure = str(error)
            # Outside the handler the exception is gone, and with it the tensors of its frames.
            if failure is not None:
                self._halve(rows, failure)
                if batch.is_cuda:
                    torch.cuda.empty_cache()
                continue
            start += len(rows)
            yield part

    def __call__(self, compute: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        """All parts as one tensor."""
        parts = list(self.parts(compute, batch))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _halve(self, batch: Tensor, message: str) -> None:
        rows, tokens = batch.shape[:2]
        if rows == 1:
            raise DissectError(
                f"the memory of {batch.device} does not hold one run of {tokens} tokens; end other "
                f"programs that use it, or choose another device ({message.splitlines()[0]})"
            )
        self.tokens = rows // 2 * tokens
        log.warning(
            "out of memory with %d runs of %d tokens in a call; %d per call from now on",
            rows,
            tokens,
            rows // 2,
        )
