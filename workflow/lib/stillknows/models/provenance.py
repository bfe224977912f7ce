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


class Stopwatch:
    """Wall time of a job, from its making to `fields`, and the memory of its process."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def fields(self) -> dict[str, str]:
        """Wall seconds since the start, and the process's peak memory in MiB, resident and on GPUs.

        On a GPU, it is what torch has reserved; the driver takes some hundred MiB more.
        """
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "wall_seconds": f"{time.monotonic() - self._started:.2f}",
            "peak_memory_mib": f"{peak / (1 << 20 if sys.platform == 'darwin' else 1 << 10):.0f}",
            **_gpu_fields(),
        }


def _gpu_fields() -> dict[str, str]:
    """The peak memory of the GPU that the process has used, if it has used one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    devices = range(torch.cuda.device_count())
    peak = max(torch.cuda.max_memory_reserved(device) for device in devices)
    return {"peak_gpu_memory_mib": f"{peak / (1 << 20):.0f}"}


def _checkpoint_fields(prefix: str, manifest: Manifest) -> dict[str, str]:
    """Source, revision and weights' sha256 of a checkpoint, from its manifest."""
    return {
        f"{prefix}_source": manifest.source,
        f"{prefix}_revision": manifest.revision,
        f"{prefix}_weights_sha256": manifest.weights_sha256,
    }


def recording_fields(original: Manifest, concept_json: Path, dtype: object) -> dict[str, str]:
    """What a recording is made from: the original, the concept's JSON, the number format.

    Args:
        dtype: a torch dtype.
    """
    return {
        **_checkpoint_fields("original", original),
        "data_sha256": sha256_of(concept_json),
        "dtype": str(dtype),
    }


def result_fields(
    concept_json: Path,
    original: Manifest,
    unlearned: Manifest | None = None,
    reference: Manifest | None = None,
    *,
    device: object,
    dtype: object,
) -> dict[str, str]:
    """The metadata of a result beside its settings: its inputs, the device, the versions.

    Args:
        reference: the reference model, if it was a donor.
        device, dtype: torch's, or their names.
    """
    of_unlearned = _checkpoint_fields("unlearned", unlearned) if unlearned else {}
    of_reference = _checkpoint_fields("reference", reference) if reference else {}
    return {
        **recording_fields(original, concept_json, dtype),
        **of_unlearned,
        **of_reference,
        "device": str(device),
        "python": platform.python_version(),
        "packages": json.dumps(versions()),
    }


def versions(*more: str) -> dict[str, str]:
    """The versions of the packages that results depend on, and of more."""
    return {name: version(name) for name in (*_PACKAGES, *more)}


def hash_of(settings: Mapping[str, Any]) -> str:
    """A short hash of the settings that a result depends on."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
