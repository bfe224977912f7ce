"""Two other ways to compute the same sweep, for comparison. Both hold whole models in memory.

`plain_hooks` is what the published notebooks do, made fair: all questions in one padded batch, no
gradients, the original's states kept. `prefix_hooks` also starts every window from the cached
unpatched hidden state and sends only compared positions through the head. Both score what the
sweep scores: squared error, KL, top-1 agreement, log-probability.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from stillknows.engine.patches import Experiment
from stillknows.engine.recording import OriginalLogits
from stillknows.engine.windows import Window
from stillknows.texts.spans import Text

Losses = list[list[float]]  # mean squared errors [window][text]


@dataclass(frozen=True)
class Pair:
    """Both models, whole, and what the original did on the padded batch of all texts."""

    original: Any
    unlearned: Any
    texts: list[Text]
    ids: Tensor
    coefficients: list[Tensor]
    attention: list[Tensor]
    original_logits: list[OriginalLogits]


@torch.inference_mode()
def prepare(original: Any, unlearned: Any, texts: list[Text]) -> Pair:
    """Let the original read all texts once (not timed: ours has its recording, too)."""
    ids = pad_sequence([torch.tensor(text.ids) for text in texts], batch_first=True)
    coefficients: list[Tensor] = []
    attention: list[Tensor] = []
    with ExitStack() as hooks:
        for layer in original.model.layers:
            hooks.callback(
                layer.mlp.down_proj.register_forward_pre_hook(
                    lambda _module, inputs: coefficients.append(inputs[0])
                ).remove
            )
            hooks.callback(
                layer.self_attn.o_proj.register_forward_hook(
                    lambda _module, _inputs, output: attention.append(output)
                ).remove
            )
        logits = _compared(original(ids, use_cache=False).logits, texts)
    original_logits = [OriginalLogits(*known) for known in zip(logits, texts, strict=True)]
    return Pair(original, unlearned, texts, ids, coefficients, attention, original_logits)


@torch.inference_mode()
def plain_hooks(pair: Pair, experiment: Experiment, windows: Sequence[Window]) -> Losses:
    """One patched forward of the whole model per window."""

    def logits_of(layers: range) -> Tensor:
        with _patched(pair, experiment, layers):
            logits: Tensor = pair.unlearned(pair.ids, use_cache=False).logits
        return logits

    return losses_by_window(pair, windows, logits_of)


def losses_by_window(
    pair: Pair, windows: Sequence[Window], logits_of: Callable[[range], Tensor]
) -> Losses:
    """The losses of whole forwards.

    Args:
        logits_of: the patched layers to logits (texts, tokens, vocabulary).
    """
    patched = (logits_of(range(window.first, window.last + 1)) for window in windows)
    return [_losses(pair, _compared(logits, pair.texts)) for logits in patched]


@torch.inference_mode()
def prefix_hooks(pair: Pair, experiment: Experiment, windows: Sequence[Window]) -> Losses:
    """The same from each window's first layer on, and the head on compared positions only."""
    base = pair.unlearned.model
    states: list[Tensor] = []
    arguments: list[dict[str, Any]] = []
    with ExitStack() as hooks:
        for layer in base.layers:
            hooks.callback(
                layer.register_forward_pre_hook(
                    lambda _module, inputs, keywords: (
                        (states.append(inputs[0]), arguments.append(keywords))[:0] or None
                    ),
                    with_kwargs=True,
                ).remove
            )
        base(pair.ids, use_cache=False)
    losses = []
    for window in windows:
        hidden = states[window.first]
        with _patched(pair, experiment, range(window.first, window.last + 1)):
            for layer, keywords in zip(
                base.layers[window.first :], arguments[window.first :], strict=True
            ):
                hidden = layer(hidden, **keywords)
        rows = [row[text.compared.start : text.compared.stop] for row, text in _rows(pair, hidden)]
        logits = pair.unlearned.lm_head(base.norm(torch.cat(rows)))
        losses.append(_losses(pair, list(logits.split([len(t.compared) for t in pair.texts]))))
    return losses


def _rows(pair: Pair, states: Tensor) -> list[tuple[Tensor, Text]]:
    return list(zip(states, pair.texts, strict=True))


def _compared(logits: Tensor, texts: Sequence[Text]) -> list[Tensor]:
    return [
        row[text.compared.start : text.compared.stop]
        for row, text in zip(logits, texts, strict=True)
    ]


def _losses(pair: Pair, logits: list[Tensor]) -> list[float]:
    return [
        float(original.score(of_text).squared_error.mean())
        for of_text, original in zip(logits, pair.original_logits, strict=True)
    ]


def _patched(pair: Pair, experiment: Experiment, layers: range) -> ExitStack:
    stack = ExitStack()
    for index in layers:
        layer = pair.unlearned.model.layers[index]
        down: nn.Linear = layer.mlp.down_proj
        if experiment.coefficients:
            stack.callback(
                down.register_forward_pre_hook(
                    lambda _module, _inputs, value=pair.coefficients[index]: (value,)
                ).remove
            )
        if experiment.attention:
            stack.callback(
                layer.self_attn.o_proj.register_forward_hook(
                    lambda _module, _inputs, _output, value=pair.attention[index]: value
                ).remove
            )
        if "value_vectors" in experiment.weights:
            stack.enter_context(original_value_vectors(pair, {index: down}))
    return stack


def original_value_vectors(pair: Pair, downs: Mapping[int, nn.Linear]) -> ExitStack:
    """Give the unlearned model's down projections, by layer, the original's weights for a while."""
    stack = ExitStack()
    for index, down in downs.items():
        stack.callback(setattr, down, "weight", down.weight)
        down.weight = pair.original.model.layers[index].mlp.down_proj.weight
    return stack
