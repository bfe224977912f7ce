"""Reading the next layer while this one computes; the thread alone, without a GPU."""

import threading
from pathlib import Path

import pytest
import torch

from stillknows.engine.streamed_model import prefetched_layers
from stillknows.errors import StudyError
from tiny_sweeps import model_of

CPU = torch.device("cpu")


def test_each_layer_is_read_once_and_before_it_is_taken() -> None:
    begun = [threading.Event() for _ in range(3)]
    reads: list[int] = []

    def read(index: int) -> dict[str, torch.Tensor]:
        reads.append(index)
        begun[index].set()
        return {"weight": torch.tensor([float(index)])}

    layers = prefetched_layers(read, 3, torch.bfloat16, CPU)
    assert next(layers)["weight"] == 0
    begun[1].wait()
    assert not begun[2].is_set()
    assert next(layers)["weight"] == 1
    begun[2].wait()
    weight = next(layers)["weight"]
    assert (weight.item(), weight.dtype) == (2, torch.bfloat16)
    assert (list(layers), reads) == ([], [0, 1, 2])


def test_what_reading_raises_is_raised_where_the_layer_is_wanted() -> None:
    def read(index: int) -> dict[str, torch.Tensor]:
        if index:
            raise StudyError("the file is gone")
        return {}

    layers = prefetched_layers(read, 2, torch.float32, CPU)
    next(layers)
    with pytest.raises(StudyError, match="the file is gone"):
        next(layers)


def test_products_are_as_exact_on_a_gpu_as_their_format(tiny_llama: Path) -> None:
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = True
    products.fp32_precision = "tf32"
    model_of(tiny_llama)
    assert products.fp32_precision == "ieee"
    assert not products.allow_bf16_reduced_precision_reduction
    assert not products.allow_fp16_reduced_precision_reduction
