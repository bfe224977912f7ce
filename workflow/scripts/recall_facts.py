"""Ask one model for the facts of a concept, and once more after it has relearned half of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.answers.recall_settings import Relearning
from stillknows.files import read_json
from stillknows.job import run
from stillknows.models.manifest import read_manifest


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    retained: list[Path],
    prompt: str,
    settings: Mapping[str, Any],
    seed: int,
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write one row per stage, wording and question.

    Args:
        original, checkpoint: manifests; of the original, only the number format is used.
        retained: JSONs of concepts whose facts are to be retained; none if that is not known.
        settings: the config's recall.
    """
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.answers.recall import recall
    from stillknows.answers.recall_schema import RECALL_SCHEMA
    from stillknows.device import choose_device, choose_dtype
    from stillknows.models.provenance import Stopwatch, result_fields
    from stillknows.parquet_files import write_rows
    from stillknows.study.expected import settings_fields

    stopwatch = Stopwatch()
    start, model, data = read_manifest(original), read_manifest(checkpoint), read_json(concept_json)
    on, number_format = choose_device(device), choose_dtype(dtype, start.dtype)
    rows, training = recall(
        model.folder,
        data,
        settings["wordings"],
        prompt=prompt,
        new_tokens=settings["new_tokens"],
        relearning=Relearning(**settings["relearning"]) if settings["relearn"] else None,
        seed=seed,
        dtype=number_format,
        device=on,
        retained=[read_json(path) for path in retained],
    )
    rows = rows.assign(**model.columns(data))
    metadata = result_fields(concept_json, start, model, device=on, dtype=number_format)
    metadata |= settings_fields(prompt=prompt, dtype=dtype, seed=seed, recall=dict(settings))
    if training is not None:
        last = training.iloc[-1]
        metadata |= {"relearning_steps": f"{last['step']:g}"}
        metadata |= {"relearning_nll": f"{last['nll_retain']:.6g}"}
    write_rows(table, rows, metadata | stopwatch.fields(), RECALL_SCHEMA)


if __name__ == "__main__":
    run(main)
