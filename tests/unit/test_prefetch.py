"""Reading the next layer while this one computes; the thread alone, without a GPU."""

import threading
from pathlib import Path

import pytest
import torch

from stillknows.engine.prefetch import LayerPrefetcher
from stillknows.errors import StudyError
from stillknows.models.reader import Checkpoint
from tiny_sweeps import model_of

CPU = torch.device("cpu")


def test_the_next_layer_is_read_before_it_is_asked_for() -> None:
    begun = [threading.Event() for _ in range(3)]

    def read(index: int) -> dict[str, torch.Tensor]:
        begun[index].set()
        return {"weight": torch.tensor([float(index)])}

    prefetcher = LayerPrefetcher(read, 3, torch.bfloat16, CPU)
    assert prefetcher.layer(0)["weight"] == 0
    begun[1].wait()
    assert not begun[2].is_set()
    assert prefetcher.layer(1)["weight"] == 1
    begun[2].wait()
    weight = prefetcher.layer(2)["weight"]
    assert (weight.item(), weight.dtype) == (2, torch.bfloat16)


def test_each_layer_is_read_once_in_ascending_order_and_any_other_is_right_too() -> None:
    reads: list[int] = []

    def read(index: int) -> dict[str, torch.Tensor]:
        reads.append(index)
        return {"weight": torch.tensor([float(index)])}

    prefetcher = LayerPrefetcher(read, 4, torch.float32, CPU)
    assert [int(prefetcher.layer(index)["weight"]) for index in range(4)] == [0, 1, 2, 3]
    assert reads == [0, 1, 2, 3]
    assert [int(prefetcher.layer(index)["weight"]) for index in (0, 3, 1)] == [0, 3, 1]


def test_what_reading_raises_is_raised_where_the_layer_is_wanted() -> None:
    def read(index: int) -> dict[str, torch.Tensor]:
        if index:
            raise StudyError("the file is gone")
        return {}

    prefetcher = LayerPrefetcher(read, 2, torch.float32, CPU)
    prefetcher.layer(0)
    with pytest.raises(StudyError, match="the file is gone"):
        prefetcher.layer(1)


def test_prefetched_layers_are_those_of_the_files(tiny_llama: Path) -> None:
    checkpoint = Checkpoint(tiny_llama)
    prefetcher = LayerPrefetcher(checkpoint.read_layer, checkpoint.layers, torch.bfloat16, CPU)
    for index in range(checkpoint.layers):
        weights = prefetcher.layer(index)
        expected = checkpoint.read_layer(index, torch.bfloat16, CPU)
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_products_are_as_exact_on_a_gpu_as_their_format(tiny_llama: Path) -> None:
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = True
    products.fp32_precision = "tf32"
    model_of(tiny_llama)
    assert products.fp32_precision == "ieee"
    assert not products.allow_bf16_reduced_precision_reduction
    assert not products.allow_fp16_reduced_precision_reduction
