"""The repository that most tests of this tier fetch."""

import json
import random
from pathlib import Path

REPO = "someone/sharded"
SHARD = "model-00001-of-00002.safetensors"
OTHER_SHARD = "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
SHARD_BYTES = 3_000_000
NEEDED = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    INDEX,
    SHARD,
    OTHER_SHARD,
}


def save_sharded(folder: Path) -> Path:
    """Two shards, what a checkpoint needs beside them, and what it does not."""
    random.seed(7)
    texts = {
        "config.json": json.dumps({"model_type": "llama", "num_hidden_layers": 2}),
        "generation_config.json": "{}",
        "tokenizer.json": json.dumps({"version": "1.0"}),
        "tokenizer_config.json": json.dumps({"model_max_length": 2048}),
        INDEX: json.dumps({"weight_map": {"a": SHARD, "b": OTHER_SHARD, "c": SHARD}}),
        "README.md": "A model.",
        "modeling.py": "raise SystemExit('remote code ran')",
        "original/model.safetensors": "another format",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name in (SHARD, OTHER_SHARD, "tokenizer.model", "pytorch_model.bin", "optimizer.pt"):
        size = SHARD_BYTES if name.endswith(".safetensors") else 1000
        (folder / name).write_bytes(random.randbytes(size))
    return folder
