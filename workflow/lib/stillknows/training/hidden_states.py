"""Hidden states of texts after one layer: what a method that trains on them is given."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from stillknows.errors import StudyError
from stillknows.models.families import family_of
from stillknows.training.scoring import BATCH, measure
from stillknows.training.texts import TokenizedText


def layer_of(model: Any, number: int) -> nn.Module:
    """A decoder layer of a transformers model, counted from 0.

    Raises:
        StudyError: if the model has no such layer.
    """
    family = family_of(model.config.model_type)
    layers = model.get_submodule(f"{family.base}.{family.layers}")
    if number >= len(layers):
        raise StudyError(
            f"training: this model has no layer {number}; allowed are 0 to {len(layers) - 1}"
        )
    layer: nn.Module = layers[number]
    return layer


@contextmanager
def captured_outputs(layer: nn.Module) -> Iterator[list[Tensor]]:
    """A context in which every call of the layer appends its output, (texts, tokens, hidden)."""
    outputs: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()


def split_by_text(output: Tensor, texts: Sequence[TokenizedText]) -> list[Tensor]:
    """Each text's hidden states, (positions, hidden), from those of a batch padded on the right.

    The positions are those from which the counted tokens are predicted, and the last token's: all
    of a plain text, and of a prompt its last token only.

    Args:
        output: of a layer, (texts, tokens, hidden).
    """
    return [
        states[text.skipped - 1 : len(text.ids)] for states, text in zip(output, texts, strict=True)
    ]


def measure_states(
    model: Any, layer: nn.Module, texts: Sequence[TokenizedText], pad: int
) -> list[Tensor]:
    """`split_by_text` of any number of texts, without gradients, on the CPU."""
    states = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        with captured_outputs(layer) as outputs:
            measure(model, batch, pad)
        [output] = outputs
        states += [part.cpu() for part in split_by_text(output, batch)]
    return states
