"""The audit at LLaMA2-7B's exact shape: exposure of 30 facts, and steps of one relearning.

    .venv/bin/python benchmarks/audit_seven_billion.py              14 GB of disk; run it alone
    .venv/bin/python benchmarks/audit_seven_billion.py --layers 2   a minute, to see that it works

Makes a checkpoint with random bfloat16 weights, prints the time and the memory of both, and removes
it. `memory` is what no file backs, `resident` all that is in memory, mapped weights included.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from exposure import DECOYS, make_texts
from seven_billion import DTYPE, GIB, SIZES, Memory, save_random
from transformers import LlamaConfig

from stillknows.answers.generate import load_model
from stillknows.engine.exposure import fact_logprobs
from stillknows.engine.streamed_model import StreamedModel
from stillknows.job import keep_freed_memory
from stillknows.models.reader import Checkpoint
from stillknows.training.lora import planned_bytes, taught
from stillknows.training.teaching import LoraRelearning
from stillknows.training.texts import TokenizedText

FACTS, BEGINNING, FACT_TOKENS = 30, 20, 4
TEXTS, TEXT_TOKENS, STEPS = 8, 30, 2


def timed(name: str, step: Callable[[], None]) -> None:
    """Run one part, and print what it took."""
    memory, started = Memory(), time.perf_counter()
    with memory.watched():
        step()
    resident = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{name}: {time.perf_counter() - started:.0f} s, memory {memory.peak / GIB:.2f} GiB, "
        f"resident at most {resident / GIB:.2f} GiB so far",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=SIZES["num_hidden_layers"])
    parser.add_argument("--facts", type=int, default=FACTS)
    arguments = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        config = LlamaConfig(**SIZES | {"num_hidden_layers": arguments.layers}, dtype="bfloat16")
        checkpoint = Checkpoint(save_random(Path(name, "model"), config, 0))
        device = torch.device("cpu")
        facts = make_texts(arguments.facts, BEGINNING, FACT_TOKENS, config.vocab_size)

        def expose() -> None:
            fact_logprobs(StreamedModel(checkpoint, DTYPE, device), facts)

        timed(f"exposure of {arguments.facts} facts among {DECOYS} decoys", expose)
        lessons = LoraRelearning(minimum_steps=STEPS, passes=1, batch_size=TEXTS)
        texts = [TokenizedText(tuple(range(10, 10 + TEXT_TOKENS)), TEXT_TOKENS // 2)] * TEXTS
        print(f"relearning: {planned_bytes(checkpoint, lessons, texts) / GIB:.2f} GiB are planned")

        def relearn() -> None:
            model = load_model(checkpoint.folder, DTYPE, device)
            with taught(model, texts, lessons, pad=0, seed=0, device="cpu"):
                pass

        timed(f"{STEPS} steps of {TEXTS} texts of {TEXT_TOKENS} tokens", relearn)


if __name__ == "__main__":
    main()
