"""Fine-tuning on forget and retain texts, deterministic with its seed."""

import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stillknows.device import choose_device
from stillknows.errors import StudyError
from stillknows.models.families import family_of
from stillknows.training.log_probs import TextLogProbs
from stillknows.training.recipe import DOWN_PROJECTION, Optimisation
from stillknows.training.scoring import logprobs_and_states, mean_nll, measure, measure_with_states
from stillknows.training.texts import Material, TokenizedText, orders

log = logging.getLogger("stillknows")

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

    The frozen original of the losses is the model itself before its first update: where the recipe
    needs its log-probabilities and hidden states, they are computed once, so there is no second
    model.

    Args:
        model: a causal language model of transformers, in the dtype that its weights train in.
        material: forget texts may be none.
        steps: the most updates.
        pad: any token id, to fill up shorter texts.

    Returns:
        The training log, a row per step with COLUMNS.

    Raises:
        StudyError: if the loss is not finite, or the model lacks the recipe's modules or its layer.
    """
    with (
        _deterministic_accelerator(device, recipe, seed) as accelerator,
        closing(_Training(model, accelerator, material, recipe, steps, pad, seed)) as training,
    ):
        rows = training.run()
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"step": "int32"})


@contextmanager
def _deterministic_accelerator(device: str, recipe: Optimisation, seed: int) -> Iterator[Any]:
    """accelerate's Accelerator, with deterministic kernels where torch has them, and a seed.

    All three change the state of the process, which is reset at the end.
    """
    where = choose_device(device)
    if recipe.precision == "fp16" and where.type == "cpu":  # accelerate would train in float32
        raise StudyError("precision: fp16 needs a GPU; on a CPU, use bf16_mixed or no")
    # cuBLAS reads this when it starts; without it some of its products differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # accelerate takes another device than the first only from its environment.
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(where)
    memory: Any = torch.utils.deterministic
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False  # only for debugging, and slow
        accelerator = Accelerator(
            mixed_precision=recipe.precision.removesuffix("_mixed"),
            gradient_accumulation_steps=recipe.accumulation,
        )
        try:
            yield accelerator
        finally:
            accelerator.free_memory()
            accelerator.state._reset_state(reset_partial_state=True)
            del os.environ["ACCELERATE_TORCH_DEVICE"]
            torch.use_deterministic_algorithms(False)


def rate(step: int, steps: int, recipe: Optimisation) -> float:
    """The share of the learning rate that the update after `step` of `steps` updates uses.

    A linear warm-up, of which no step is lost to a rate of 0; then constant, or linear to 0.
    """
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    if recipe.schedule == "constant":
        return warm
    return min(warm, (steps - step) / max(1, steps - recipe.warmup_steps))


@dataclass
class _Training:
    """One training: the model on its device, its optimizer, the texts of both kinds."""

    plain: Any
    accelerator: Any
    material: Material
    recipe: Optimisation
    steps: int
    pad: int
    seed: int

    def __post_init__(self) -> None:
        model, accelerator, recipe = self.plain, self.accelerator, self.recipe
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
            optimizer, lambda step: rate(step, self.steps, recipe)
        )
        if accelerator.device.type != "cpu":
            # A 7B model and its optimizer nearly fill 80 GB: activations are computed twice.
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.model, self.optimizer, self.schedule = accelerator.prepare(model, optimizer, schedule)
        self.model.train()
        forget, retain = self.material.forget, self.material.retain
        count = self.steps * recipe.batch_size * recipe.accumulation
        first, second = orders(len(forget), len(retain), count, self.seed)
        # Of all texts, forget texts first: indices, (texts,) and a dict of (positions, hidden).
        self.texts = [*forget, *retain]
        self.order = first, [len(forget) + n for n in second]
        self.tokens = torch.tensor([float(text.counted) for text in self.texts])
        self.original = torch.full((len(self.texts),), math.nan)  # nats; NaN where not read
        self.original_states: dict[int, Tensor] = {}
        self.watched = []
        for indices in (sorted(set(side)) for side in self.order):
            used = [self.texts[n] for n in indices]
            self.watched.append(spread(used))
            if used and (recipe.reads_original or self.layer is not None):
                logprobs, states = measure_with_states(self.model, self.layer, used, self.pad)
                if recipe.reads_original:
                    self.original[indices] = logprobs
                self.original_states |= zip(indices, states, strict=False)
        self.watched.append(spread(self.material.held_out))

    def close(self) -> None:
        """Leave a plain model, without the wrapping of accelerate."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if self.accelerator.device.type != "cpu":
            self.plain.gradient_checkpointing_disable()
        self.plain.zero_grad(set_to_none=True)
        self.plain.requires_grad_(True)
        self.plain.eval()

    def run(self) -> list[tuple[float, ...]]:
        """All steps; returns the rows of the log."""
        recipe, steps = self.recipe, self.steps
        rows: list[tuple[float, ...]] = [(0, *[math.nan] * 3, *self._watched_nlls(0))]
        for step in range(1, steps + 1):
            loss, forget, retain, rise = self._step(step)
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
            nlls = self._watched_nlls(step) if is_measured else [math.nan] * 3
            rows.append((step, loss, forget, retain, *nlls))
            if stops:
                break
        return rows

    def _step(self, step: int) -> list[float]:
        """One update from pairs of texts, batch by batch.

        Returns:
            What the step saw before its update: the loss, the NLL of its forget and retain texts,
            and the rise of its forget texts above the original's NLL, in nats per token.
        """
        seen, size = [], self.recipe.batch_size
        pairs = size * self.recipe.accumulation
        first = (step - 1) * pairs
        counts = [self.tokens[side[first : first + pairs]].double() for side in self.order]
        means = [float(part.mean()) for part in counts]
        for start in range(first, first + pairs, size):
            to_forget, to_retain = (side[start : start + size] for side in self.order)
            texts = [self.texts[n] for n in to_forget + to_retain]
            with self.accelerator.accumulate(self.model):
                logprobs, states = logprobs_and_states(self.model, self.layer, texts, self.pad)
                count = len(to_forget)
                left, right = logprobs.split([count, len(to_retain)])
                forget = self._scores(to_forget, left, states[:count], means[0])
                retain = self._scores(to_retain, right, states[count:], means[1])
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

    def _scores(
        self, indices: list[int], logprobs: Tensor, states: list[Tensor], tokens_per_text: float
    ) -> TextLogProbs:
        """What a method is given of texts, from what the model in training makes of them."""
        device = logprobs.device
        original, tokens = (values[indices].to(device) for values in (self.original, self.tokens))
        frozen = [self.original_states[n].to(device) for n in indices] if states else []
        return TextLogProbs(logprobs, original, tokens, tokens_per_text, states, frozen, self.seed)

    def _watched_nlls(self, step: int) -> list[float]:
        """The NLL of the watched forget, retain and held-out texts, in nats per token."""
        nlls = [
            mean_nll(measure(self.model, texts, self.pad), texts) if texts else math.nan
            for texts in self.watched
        ]
        log.info("after step %d: nll forget %.3f, retain %.3f, held out %.3f", step, *nlls)
        return nlls


