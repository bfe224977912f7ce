"""Full fine-tuning that unlearns one concept, deterministic with its seed."""

import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor

from dissect.errors import DissectError
from dissect.training.accelerate_setup import accelerated, deterministic
from dissect.training.methods.log_probs import TextLogProbs
from dissect.training.recipe import Recipe
from dissect.training.scoring import mean_nll, measure, summed_logprobs
from dissect.training.texts import Material, TokenizedText, pairs

log = logging.getLogger("dissect")
T = TypeVar("T")

MAX_GRAD_NORM = 1.0  # as published: the default of transformers' Trainer, which ran the trainings
WATCHED = 6  # texts of each kind whose NLL is logged: all of them would cost as much as training
COLUMNS = (
    "step",  # updates so far; 0 is the original
    "loss",  # what the step minimised, before its update; NaN at step 0
    "loss_forget",  # NLL of the step's own forget texts before its update, nats per token
    "loss_retain",
    "nll_forget",  # NLL of the watched forget texts after the step; NaN where not measured
    "nll_retain",
    "nll_held_out",
)
Pairs = Sequence[tuple[int, int]]  # indices into Material.forget and Material.retain


def train(
    model: Any, material: Material, recipe: Recipe, *, pad: int, seed: int, device: str
) -> pd.DataFrame:
    """Unlearn `material.forget`; the model is changed in place.

    The frozen original of the losses is the model itself before its first update: its
    log-probabilities of every text in use are computed once, and no second model is needed.

    Args:
        model: a causal language model of transformers, in the dtype that its weights train in.
        pad: any token id, to fill up shorter texts.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The training log, a row per step with COLUMNS.

    Raises:
        DissectError: if the loss is not finite.
    """
    per_step = recipe.batch_size * recipe.accumulation
    order = pairs(len(material.forget), len(material.retain), recipe.steps * per_step, seed)
    with (
        deterministic(seed),
        accelerated(device, recipe.precision, recipe.accumulation) as accelerator,
        closing(_Training(model, accelerator, recipe, pad)) as training,
    ):
        rows = training.run(material, order)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"step": "int32"})


def rate(step: int, recipe: Recipe) -> float:
    """The share of the learning rate that the update after `step` updates uses (from 0).

    A linear warm-up, of which no step is lost to a rate of 0; then constant, or linear to 0.
    """
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    if recipe.schedule == "constant":
        return warm
    return min(warm, (recipe.steps - step) / max(1, recipe.steps - recipe.warmup_steps))


class _Side:
    """The forget or the retain texts of a training, with the original's log-probabilities."""

    def __init__(
        self, texts: list[TokenizedText], used: Iterable[int], model: Any, pad: int
    ) -> None:
        indices = sorted(set(used))
        self.texts = texts
        self.tokens = torch.tensor([float(text.counted) for text in texts])  # (texts,)
        self.original = torch.full((len(texts),), math.nan)  # (texts,), nats; NaN where not used
        self.original[indices] = measure(model, [texts[n] for n in indices], pad)
        self.watched = spread(indices, WATCHED)

    def scores(self, chosen: list[int], logprobs: Tensor, tokens_per_text: float) -> TextLogProbs:
        """The scores of a batch of texts, from their log-probabilities (texts,) in training."""
        original, tokens = (it[chosen].to(logprobs.device) for it in (self.original, self.tokens))
        return TextLogProbs(logprobs, original, tokens, tokens_per_text)

    def tokens_per_text(self, chosen: Sequence[int]) -> float:
        return sum(self.texts[n].counted for n in chosen) / len(chosen)


