"""Log-probabilities and hidden states of texts under a model."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stillknows.training.texts import IGNORED, TokenizedText, collate

BATCH = 4  # texts a forward pass without gradients


def summed_logprobs(model: Any, texts: Sequence[TokenizedText], pad: int) -> Tensor:
    """Each text's log-probability, summed over the tokens that count: (texts,), nats, float32.

    Gradients flow where they are enabled. `pad` fills up shorter texts and is never attended to.
    """
    ids, mask, labels = (part.to(model.device) for part in collate(texts, pad))
    # The head is the costliest part of a small model: only where a prediction counts. The logits at
    # one position predict the next token.
    first = min(text.skipped for text in texts) - 1
    keep = torch.arange(first, ids.shape[1] - 1, device=ids.device)
    output = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=keep)
    logits, targets = output.logits.float(), labels[:, first + 1 :]
    losses = cross_entropy(  # (texts * kept,) from (texts * kept, vocabulary)
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return -losses.view(targets.shape).sum(dim=1)


def logprobs_and_states(
    model: Any, layer: nn.Module | None, texts: Sequence[TokenizedText], pad: int
) -> tuple[Tensor, list[Tensor]]:
    """`summed_logprobs`, and of each text the output of a layer, (positions, hidden).

    The positions are those from which the counted tokens are predicted, and the last token's: all
    of a plain text, and of a prompt its last token only. Without a layer there are no states.
    """
    if layer is None:
        return summed_logprobs(model, texts, pad), []
    outputs: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        logprobs = summed_logprobs(model, texts, pad)
    finally:
        hook.remove()
    [output] = outputs  # (texts, tokens, hidden), padded on the right
    pairs = zip(output, texts, strict=True)
    return logprobs, [states[text.skipped - 1 : len(text.ids)] for states, text in pairs]


@torch.no_grad()
def measure_with_states(
    model: Any, layer: nn.Module | None, texts: Sequence[TokenizedText], pad: int
) -> tuple[Tensor, list[Tensor]]:
    """`logprobs_and_states` of any number of texts, without gradients and dropout, on the CPU."""
    logprobs, states, was_training = [], [], model.training
    model.eval()
    try:
        for start in range(0, len(texts), BATCH):
            batch = logprobs_and_states(model, layer, texts[start : start + BATCH], pad)
            logprobs.append(batch[0].cpu())
            states += [state.cpu() for state in batch[1]]
    finally:
        model.train(was_training)
    return torch.cat(logprobs), states


def measure(model: Any, texts: Sequence[TokenizedText], pad: int) -> Tensor:
    """`summed_logprobs` of any number of texts, without gradients: (texts,), on the CPU."""
    return measure_with_states(model, None, texts, pad)[0]


def mean_nll(logprobs: Tensor, texts: Sequence[TokenizedText]) -> float:
    """NLL in nats per token over all tokens of the texts, from their summed log-probabilities."""
    return -float(logprobs.double().sum()) / sum(text.counted for text in texts)


def pad_of(tokenizer: Any) -> int:
    """An id to pad with. Any will do: padding is on the right and masked."""
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)
