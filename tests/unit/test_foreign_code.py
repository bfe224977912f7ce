"""Code that a checkpoint brings is never run, whatever its files ask for, and nobody is asked."""

import ast
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPTNeoXConfig, OlmoConfig, Phi3Config, SmolLM3Config

from refusals import refused
from stillknows.models.adapter import merge_adapter
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import write_manifest
from stillknows.models.reader import Checkpoint, load_model
from tiny import NEOX, SIZES, save_adapter, save_tiny

WORKFLOW = Path(__file__).parents[2] / "workflow"
# What has no such argument, and reads numbers only.
NEEDS_NO_ARGUMENT = [("lib/stillknows/models/reader.py", "GenerationConfig.from_pretrained")]
CODE = """
import pathlib
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
pathlib.Path({marker!r}).write_text("ran")
class Config(LlamaConfig): pass
class Model(LlamaForCausalLM): pass
class Tokens(PreTrainedTokenizerFast): pass
def generate(*_, **__): pass
"""
CONFIG = {"AutoConfig": "foreign.Config", "AutoModelForCausalLM": "foreign.Model"}
TOKENIZER = {"AutoTokenizer": ["foreign.Tokens", "foreign.Tokens"]}
FAMILIES = {
    "llama": None,
    "phi3": Phi3Config(**SIZES | {"pad_token_id": 0}),
    "gpt_neox": GPTNeoXConfig(**NEOX),
    "olmo": OlmoConfig(**SIZES),
    "smollm3": SmolLM3Config(**SIZES),  # transformers has no tokenizer of its own for it
}


class Bomb:
    """What torch.load would run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that planted code writes; whoever is asked whether to run it says yes."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    return tmp_path / "marker"


def plant(folder: Path, marker: Path) -> None:
    text = CODE.format(marker=str(marker))
    (folder / "foreign.py").write_text(text, encoding="utf-8")
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(text, encoding="utf-8")
    for name in ("pytorch_model.bin", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Bomb(marker)))


def change(path: Path, **values: Any) -> None:
    said = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(said), encoding="utf-8")


def use(folder: Path) -> Any:
    """The whole model, after everything that a job does with a checkpoint before."""
    row = CheckpointRow("tiny", "original", "", f"path:{folder}")
    write_manifest(folder.parent / "manifest.json", folder, row)
    return load_model(Checkpoint(folder), torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_with_code_is_read_with_the_class_of_transformers(
    tmp_path: Path, marker: Path, family: str
) -> None:
    folder = save_tiny(tmp_path / "model", FAMILIES[family])
    plant(folder, marker)
    change(folder / "config.json", auto_map=CONFIG | TOKENIZER, custom_generate="foreign")
    model = use(folder)
    model.generate(torch.tensor([[5, 9]]), max_new_tokens=2)
    load_tokenizer(folder)
    assert type(model).__module__.startswith("transformers.")
    assert not marker.exists()


@pytest.mark.parametrize("tokenizer_class", ["Tokens", "PreTrainedTokenizerFast", None])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_with_code_is_refused(
    tmp_path: Path, marker: Path, family: str, tokenizer_class: str | None
) -> None:
    folder = save_tiny(tmp_path / "model", FAMILIES[family])
    plant(folder, marker)
    path = folder / "tokenizer_config.json"
    change(path, auto_map=TOKENIZER, tokenizer_class=tokenizer_class)
    refused(lambda: load_tokenizer(folder), str(path), "auto_map", "never run")
    assert not marker.exists()


def test_an_adapter_names_no_module_to_import(
    tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, adapter = save_tiny(tmp_path / "original"), tmp_path / "adapter"
    save_adapter(adapter, original)
    plant(adapter, marker)
    monkeypatch.syspath_prepend(str(adapter))
    row = CheckpointRow("tiny", "original", "", f"path:{original}")
    manifest = write_manifest(tmp_path / "manifest.json", original, row)
    path = adapter / "adapter_config.json"
    mapping = {"base_model_class": "Model", "parent_library": "foreign"}
    change(path, auto_mapping=mapping)
    merge_adapter(adapter, manifest, tmp_path / "merged")
    change(path, megatron_config={"a": 1}, megatron_core="foreign")
    refused(lambda: merge_adapter(adapter, manifest, tmp_path / "merged"), "megatron_config")
    assert not marker.exists()


def calls(tree: ast.AST) -> list[ast.Call]:
    """Calls by a name that may lead to code of a checkpoint."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("from_pretrained", "from_config")
    ]


def test_every_call_says_that_no_code_is_trusted() -> None:
    seen = []
    for path in sorted(WORKFLOW.rglob("*.py")):
        for call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(call.func)
            where = (str(path.relative_to(WORKFLOW)), name)
            seen.append(where)
            said = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert where in NEEDS_NO_ARGUMENT or said.get("trust_remote_code") == "False", where
    assert len(seen) > len(NEEDS_NO_ARGUMENT)
    assert set(NEEDS_NO_ARGUMENT) <= set(seen)
