"""Let the original read one concept's texts, and keep what it did at every layer."""

from pathlib import Path

from dissect.checkpoints.manifest import read_manifest
from dissect.checkpoints.reader import Checkpoint
from dissect.device import choose_device, choose_dtype
from dissect.engine.plan import budget_of
from dissect.engine.record import record
from dissect.engine.recording import write_recording
from dissect.engine.skeleton import Skeleton
from dissect.files import read_json, sha256_of
from dissect.job import job
from dissect.provenance import checkpoint_fields
from dissect.texts.prompts import load_tokenizer
from dissect.texts.spans import read_texts


def main(
    *,
    original: Path,
    concept: Path,
    prompt: str,
    dtype: str,
    device: str,
    recording: Path,
    memory_gib: float | None = None,
) -> None:
    manifest = read_manifest(original)
    texts = read_texts(read_json(concept), prompt, load_tokenizer(manifest.folder))
    number_format = choose_dtype(dtype, manifest.dtype)
    skeleton = Skeleton(Checkpoint(manifest.folder), number_format, choose_device(device))
    metadata = {
        **checkpoint_fields("original", manifest),
        "data_sha256": sha256_of(concept),
        "dtype": str(number_format),
    }
    tensors = record(skeleton, texts, budget_of(memory_gib, skeleton.device))
    write_recording(recording, tensors, texts, metadata)


if __name__ == "__main__":
    with job() as snakemake:
        main(
            original=Path(snakemake.input.original),
            concept=Path(snakemake.input.texts),
            prompt=snakemake.params.prompt,
            dtype=snakemake.params.dtype,
            device=snakemake.config["device"],
            recording=Path(snakemake.output.recording),
            memory_gib=snakemake.config["memory_gib"],
        )
