"""Read the next layer's weights while this one computes: for a GPU, which would wait for them.

On a CPU weights are memory-mapped files, and the system is asked to read the next layer's pages
(`reader.Checkpoint.readahead`).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def prefetched_layers(
    read: Callable[[int], Weights], layers: int, dtype: torch.dtype, device: torch.device
) -> Iterator[Weights]:
    """The layers' weights from the lowest up, each read in a thread while the one before is used.

    On CUDA the thread reads into pinned memory, and a stream of its own copies from there and casts
    on the device, so that neither disturbs the computation.

    Args:
        read: reads one layer's weights, as they are saved, into the machine's memory.
        dtype, device: of the weights that are returned.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def read_to_device(index: int) -> Weights:
        tensors = read(index).items()
        if stream is None:
            return {name: tensor.to(device, dtype) for name, tensor in tensors}
        weights = {}
        with torch.cuda.device(device), torch.cuda.stream(stream):
            for name, tensor in tensors:
                pinned = tensor.pin_memory()  # reads the file
                weights[name] = pinned.to(device, non_blocking=True).to(dtype)
        stream.synchronize()
        return weights

    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = thread.submit(read_to_device, 0)
        for index in range(layers):
            weights = pending.result()
            if index + 1 < layers:
                pending = thread.submit(read_to_device, index + 1)
            if stream is not None:
                for tensor in weights.values():
                    # Allocated on the other stream: it is kept until this stream is done with it.
                    tensor.record_stream(torch.cuda.current_stream(device))
            yield weights
