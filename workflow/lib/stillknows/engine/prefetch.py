"""Read the next layer's weights while this one computes: for a GPU, which would wait for them.

On a CPU weights are memory-mapped files, and the system is asked to read the next layer's pages
(`reader.Checkpoint.readahead`).
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

Weights = dict[str, Tensor]


class LayerPrefetcher:
    """Layers in ascending order, each read once, the next one in a thread of its own.

    On CUDA the thread reads into pinned memory, and a stream of its own copies from there and casts
    on the device, so that neither disturbs the computation.

    Args:
        read: reads one layer's weights, as they are saved, into the machine's memory.
        layers: how many there are.
        dtype, device: of the weights that are returned.
    """

    def __init__(
        self, read: Callable[[int], Weights], layers: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._read = read
        self._layers = layers
        self._dtype = dtype
        self._device = device
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: dict[int, Future[Weights]] = {}
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def layer(self, index: int) -> Weights:
        """One layer's weights on the device; starts to read the next layer's."""
        pending = self._pending.pop(index, None) or self._thread.submit(self._read_to_device, index)
        self._pending.clear()  # another order than ascending: drop what is not needed
        weights = pending.result()
        if index + 1 < self._layers:
            self._pending[index + 1] = self._thread.submit(self._read_to_device, index + 1)
        if self._stream is not None:
            current = torch.cuda.current_stream(self._device)
            for tensor in weights.values():
                # Allocated on the other stream: it is kept until this stream is done with it.
                tensor.record_stream(current)
        return weights

    def _read_to_device(self, index: int) -> Weights:
        tensors = self._read(index).items()
        if self._stream is None:
            return {name: tensor.to(self._device, self._dtype) for name, tensor in tensors}
        weights = {}
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for name, tensor in tensors:
                pinned = tensor.pin_memory()  # reads the file
                weights[name] = pinned.to(self._device, non_blocking=True).to(self._dtype)
        self._stream.synchronize()
        return weights
