"""Full fine-tuning that unlearns one concept, deterministic with its seed."""

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from dissect.errors import DissectError
from dissect.study.config import Recipe
from dissect.training.methods import METHODS, Scores
from dissect.training.scoring import mean_nll, measure, summed_logprobs
from dissect.training.texts import Material, Tokens, pairs

log = logging.getLogger("dissect")

MAX_GRAD_NORM = 1.0  # as published: the default of transformers' Trainer, which ran the trainings
COLUMNS = (
    "step",  # updates so far; 0 is the original
    "loss",  # what the step minimised, before its update; NaN at step 0
    "loss_forget",  # NLL of the step's own forget texts, nats per token, before its update
    "loss_retain",
    "nll_forget",  # NLL of all forget texts after the step; NaN where it was not measured
    "nll_retain",
    "nll_held_out",
)


@dataclass(frozen=True)
class Outcome:
    """What one optimizer step saw, before its update; NLL and rise in nats per token."""

    loss: float
    loss_forget: float
    loss_retain: float
    forget_rise: float  # of the step's forget texts above the original's NLL


def train(
    model: Any, material: Material, method: str, recipe: Recipe, *, pad: int, seed: int, device: str
) -> pd.DataFrame:
    """Unlearn `material.forget`; the model is changed in place.

    The frozen original of the losses is the model itself before its first update: its
    log-probabilities of every text are computed once, then no second model is needed.

    Args:
        model: a causal language model of transformers, in the dtype that its weights train in.
        pad: any token id, to fill up shorter texts.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The training log, a row per step with COLUMNS.

    Raises:
        DissectError: if the method is unknown, or the loss is not finite (then nothing is worth
            saving).
    """
    if method not in METHODS:
        raise DissectError(
            f"unlearning: method {method!r} is not known; known are {', '.join(METHODS)} "
            "(a new one is a file in training/methods)"
        )
    with _deterministic(seed):
        training = _Training(model, material, method, recipe, pad, device)
        try:
            return training.run(seed)
        finally:
            training.close()


