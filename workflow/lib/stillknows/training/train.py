"""Full fine-tuning on forget and retain texts, deterministic with its seed."""

import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor, nn

from stillknows.errors import StudyError
from stillknows.models.families import family_of
from stillknows.training.accelerate_setup import accelerated, deterministic
from stillknows.training.hidden_states import (
    captured_outputs,
    layer_of,
    measure_states,
    split_by_text,
)
from stillknows.training.methods.log_probs import TextLogProbs
from stillknows.training.recipe import DOWN_PROJECTION, Optimisation
from stillknows.training.scoring import mean_nll, measure, summed_logprobs
from stillknows.training.texts import Material, TokenizedText, orders

log = logging.getLogger("stillknows")
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
Orders = tuple[list[int], list[int]]  # indices into Material.forget and Material.retain


def train(
    model: Any,
    material: Material,
    recipe: Optimisation,
    *,
    steps: int,
    pad: int,
    seed: int,
    device: str,
) -> pd.DataFrame:
    """Train on the texts as the recipe says; the model is changed in place.

    The frozen original of the losses is the model itself before its first update: its
    log-probabilities and hidden states of every text in use are computed once, where the recipe
    needs them, and no second model is needed.

    Args:
        model: a causal language model of transformers, in the dtype that its weights train in.
        material: forget texts may be none.
        steps: the most updates.
        pad: any token id, to fill up shorter texts.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The training log, a row per step with COLUMNS.

    Raises:
        StudyError: if the loss is not finite, or the recipe's modules or its layer are none of
            the model's.
    """
    per_step = recipe.batch_size * recipe.accumulation
    order = orders(len(material.forget), len(material.retain), steps * per_step, seed)
    with (
        deterministic(seed),
        accelerated(device, recipe.precision, recipe.accumulation) as accelerator,
        closing(_Training(model, accelerator, recipe, steps, pad, seed)) as training,
    ):
        rows = training.run(material, order)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"step": "int32"})


def rate(step: int, steps: int, recipe: Optimisation) -> float:
    """The share of the learning rate that the update after `step` of `steps` updates uses.

    A linear warm-up, of which no step is lost to a rate of 0; then constant, or linear to 0.
    """
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    if recipe.schedule == "constant":
        return warm
    return min(warm, (steps - step) / max(1, steps - recipe.warmup_steps))


class _Side:
    """The forget or the retain texts of a training.

    With the original's log-probabilities, if `reads_original`, and its hidden states after `layer`,
    if there is one.
    """

    def __init__(
        self,
        texts: list[TokenizedText],
        used: Iterable[int],
        model: Any,
        pad: int,
        layer: nn.Module | None,
        reads_original: bool,
    ) -> None:
        indices = sorted(set(used))
        self.texts = texts
        self.tokens = torch.tensor([float(text.counted) for text in texts])  # (texts,)
        self.original = torch.full((len(texts),), math.nan)  # (texts,), nats; NaN where not read
        if indices and reads_original:
            self.original[indices] = measure(model, [texts[n] for n in indices], pad)
        self.states: dict[int, Tensor] = {}  # by text, each (positions, hidden)
        if layer is not None:
            states = measure_states(model, layer, [texts[n] for n in indices], pad)
            self.states = dict(zip(indices, states, strict=True))
        self.watched = spread(indices, WATCHED)

    def scores(
        self,
        chosen: list[int],
        logprobs: Tensor,
        tokens_per_text: float,
        states: Sequence[Tensor],
        seed: int,
    ) -> TextLogProbs:
        """The scores of a batch of texts, from their log-probabilities (texts,) in training.

        Args:
            states: of the same texts in training, each (positions, hidden), or none.
        """
        device = logprobs.device
        original, tokens = (it[chosen].to(device) for it in (self.original, self.tokens))
        of_original = [self.states[n].to(device) for n in chosen] if states else ()
        return TextLogProbs(logprobs, original, tokens, tokens_per_text, states, of_original, seed)

    def tokens_per_text(self, chosen: Sequence[int]) -> float:
        return sum(self.texts[n].counted for n in chosen) / len(chosen) if chosen else math.nan