class _Training:
    """One training under way: the model on its device, its optimizer, the texts."""

    def __init__(self, model: Any, accelerator: Any, recipe: Recipe, pad: int) -> None:
        self.plain, self.accelerator = model, accelerator
        self.recipe, self.pad = recipe, pad
        parameters = list(model.parameters())
        # As transformers' Trainer, which does not decay biases and norms.
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, recipe))
        if accelerator.device.type != "cpu":
            # A 7B model and its optimizer nearly fill 80 GB: activations are computed twice.
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.model, self.optimizer, self.schedule = accelerator.prepare(model, optimizer, schedule)
        self.model.train()

    def close(self) -> None:
        """Leave a plain model, without the wrapping of accelerate."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if self.accelerator.device.type != "cpu":
            self.plain.gradient_checkpointing_disable()
        self.plain.zero_grad(set_to_none=True)
        self.plain.eval()

    def run(self, material: Material, order: Pairs) -> list[tuple[float, ...]]:
        """All steps; returns the rows of the log."""
        recipe, per_step = self.recipe, len(order) // self.recipe.steps
        self.forget = _Side(material.forget, (f for f, _ in order), self.model, self.pad)
        self.retain = _Side(material.retain, (r for _, r in order), self.model, self.pad)
        self.held_out = spread(material.held_out, WATCHED)
        rows: list[tuple[float, ...]]
        rows = [(0, math.nan, math.nan, math.nan, *self._watched_nlls(0))]
        for step in range(1, recipe.steps + 1):
            loss, forget, retain, rise = self._step(order[(step - 1) * per_step : step * per_step])
            log.info(
                f"step {step} of {recipe.steps}: loss {loss:.4f}, nll forget {forget:.3f}, "
                f"retain {retain:.3f}"
            )
            if not math.isfinite(loss):
                raise DissectError(
                    f"unlearning: the loss is {loss} at step {step} of {recipe.steps}, nothing was "
                    "saved; lower learning_rate or steps in the method's recipe"
                )
            limit = recipe.stop_at_forget_rise
            stops = limit is not None and rise >= limit
            if stops:
                log.info("the forget texts' NLL rose by %.2f nats: that step was the last", limit)
            is_measured = stops or step == recipe.steps or step % recipe.evaluate_every == 0
            nlls = self._watched_nlls(step) if is_measured else (math.nan,) * 3
            rows.append((step, loss, forget, retain, *nlls))
            if stops:
                break
        return rows

    def _step(self, order: Pairs) -> list[float]:
        """One update from the pairs of `order`, batch by batch.

        Returns:
            What the step saw before its update: the loss, the NLL of its forget and retain texts,
            and the rise of its forget texts above the original's NLL, in nats per token.
        """
        forget_mean = self.forget.tokens_per_text([f for f, _ in order])
        retain_mean = self.retain.tokens_per_text([r for _, r in order])
        seen, size = [], self.recipe.batch_size
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            to_forget, to_retain = [f for f, _ in batch], [r for _, r in batch]
            texts = [self.forget.texts[f] for f in to_forget]
            texts += [self.retain.texts[r] for r in to_retain]
            with self.accelerator.accumulate(self.model):
                left, right = summed_logprobs(self.model, texts, self.pad).chunk(2)
                forget = self.forget.scores(to_forget, left, forget_mean)
                retain = self.retain.scores(to_retain, right, retain_mean)
                loss = self.recipe.loss(forget, retain)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), MAX_GRAD_NORM)
                self.optimizer.step()
                self.schedule.step()
                self.optimizer.zero_grad()
            rise = (forget.original - forget.logprob) / forget.tokens
            parts = (loss, forget.nll.mean(), retain.nll.mean(), rise.mean())
            seen.append([part.item() for part in parts])
        return [sum(part) / len(part) for part in zip(*seen, strict=True)]

    def _watched_nlls(self, step: int) -> tuple[float, ...]:
        """The NLL of the watched forget, retain and held-out texts, in nats per token."""
        forget, retain = self._watch(self.forget, step), self._watch(self.retain, step)
        held_out = self._nll(self.held_out)
        log.info(
            f"after step {step}: nll forget {forget:.3f}, retain {retain:.3f}, "
            f"held out {held_out:.3f}"
        )
        return forget, retain, held_out

    def _watch(self, side: _Side, step: int) -> float:
        texts = [side.texts[n] for n in side.watched]
        # The original's are known already.
        return mean_nll(side.original[side.watched], texts) if step == 0 else self._nll(texts)

    def _nll(self, texts: list[TokenizedText]) -> float:
        return mean_nll(measure(self.model, texts, self.pad), texts) if texts else math.nan


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread over their order."""
    count = min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]
