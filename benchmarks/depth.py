"""How much faster is depth than one whole forward per layer? Prints seconds and ratios.

    .venv/bin/python benchmarks/depth.py               the demo's size, 24 questions of 40 tokens
    .venv/bin/python benchmarks/depth.py --bfloat16

Both stages of UDS, as the published script has them: the residual streams of two models, recorded
once and patched into a third one after each layer, at the positions of a fact. Plain hooks send all
questions, whole, through the model for each layer. "engine": both stages in one call of this
project's engine; "jobs": one call per stage, as in the workflow. Run it alone on the machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from sweep import SIZES, count_operations
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig

from stillknows.engine.depth import patch_facts, record_facts
from stillknows.engine.streamed_model import StreamedModel
from stillknows.job import keep_freed_memory
from stillknows.models.reader import Checkpoint
from stillknows.texts.spans import FactText

CPU = torch.device("cpu")
QUESTIONS, TOKENS = 24, 40
NAMES = ("original", "reference", "copy")
ENGINE, JOBS, PLAIN = "engine", "jobs", "plain"
Scores = list[list[Tensor]]  # per stage and question: log-probabilities (layers, fact tokens)


def make_models(folder: Path, dtype: torch.dtype) -> None:
    """An original with random weights, and two others with noise on its layers."""
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES["135m"])
    model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)
    for name in NAMES:
        model.save_pretrained(folder / name)
        with torch.no_grad():
            for parameter in model.model.layers.parameters():
                parameter += 0.005 * torch.randn_like(parameter)


def make_texts(fact_tokens: int) -> list[FactText]:
    """Random ids that begin unlike, each with its fact at the end."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, SIZES["135m"]["vocab_size"], (QUESTIONS, TOKENS), generator=generator)
    fact = range(TOKENS - 1 - fact_tokens, TOKENS - 1)
    return [FactText(tuple(row), fact) for row in ids.tolist()]


def by_plain_hooks(models: Sequence[Any], texts: Sequence[FactText]) -> Scores:
    """Whole models in memory; one forward of all questions per stage and layer."""
    original, *donors = models
    ids, fact = torch.tensor([text.ids for text in texts]), list(texts[0].fact)
    targets = ids[:, [position + 1 for position in fact]][..., None]
    stages = []
    for donor in donors:
        states: list[Tensor] = []
        hooks = [
            layer.register_forward_hook(lambda _m, _i, output, to=states: to.append(output))
            for layer in donor.model.layers
        ]
        donor(ids)
        for hook in hooks:
            hook.remove()
        layers = []
        for layer, state in zip(original.model.layers, states, strict=True):

            def patch(_module: Any, _inputs: Any, output: Tensor, state: Tensor = state) -> Tensor:
                output[:, fact] = state[:, fact]
                return output

            hook = layer.register_forward_hook(patch)
            logprobs = original(ids).logits[:, fact].float().log_softmax(-1)
            hook.remove()
            layers.append(logprobs.gather(-1, targets)[..., 0])
        stages.append(list(torch.stack(layers, dim=1)))
    return stages


def by_engine(
    folder: Path, texts: Sequence[FactText], dtype: torch.dtype, donors: Sequence[str] = NAMES[1:]
) -> Scores:
    """All weights read from disk; the original's unpatched run serves all donors."""
    original, *models = (
        StreamedModel(Checkpoint(folder / name), dtype, CPU) for name in (NAMES[0], *donors)
    )
    states = [record_facts(donor, texts)[0] for donor in models]
    return patch_facts(original, texts, states).patched


def by_jobs(folder: Path, texts: Sequence[FactText], dtype: torch.dtype) -> Scores:
    """As the workflow's jobs do it, each of which has one donor."""
    return [stage for name in NAMES[1:] for stage in by_engine(folder, texts, dtype, [name])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--facts", type=int, nargs="+", default=[3, 6, 10], help="tokens per fact")
    parser.add_argument("--repeats", type=int, default=3, help="of each way; the best counts")
    arguments = parser.parse_args()
    dtype = torch.bfloat16 if arguments.bfloat16 else torch.float32
    keep_freed_memory()
    heads = ("seconds", "plain s", "ratio", "in FLOPs", "differ by")
    print(f"{'fact tokens':>11}{'':>8}" + "".join(f"{head:>10}" for head in heads))
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        make_models(folder, dtype)
        models = [
            AutoModelForCausalLM.from_pretrained(folder / one, dtype=dtype).eval() for one in NAMES
        ]
        for fact_tokens in arguments.facts:
            texts = make_texts(fact_tokens)
            ways: dict[str, Callable[[], Scores]] = {
                ENGINE: lambda texts=texts: by_engine(folder, texts, dtype),
                JOBS: lambda texts=texts: by_jobs(folder, texts, dtype),
                PLAIN: lambda texts=texts: by_plain_hooks(models, texts),
            }
            seconds, results = dict.fromkeys(ways, float("inf")), {}
            for _ in range(arguments.repeats):
                for way, run in ways.items():
                    started = time.perf_counter()
                    results[way] = run()
                    seconds[way] = min(seconds[way], time.perf_counter() - started)
            flops = {way: count_operations(run) for way, run in ways.items()}
            for way in (ENGINE, JOBS):
                ratios = (values[PLAIN] / values[way] for values in (seconds, flops))
                print(
                    f"{fact_tokens:>11}{way:>8}{seconds[way]:>10.2f}{seconds[PLAIN]:>10.2f}"
                    + "".join(f"{ratio:>10.1f}" for ratio in ratios)
                    + f"{difference(results[way], results[PLAIN]):>10.1g}",
                    flush=True,
                )


def difference(some: Scores, others: Scores) -> float:
    """The largest one, in nats."""
    stages = zip(some, others, strict=True)
    return max(
        float((one - other).abs().max())
        for pair in stages
        for one, other in zip(*pair, strict=True)
    )


if __name__ == "__main__":
    main()
