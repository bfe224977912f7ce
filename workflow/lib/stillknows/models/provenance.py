"""Where a number comes from: what every parquet says of itself in its metadata."""

import hashlib
import json
import platform
import resource
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stillknows.files import sha256_of
from stillknows.models.manifest import Manifest

_PACKAGES = ("stillknows", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow")


def input_fields(concept_json: Path, dtype: object, **models: Manifest | None) -> dict[str, str]:
    """What a result is made from: the concept's JSON, torch's dtype, the models by their role."""
    fields = {"data_sha256": sha256_of(concept_json), "dtype": str(dtype)}
    for role, manifest in models.items():
        if manifest is not None:
            fields[f"{role}_source"] = manifest.source
            fields[f"{role}_revision"] = manifest.revision
            fields[f"{role}_weights_sha256"] = manifest.weights_sha256
    return fields


def run_fields(device: object, started: float) -> dict[str, str]:
    """Device, versions, wall seconds since `started`, peak memory in MiB (of GPUs, what is
    reserved).
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fields = {
        "device": str(device),
        "python": platform.python_version(),
        "packages": json.dumps(versions()),
        "wall_seconds": f"{time.monotonic() - started:.2f}",
        "peak_memory_mib": f"{peak / (1 << 20 if sys.platform == 'darwin' else 1 << 10):.0f}",
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gpus = range(torch.cuda.device_count())
        reserved = max(torch.cuda.max_memory_reserved(gpu) for gpu in gpus)
        fields["peak_gpu_memory_mib"] = f"{reserved / (1 << 20):.0f}"
    return fields


def versions(*more: str) -> dict[str, str]:
    """The versions of the packages that results depend on, and of more."""
    return {name: version(name) for name in (*_PACKAGES, *more)}


def hash_of(settings: Mapping[str, Any]) -> str:
    """A short hash of the settings that a result depends on."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
