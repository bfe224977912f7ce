"""Tiny checkpoints with random weights, made in a second."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

LAYERS = 6
CHAT_TEMPLATE = (
    "{% for message in messages %}<|user|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_config(**changes: Any) -> LlamaConfig:
    """A Llama of six layers that runs in milliseconds."""
    sizes = {
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
    }
    return LlamaConfig(**sizes | changes)


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
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        chat_template=CHAT_TEMPLATE,
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