class _Training:
    """One training under way: model and optimizer on their device, the original's scores."""

    def __init__(
        self,
        model: Any,
        material: Material,
        method: str,
        recipe: Recipe,
        pad: int,
        device: str,
    ) -> None:
        self.plain, self.material, self.recipe, self.pad = model, material, recipe, pad
        self.loss = METHODS[method]
        self.accelerator = _accelerator(recipe, device)
        optimizer = torch.optim.AdamW(
            _parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate(s, recipe))
        if self.accelerator.device.type != "cpu":
            # A 7B model and its optimizer nearly fill 80 GB: activations are computed twice.
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.model, self.optimizer, self.schedule = self.accelerator.prepare(
            model, optimizer, schedule
        )
        self.model.train()

    def run(self, seed: int) -> pd.DataFrame:
        recipe, material = self.recipe, self.material
        per_step = recipe.batch_size * recipe.accumulation
        order = pairs(len(material.forget), len(material.retain), recipe.steps * per_step, seed)
        self.original_forget = measure(self.model, material.forget, self.pad)
        self.original_retain = measure(self.model, material.retain, self.pad)
        rows = [self._first_row()]
        for step in range(1, recipe.steps + 1):
            outcome = self._step(step, order[(step - 1) * per_step : step * per_step])
            last = step == recipe.steps or self._forgotten(outcome)
            rows.append(self._row(step, outcome, last or step % recipe.evaluate_every == 0))
            if last:
                break
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"step": "int32"})

    def close(self) -> None:
        """Undo what accelerate did to the model, and what it keeps for the whole process."""
        from accelerate.state import AcceleratorState

        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if self.accelerator.device.type != "cpu":
            self.plain.gradient_checkpointing_disable()
        self.plain.zero_grad(set_to_none=True)
        self.plain.eval()
        self.accelerator.free_memory()
        AcceleratorState._reset_state(reset_partial_state=True)

    def _step(self, step: int, order: Sequence[tuple[int, int]]) -> Outcome:
        """One update from the pairs of `order`, batch by batch."""
        started = time.monotonic()
        means = self._tokens_per_text(order)
        batches, size = [], self.recipe.batch_size
        for start in range(0, len(order), size):
            with self.accelerator.accumulate(self.model):
                forget, retain = self._scores(order[start : start + size], means)
                loss = self.loss(forget, retain, self.recipe)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), MAX_GRAD_NORM)
                self.optimizer.step()
                self.schedule.step()
                self.optimizer.zero_grad()
            batches.append(_outcome(loss, forget, retain))
        outcome = Outcome(*torch.tensor(batches, dtype=torch.float64).mean(dim=0).tolist())
        self._refuse_non_finite(step, outcome.loss)
        log.info(
            "step %d of %d: loss %.4f, nll forget %.3f, retain %.3f (%.1f s)",
            step,
            self.recipe.steps,
            outcome.loss,
            outcome.loss_forget,
            outcome.loss_retain,
            time.monotonic() - started,
        )
        return outcome

    def _tokens_per_text(self, order: Sequence[tuple[int, int]]) -> list[float]:
        forget = [self.material.forget[f].counted for f, _ in order]
        retain = [self.material.retain[r].counted for _, r in order]
        return [sum(counts) / len(counts) for counts in (forget, retain)]

    def _scores(self, order: Sequence[tuple[int, int]], means: list[float]) -> list[Scores]:
        """The scores of a batch's forget and retain texts, from one forward pass."""
        forget, retain = [f for f, _ in order], [r for _, r in order]
        texts = [self.material.forget[f] for f in forget]
        texts += [self.material.retain[r] for r in retain]
        logprobs = summed_logprobs(self.model, texts, self.pad)
        originals = torch.cat([self.original_forget[forget], self.original_retain[retain]])
        counts = torch.tensor([float(text.counted) for text in texts])
        parts = zip(logprobs.chunk(2), originals.chunk(2), counts.chunk(2), means, strict=True)
        device = logprobs.device
        return [Scores(lp, old.to(device), n.to(device), mean) for lp, old, n, mean in parts]

    def _forgotten(self, outcome: Outcome) -> bool:
        limit = self.recipe.stop_at_forget_rise
        if limit is None or outcome.forget_rise < limit:
            return False
        log.info(
            "the forget texts' NLL rose by %.3f nats: this was the last step", outcome.forget_rise
        )
        return True

    def _first_row(self) -> tuple[float, ...]:
        nll_forget = mean_nll(self.original_forget, self.material.forget)
        nll_retain = mean_nll(self.original_retain, self.material.retain)
        nan = math.nan
        return self._logged(0, nan, nan, nan, nll_forget, nll_retain)

    def _row(self, step: int, outcome: Outcome, measured: bool) -> tuple[float, ...]:
        losses = outcome.loss, outcome.loss_forget, outcome.loss_retain
        if not measured:
            return (step, *losses, math.nan, math.nan, math.nan)
        return self._logged(
            step, *losses, self._nll(self.material.forget), self._nll(self.material.retain)
        )

    def _logged(self, step: int, *values: float) -> tuple[float, ...]:
        row = (step, *values, self._nll(self.material.held_out))
        log.info("after step %d: nll forget %.3f, retain %.3f, held out %.3f", step, *row[-3:])
        return row

    def _nll(self, texts: list[Tokens]) -> float:
        return mean_nll(measure(self.model, texts, self.pad), texts) if texts else math.nan

    def _refuse_non_finite(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise DissectError(
                f"unlearning: the loss is {loss} at step {step} of {self.recipe.steps}, "
                "nothing was saved; lower learning_rate or steps in the method's recipe"
            )


def rate(step: int, recipe: Recipe) -> float:
    """The share of the learning rate that the update after `step` updates uses (from 0).

    A linear warm-up, of which no step is lost to a rate of 0; then constant, or linear to 0.
    """
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    if recipe.schedule == "constant":
        return warm
    return min(warm, (recipe.steps - step) / max(1, recipe.steps - recipe.warmup_steps))


def _outcome(loss: Tensor, forget: Scores, retain: Scores) -> list[float]:
    rise = ((forget.original - forget.logprob) / forget.tokens).mean()
    return [float(x.detach()) for x in (loss, forget.nll.mean(), retain.nll.mean(), rise)]


def _parameter_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    # As transformers' Trainer does: biases and the norms' weights are not decayed.
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def torch_device(device: str) -> torch.device:
    """The device that config's `device` names; auto is the accelerator if there is one."""
    if device != "auto":
        return torch.device(device)
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def _accelerator(recipe: Recipe, device: str) -> Any:
    from accelerate import Accelerator

    # accelerate takes another device than the first only from its environment.
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(torch_device(device))
    return Accelerator(
        mixed_precision=recipe.precision, gradient_accumulation_steps=recipe.accumulation
    )


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Deterministic kernels where torch has them, and a seed; both undone at the end."""
    # cuBLAS reads this when it starts; without it some of its products differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was = torch.are_deterministic_algorithms_enabled()
    was_warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was, warn_only=was_warn_only)