def layer_of(model: Any, number: int) -> nn.Module:
    """A decoder layer of a transformers model, counted from 0; a StudyError if there is none."""
    family = family_of(model.config.model_type)
    layers = model.get_submodule(f"{family.base}.{family.layers}")
    if number >= len(layers):
        raise StudyError(
            f"training: this model has no layer {number}; allowed are 0 to {len(layers) - 1}"
        )
    layer: nn.Module = layers[number]
    return layer


def freeze_all_but(model: Any, modules: Sequence[str]) -> None:
    """Let only the named modules' parameters be trained; without names, all that are not frozen.

    Args:
        modules: ends of their names, such as layers.27.mlp; DOWN_PROJECTION in a name stands for
            the down projection's name in the model's family.
    """
    if not modules:  # the weights beside an adapter stay frozen
        return
    parameters = dict(model.named_parameters())
    trained = {*parameters_of(modules, [*parameters], model.config.model_type)}
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trained)


def parameters_of(modules: Sequence[str], names: Sequence[str], model_type: str) -> list[str]:
    """The names of the parameters that belong to the modules; all, if there are no modules.

    Args:
        modules: as in `freeze_all_but`.
        names: of all parameters of a model of this type.

    Raises:
        StudyError: if a module has none of them.
    """
    if not modules:
        return [*names]
    down = family_of(model_type).down
    dotted = [f".{module.replace(DOWN_PROJECTION, down)}." for module in modules]
    for part in dotted:
        if not any(part in f".{name}" for name in names):
            raise StudyError(
                f"training: {part[1:-1]} is not a module of this model; its parameters have names "
                f"such as {names[len(names) // 2]}"
            )
    return [name for name in names if any(part in f".{name}" for part in dotted)]


def spread(texts: Sequence[TokenizedText]) -> list[TokenizedText]:
    """At most WATCHED of the texts, evenly spread over their order."""
    count = min(WATCHED, len(texts))
    return [texts[n * len(texts) // count] for n in range(count)]