class _Training:
    """One training under way: the model on its device, its optimizer, the texts."""

    def __init__(
        self, model: Any, accelerator: Any, recipe: Optimisation, steps: int, pad: int, seed: int
    ) -> None:
        self.plain, self.accelerator = model, accelerator
        self.recipe, self.steps, self.pad, self.seed = recipe, steps, pad, seed
        number = recipe.states_layer
        self.layer = None if number is None else layer_of(model, number)
        freeze_all_but(model, recipe.modules)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # As transformers' Trainer, which does not decay biases and norms.
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate(step, steps, recipe)
        )
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
        self.plain.requires_grad_(True)
        self.plain.eval()

    def run(self, material: Material, order: Orders) -> list[tuple[float, ...]]:
        """All steps; returns the rows of the log."""
        recipe, steps = self.recipe, self.steps
        per_step = recipe.batch_size * recipe.accumulation
        of_original = (self.model, self.pad, self.layer, recipe.reads_original)
        self.forget = _Side(material.forget, order[0], *of_original)
        self.retain = _Side(material.retain, order[1], *of_original)
        self.held_out = spread(material.held_out, WATCHED)
        rows: list[tuple[float, ...]]
        rows = [(0, math.nan, math.nan, math.nan, *self._watched_nlls(0))]
        for step in range(1, steps + 1):
            of_step = slice((step - 1) * per_step, step * per_step)
            loss, forget, retain, rise = self._step(order[0][of_step], order[1][of_step])
            log.info(
                f"step {step} of {steps}: loss {loss:.4f}, nll forget {forget:.3f}, "
                f"retain {retain:.3f}"
            )
            if not math.isfinite(loss):
                raise StudyError(
                    f"training: the loss is {loss} at step {step} of {steps}, nothing was saved; "
                    "lower learning_rate or the number of steps in the recipe"
                )
            stops = recipe.is_done(rise, forget)
            if stops:
                since = "" if math.isnan(rise) else f", {rise:+.2f} nats since the start"
                log.info(
                    f"stopped: the NLL of the forget batch is {forget:.2f} nats per token{since}"
                )
            is_measured = stops or step == steps or step % recipe.evaluate_every == 0
            nlls = self._watched_nlls(step) if is_measured else (math.nan,) * 3
            rows.append((step, loss, forget, retain, *nlls))
            if stops:
                break
        return rows

    def _step(self, forget_order: list[int], retain_order: list[int]) -> list[float]:
        """One update from pairs of texts, batch by batch.

        Returns:
            What the step saw before its update: the loss, the NLL of its forget and retain texts,
            and the rise of its forget texts above the original's NLL, in nats per token.
        """
        forget_mean = self.forget.tokens_per_text(forget_order)
        retain_mean = self.retain.tokens_per_text(retain_order)
        seen, size = [], self.recipe.batch_size
        for start in range(0, len(retain_order), size):
            to_forget, to_retain = (
                order[start : start + size] for order in (forget_order, retain_order)
            )
            texts = [self.forget.texts[f] for f in to_forget]
            texts += [self.retain.texts[r] for r in to_retain]
            with self.accelerator.accumulate(self.model):
                logprobs, states = self._forward(texts)
                left, right = logprobs.split([len(to_forget), len(to_retain)])
                left_states, right_states = states[: len(to_forget)], states[len(to_forget) :]
                forget = self.forget.scores(to_forget, left, forget_mean, left_states, self.seed)
                retain = self.retain.scores(to_retain, right, retain_mean, right_states, self.seed)
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

    def _forward(self, texts: list[TokenizedText]) -> tuple[Tensor, list[Tensor]]:
        """The texts' log-probabilities (texts,), and the hidden states that the recipe needs."""
        if self.layer is None:
            return summed_logprobs(self.model, texts, self.pad), []
        with captured_outputs(self.layer) as outputs:
            logprobs = summed_logprobs(self.model, texts, self.pad)
        [output] = outputs
        return logprobs, split_by_text(output, texts)

    def _watched_nlls(self, step: int) -> tuple[float, float, float]:
        """The NLL of the watched forget, retain and held-out texts, in nats per token."""
        watched = [[side.texts[n] for n in side.watched] for side in (self.forget, self.retain)]
        forget, retain, held_out = map(self._nll, (*watched, self.held_out))
        log.info(
            f"after step {step}: nll forget {forget:.3f}, retain {retain:.3f}, "
            f"held out {held_out:.3f}"
        )
        return forget, retain, held_out

    def _nll(self, texts: list[TokenizedText]) -> float:
        return mean_nll(measure(self.model, texts, self.pad), texts) if texts else math.nan


def freeze_all_but(model: Any, modules: Sequence[str]) -> None:
    """Let only the named modules' parameters be trained; all, if there are no names.

    Args:
        modules: ends of their names, such as layers.27.mlp; DOWN_PROJECTION in a name stands for
            the down projection's name in the model's family.

    Raises:
        StudyError: for a name that no module of the model has.
    """
    if not modules:
        return
    if any(DOWN_PROJECTION in module for module in modules):
        down = family_of(model.config.model_type).down
        modules = [module.replace(DOWN_PROJECTION, down) for module in modules]
    names = {module: f".{module}." for module in modules}
    parameters = [name for name, _ in model.named_parameters()]
    for module, dotted in names.items():
        if not any(dotted in f".{name}" for name in parameters):
            raise StudyError(
                f"training: {module} is not a module of this model; its parameters have names such "
                f"as {parameters[len(parameters) // 2]}"
            )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(dotted in f".{name}" for dotted in names.values()))


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread over their order."""
    count = min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]
