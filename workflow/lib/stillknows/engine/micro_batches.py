"""Micro-batches: rows in calls of a bounded number of tokens, which bounds the memory they take."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from stillknows.errors import StudyError

log = logging.getLogger("stillknows")
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

    def __call__(self, compute: Callable[[Tensor], T], rows: Sequence[Tensor]) -> Iterator[T]:
        """The results of `compute`, one (rows, tokens, hidden) batch after the other.

        Args:
            rows: (1, tokens, hidden) each; read as they are needed.

        Raises:
            StudyError: if the memory does not hold the call of a single row.
        """
        start = 0
        while start < len(rows):
            tokens = rows[start].shape[1]
            batch = torch.cat([*rows[start : start + max(1, self.tokens // tokens)]])
            failure = None
            try:
                result = compute(batch)
            except torch.OutOfMemoryError as error:
                failure = str(error)
            # Outside the handler the exception is gone, and with it the tensors of its frames.
            if failure is not None:
                self._halve(batch, failure)
                if batch.is_cuda:
                    torch.cuda.empty_cache()
                continue
            start += len(batch)
            yield result

    def _halve(self, batch: Tensor, message: str) -> None:
        rows, tokens = batch.shape[:2]
        if rows == 1:
            raise StudyError(
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
