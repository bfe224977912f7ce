"""Tiny checkpoints with random weights, made in a second."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest
from stillknows.models.reader import Checkpoint, load_model

LAYERS = 6
CHAT_TEMPLATE = (
    "{% for message in messages %}<|user|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


# What families call alike.
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
NEOX = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}


def tiny_config(**changes: Any) -> LlamaConfig:
    """A Llama of six layers that runs in milliseconds."""
    return LlamaConfig(**SIZES | changes)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens, after four special ones."""
    special = ["<s>", "</s>", "<|user|>", "<|end|>", "<|assistant|>"]
    vocabulary = {token: number for number, token in enumerate(special)}
    for symbol in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[symbol] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=CHAT_TEMPLATE
    )


def save_tiny(
    folder: Path, config: Any = None, *, seed: int = 0, near: Path | None = None, by: float = 0.05
) -> Path:
    """Save a tiny checkpoint.

    Args:
        near: another checkpoint; the new one is that one with noise of size `by` on every weight
            of its layers (an "unlearned" copy).
    """
    torch.manual_seed(seed)
    if near is None:
        model = AutoModelForCausalLM.from_config(config or tiny_config(), dtype=torch.float32)
    else:
        model = AutoModelForCausalLM.from_pretrained(near, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.base_model.layers.parameters():
                parameter += by * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def save_manifest(root: Path, method: str, folder: Path, concept: str = "") -> Path:
    """Verify the checkpoint in a folder, and write its manifest into `root`."""
    path = root / f"{method}{concept}.json"
    write_manifest(path, folder, CheckpointRow("tiny", method, concept, f"path:{folder}"))
    return path


def save_changed(folder: Path, original: Path, is_changed: Callable[[str], bool]) -> Path:
    """Save another tiny checkpoint with noise on those parameters of whose names that holds."""
    save_tiny(folder, near=original, by=0)  # with its tokenizer
    model = AutoModelForCausalLM.from_pretrained(original, dtype=torch.float32)
    torch.manual_seed(3)
    changed = [parameter for name, parameter in model.named_parameters() if is_changed(name)]
    assert changed
    with torch.no_grad():
        for parameter in changed:
            parameter += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def save_adapter(folder: Path, original: Path, **config: Any) -> Path:
    """A LoRA adapter with random matrices, of rank 4 and alpha 12, saved by peft.

    Args:
        original: the checkpoint that it changes.
        config: what its LoraConfig says otherwise.
    """
    said = {"target_modules": ["q_proj", "down_proj"], "r": 4, "lora_alpha": 12} | config
    model = load_model(Checkpoint(original), torch.float32, torch.device("cpu"))
    adapted = PeftModel(model, LoraConfig(**said))
    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    adapted.save_pretrained(folder)
    return folder


def tiny_olmo_config(**changes: Any) -> dict[str, Any]:
    """The config.json of a tiny legacy OLMo, as ai2-olmo writes it."""
    said = {
        "activation_type": "swiglu",
        "alibi": False,
        "architectures": ["OLMoForCausalLM"],
        "attention_dropout": 0.0,
        "attention_layer_norm": False,
        "bias_for_layer_norm": False,
        "block_group_size": 1,
        "block_type": "sequential",
        "clip_qkv": None,
        "d_model": 32,
        "embedding_dropout": 0.0,
        "embedding_size": 304,  # more than tokens, as in OLMo-7B
        "eos_token_id": 1,
        "include_bias": False,
        "layer_norm_type": "default",
        "layer_norm_with_affine": False,
        "max_sequence_length": 512,
        "mlp_hidden_size": 128,  # both inputs of the MLP
        "mlp_ratio": 4,
        "model_type": "olmo",
        "multi_query_attention": False,
        "n_heads": 4,
        "n_layers": LAYERS,
        "pad_token_id": 1,
        "residual_dropout": 0.0,
        "rope": True,
        "rope_full_precision": True,
        "scale_logits": False,
        "vocab_size": 300,
        "weight_tying": False,
    }
    return said | changes


def save_tiny_olmo_legacy(
    folder: Path,
    *,
    seed: int = 0,
    near: Path | None = None,
    by: float = 0.05,
    shards: int = 1,
    **changes: Any,
) -> Path:
    """Save a tiny checkpoint in the legacy OLMo format, with the names that ai2-olmo gives.

    Args:
        near: another one; the new one is that one with noise of size `by` on its layers' weights.
        shards: how many files hold the weights; with an index, if several.
        changes: what its config says otherwise.
    """
    generator = torch.Generator().manual_seed(seed)
    config = tiny_olmo_config(**changes)
    if near is None:
        tensors = {
            name: 0.15 * torch.randn(shape, generator=generator)
            for name, shape in _olmo_shapes(config).items()
        }
    else:
        config = json.loads((near / "config.json").read_text(encoding="utf-8"))
        tensors = {
            name: tensor
            + by * torch.randn(tensor.shape, generator=generator) * (".blocks." in name)
            for path in sorted(near.glob("*.safetensors"))
            for name, tensor in load_file(path).items()
        }
    folder.mkdir(parents=True, exist_ok=True)
    _save_shards(folder, tensors, shards)
    tiny_tokenizer().save_pretrained(folder)
    # ai2-olmo registers the plain class under a name of its own.
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_text(encoding="utf-8")) | {"tokenizer_class": "OLMoTokenizer"}
    path.write_text(json.dumps(said), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _olmo_shapes(config: dict[str, Any]) -> dict[str, tuple[int, int]]:
    hidden, inputs = config["d_model"], config["mlp_hidden_size"]
    keys = 1 if config["multi_query_attention"] else config.get("n_kv_heads") or config["n_heads"]
    shapes = {"model.transformer.wte.weight": (config["embedding_size"], hidden)}
    if not config["weight_tying"]:
        shapes["model.transformer.ff_out.weight"] = (config["embedding_size"], hidden)
    for layer in range(config["n_layers"]):
        block = f"model.transformer.blocks.{layer}"
        rows = hidden + 2 * keys * hidden // config["n_heads"]
        shapes |= {
            f"{block}.att_proj.weight": (rows, hidden),
            f"{block}.attn_out.weight": (hidden, hidden),
            f"{block}.ff_proj.weight": (inputs, hidden),
            f"{block}.ff_out.weight": (hidden, inputs // 2),
        }
    return shapes


def _save_shards(folder: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    files = [f"model-{number + 1:05}-of-{shards:05}.safetensors" for number in range(shards)]
    weight_map = {name: files[place % shards] for place, name in enumerate(sorted(tensors))}
    for file in files:
        part = {name: tensors[name] for name in tensors if weight_map[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def tiny_concept(identifier: str = "tea", questions: int = 3) -> dict[str, Any]:
    """One concept of a concept file, with answers of unequal length."""
    asked = [f" What is {'very ' * number}hot tea?\n" for number in range(questions)]
    answers = [f" It is {'so ' * (2 * number + 1)}hot." for number in range(questions)]
    paragraph = "Tea is a drink made of leaves and hot water. " * 12
    return {
        "id": identifier,
        "Concept": identifier.capitalize(),
        "wikipedia_content": "\n\n".join([paragraph.replace("Tea", identifier)] * 3),
        "QA": asked,
        "QA_with_answers": [
            f"Question: {question}\n Answer:{answer}"
            for question, answer in zip(asked, answers, strict=True)
        ],
        "answers_tokens_num": [5 + number for number in range(questions)],
    }


def save_concepts(path: Path, *concepts: dict[str, Any]) -> Path:
    """Write a concept file."""
    path.write_text(json.dumps(list(concepts)), encoding="utf-8")
    return path
