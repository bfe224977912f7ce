"""Low-rank adapters (LoRA, arXiv 2106.09685): teach a model whose own weights stay as they are."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from stillknows.device import training_dtype
from stillknows.models.reader import Checkpoint
from stillknows.training.recipe import TRAINING_FACTOR
from stillknows.training.teaching import LoraRelearning
from stillknows.training.texts import Material, TokenizedText
from stillknows.training.train import train


@contextmanager
def taught(
    model: Any,
    texts: Sequence[TokenizedText],
    lessons: LoraRelearning,
    *,
    pad: int,
    seed: int,
    device: str,
) -> Iterator[Any]:
    """Yields the model with a new adapter that was trained on the texts; then it is removed.

    The adapter has matrices in float32 beside each linear layer but the head. All activations but
    those between layers are computed twice (gradient checkpointing).
    """
    config = LoraConfig(
        r=lessons.rank,
        lora_alpha=2 * lessons.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted: Any = get_peft_model(model, config)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    try:
        run: Any = {"steps": lessons.steps(len(texts)), "pad": pad, "seed": seed}
        train(adapted, Material([], list(texts), []), lessons, device=device, **run)
        model.gradient_checkpointing_disable()
        yield adapted
    finally:
        adapted.unload()


class AdaptedCheckpoint(Checkpoint):
    """A checkpoint that is read with the adapter of a model of `taught` added to its weights.

    The sum is computed in float32, then rounded to the number format that is asked for.
    """

    def __init__(self, folder: Path, adapted: Any) -> None:
        super().__init__(folder)
        self._adapted_layers = {
            f"{name}.weight": module
            for name, module in adapted.get_base_model().named_modules()
            if hasattr(module, "get_delta_weight")
        }

    def converted(
        self, name: str, tensor: Tensor, dtype: torch.dtype | None, device: torch.device | None
    ) -> Tensor:
        if name in self._adapted_layers:
            dtype, tensor = dtype or tensor.dtype, tensor.to(device).float()
            with torch.no_grad():
                change = self._adapted_layers[name].get_delta_weight("default")
            tensor = tensor + change.to(tensor.device)
        return super().converted(name, tensor, dtype, device)


def planned_bytes(
    checkpoint: Checkpoint, lessons: LoraRelearning, texts: Sequence[TokenizedText]
) -> int:
    """The memory that `taught` needs: the weights, the adapter's training, and activations."""
    size = training_dtype(lessons.precision).itemsize
    weights = size * sum(math.prod(shape) for shape in checkpoint.shapes.values())
    linear = [
        shape
        for name, shape in checkpoint.shapes.items()
        if name.startswith(f"{checkpoint.layers_path}.") and len(shape) == 2
    ]
    adapter = 4 * TRAINING_FACTOR * lessons.rank * sum(map(sum, linear))
    tokens = lessons.batch_size * max(len(text.ids) for text in texts)
    # The inputs of all layers; of one layer, inputs and outputs of its linear layers, as they are
    # and in float32; logits with their softmax and gradient.
    config, in_one_layer = checkpoint.config, sum(map(sum, linear)) / checkpoint.layers
    between = size * config.hidden_size * checkpoint.layers
    per_token = between + (size + 4) * in_one_layer + 12 * config.vocab_size
    return int(weights + adapter + tokens * per_token)
