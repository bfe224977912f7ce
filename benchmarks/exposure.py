"""How much faster is exposure in token trees than with whole forwards? Prints seconds and ratios.

    .venv/bin/python benchmarks/exposure.py               the demo's size, 4 questions, 99 decoys
    .venv/bin/python benchmarks/exposure.py --bfloat16

Each question has one fact and 99 decoys after the same beginning (the question, and the answer
before the fact). "tree": `stillknows.engine.exposure`, with all weights read from disk. "one by
one": a whole forward per candidate, by transformers. "batch": one forward for all candidates of a
question. The model of the last two is in memory beforehand. Run it alone on the machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from sweep import SIZES, count_operations
from transformers import AutoModelForCausalLM, LlamaConfig

from stillknows.engine.exposure import fact_logprobs
from stillknows.engine.streamed_model import StreamedModel
from stillknows.job import keep_freed_memory
from stillknows.models.reader import Checkpoint
from stillknows.texts.spans import FactText

TREE, SINGLE, BATCH = "tree", "one by one", "batch"
DECOYS = 99
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.2}  # nats per token


def make_texts(
    questions: int, beginning: int, fact_tokens: int, vocabulary: int = SIZES["135m"]["vocab_size"]
) -> list[FactText]:
    """Random ids: per question one beginning, and DECOYS + 1 endings."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Any:
        return torch.randint(0, vocabulary, shape, generator=generator).tolist()

    fact = range(beginning - 1, beginning + fact_tokens - 1)
    return [
        FactText((*start, *candidate), fact)
        for start in draw(questions, beginning)
        for candidate in draw(DECOYS + 1, fact_tokens)
    ]


def by_whole_forwards(model: Any, texts: Sequence[FactText], rows: int) -> list[float]:
    """The means of `fact_logprobs`; so many rows in a forward."""
    means: list[float] = []
    fact = list(texts[0].fact)
    for start in range(0, len(texts), rows):
        ids = torch.tensor([text.ids for text in texts[start : start + rows]])
        logprobs = model(ids).logits[:, fact].float().log_softmax(-1)
        means += logprobs.gather(-1, ids[:, fact[0] + 1 :, None]).mean((1, 2)).tolist()
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--beginnings", type=int, nargs="+", default=[20, 60], help="in tokens")
    parser.add_argument("--facts", type=int, nargs="+", default=[3, 6], help="tokens per fact")
    parser.add_argument("--repeats", type=int, default=2, help="of each way; the best counts")
    arguments = parser.parse_args()
    dtype = torch.bfloat16 if arguments.bfloat16 else torch.float32
    keep_freed_memory()
    heads = ("tree s", "way s", "ratio", "in FLOPs", "differ by")
    print(f"{'beginning':>9}{'fact':>5}{'way':>11}" + "".join(f"{head:>10}" for head in heads))
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES["135m"]), dtype=dtype)
        model.eval().save_pretrained(name)
        for beginning in arguments.beginnings:
            for fact_tokens in arguments.facts:
                texts = make_texts(arguments.questions, beginning, fact_tokens)
                host = StreamedModel(Checkpoint(Path(name)), dtype, torch.device("cpu"))
                ways: dict[str, Callable[[], list[float]]] = {
                    TREE: lambda host=host, texts=texts: [
                        float(tokens.mean()) for tokens in fact_logprobs(host, texts)
                    ],
                    SINGLE: lambda texts=texts: by_whole_forwards(model, texts, 1),
                    BATCH: lambda texts=texts: by_whole_forwards(model, texts, DECOYS + 1),
                }
                compare(ways, arguments.repeats, f"{beginning:>9}{fact_tokens:>5}", dtype)


def compare(
    ways: dict[str, Callable[[], list[float]]], repeats: int, label: str, dtype: torch.dtype
) -> None:
    """Print one line for each way beside the token tree."""
    seconds, results = dict.fromkeys(ways, float("inf")), {}
    for _ in range(repeats):
        for way, run in ways.items():
            started = time.perf_counter()
            results[way] = run()
            seconds[way] = min(seconds[way], time.perf_counter() - started)
    flops = {way: count_operations(run) for way, run in ways.items()}
    for way in (SINGLE, BATCH):
        ratios = (values[way] / values[TREE] for values in (seconds, flops))
        pairs = zip(results[way], results[TREE], strict=True)
        difference = max(abs(plain - tree) for plain, tree in pairs)
        if not difference <= TOLERANCE[dtype]:
            raise SystemExit(f"{way}: log-probabilities differ by {difference:.1g} nats")
        print(
            f"{label}{way:>11}{seconds[TREE]:>10.2f}{seconds[way]:>10.2f}"
            + "".join(f"{ratio:>10.1f}" for ratio in ratios)
            + f"{difference:>10.1g}",
            flush=True,
        )


if __name__ == "__main__":
    main()
