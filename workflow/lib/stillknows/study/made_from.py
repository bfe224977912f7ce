"""What the files that a study collects must say that they were made from.

Snakemake knows this of what it has made itself, but not of a results folder that was copied or that
another config has written. The records are parameters of the rules that collect results. Where a
file says a hash, its record names the file that is hashed (study.expected.check_results).
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import (
    File,
    Manifest,
    files_of,
    hash_files,
    is_known,
    manifest_if_present,
    read_hashes,
    write_hashes,
    write_new_source,
)
from stillknows.study.datasets import DATASETS, Dataset
from stillknows.study.products import Products
from stillknows.study.study import Study
from stillknows.terms import ORIGINAL
from stillknows.texts.concepts import identity
from stillknows.training.teaching import seed_of

Record = dict[str, Any]


def records(study: Study, *datasets: str) -> dict[str, dict[str, Record]]:
    """The records of all files of DATASETS, and of manifests and texts, wherever these may be."""
    products = Products(study)
    results: dict[str, Record] = {}
    texts: dict[str, str] = {}
    for name in datasets:
        for row in (*products.originals(), *study.unlearned):
            record = _result(study, DATASETS[name], row)
            results |= dict.fromkeys(products.files(name, row), record)
            texts[record["data_sha256"]] = row.model
    manifests = {study.manifest_path(*row.key): _checkpoint(study, row) for row in study.rows}
    # What trainings have read may be gone since.
    read = {path: row.model for row in study.rows for path in _trained_on(study, row)}
    return {
        "results": results,
        "manifests": manifests,
        "texts": {path: _text(study, model, path) for path, model in (texts | read).items()},
    }


def _result(study: Study, dataset: Dataset, row: CheckpointRow) -> Record:
    config, donor = study.config, study.config.reference_donor
    record: Record = {
        "original_weights_sha256": study.manifest_path(row.model, ORIGINAL),
        "data_sha256": dataset.texts(study, row),
    }
    if row.method != ORIGINAL:
        record["unlearned_weights_sha256"] = study.manifest_path(*row.key)
    if dataset is DATASETS["krs"] and donor not in (None, row.method):
        record["reference_weights_sha256"] = study.manifest_path(row.model, donor, row.concept)
    if dataset.settings is None:
        return record
    shared = {"prompt": config.models[row.model].prompt, "dtype": config.dtype}
    return record | {"dtype": config.dtype, "settings": shared | dataset.settings(config)}


def _checkpoint(study: Study, row: CheckpointRow) -> Record:
    """What a manifest says of where the checkpoint comes from, or of how it was trained."""
    config = study.config
    if not row.start:
        is_users = row.kind in ("path", "adapter")
        tokenizer = {"tokenizer": row.tokenizer} if row.tokenizer else {}
        return tokenizer if is_users else {"source": row.source, **tokenizer}
    training: Record = {
        "method": row.method,
        "prompt": config.models[row.model].prompt,
        f"{row.start}_weights_sha256": study.manifest_path(*study.start(row).key),
    }
    if row.kind == "teach":
        training |= {
            "recipe": config.teaching.of(row.method).model_dump(),
            "seed": seed_of(config.seed, row.name),
            "learned": study.learned_concepts(row),
        }
    else:
        training |= {
            "recipe": config.recipe(row.recipe).model_dump(),
            "seed": config.seed,
            "retain": study.training_concepts(*row.key)["retain"],
        }
    return {"training": training}


def _trained_on(study: Study, row: CheckpointRow) -> list[str]:
    """The concepts that a training has read beside the one of its row."""
    if row.kind == "unlearn":
        return study.auxiliary_paths(*row.key)["retain"]
    return [study.concept_path(row.model, concept) for concept in study.learned_concepts(row)]


def _text(study: Study, model: str, path: str) -> Record:
    """What a concept's JSON is: an entry of the concept file, which the original may answer."""
    config, concept = study.config, path.rpartition("/")[2].removesuffix(".json")
    is_answered = path == study.concept_path(model, concept)
    source = config.models[model].concepts
    if source.url:
        file = {"path": config.concept_file(model), "sha256": source.sha256}
        record: Record = {"fetched": file, "is_answered": is_answered}
    else:
        record = identity(study.entry(model, concept), is_answered=is_answered)
    if not is_answered:
        record["answered_by"] = {
            "new_tokens": config.answer_tokens,
            "prompt": config.models[model].prompt,
            "dtype": config.dtype,
            "weights_sha256": study.manifest_path(model, ORIGINAL),
        }
    return record


log = logging.getLogger("stillknows")


def changed_manifests(study: Study) -> list[str]:
    """The manifests of users' folders that are missing, or whose files are not what they were.

    Only a file that os.stat calls another one than before is hashed. Missing weights of other
    checkpoints are no change: they may have been removed after the last job that needed them.

    Raises:
        StudyError: for a damaged manifest, or a file of other content that this workflow made.
    """
    changed = []
    for row in study.rows:
        path, is_users = Path(study.manifest_path(*row.key)), row.kind in ("path", "adapter")
        manifest = manifest_if_present(str(path))
        if manifest is None:
            changed += [str(path)] if is_users else []
            continue
        if row.kind != "path" and manifest.source == row.source:
            _refuse_changed(row, path, manifest)
        if is_users and (reason := _change(row, path, manifest)):
            log.info("%s: %s; it and all results from it are made again", row.name, reason)
            changed.append(str(path))
    return changed


def _change(row: CheckpointRow, path: Path, manifest: Manifest) -> str:
    """How a user's folder differs from what its manifest says; "" if it does not, or only moved."""
    folder = Path(row.location)
    files = manifest.adapter if row.kind == "adapter" else manifest.files
    listed, present = {file.name for file in files}, {file.name for file in files_of(folder, path)}
    for name in sorted(listed ^ present):
        return f"{folder / name} was {'removed' if name in listed else 'added'}"
    if changed := _changed_file(row, path, folder, files):
        return f"{changed} has changed"
    if manifest.source != row.source:
        log.info("%s: %s holds the same files as %s", row.name, row.source, manifest.source)
        with suppress(OSError):  # a read-only results folder, where no job can run either
            write_new_source(path, manifest, row)
    return ""


def _refuse_changed(row: CheckpointRow, path: Path, manifest: Manifest) -> None:
    present = [file for file in manifest.files if (manifest.folder / file.name).is_file()]
    if row.kind == "hub":
        # A file that was cut short is downloaded again when something needs it.
        present = [f for f in present if (manifest.folder / f.name).stat().st_size == f.size]
    if changed := _changed_file(row, path, manifest.folder, present):
        raise StudyError(
            f"{row.name}: {changed} is not as {path} says; restore it, or delete "
            "that manifest and run again"
        )


def _changed_file(
    row: CheckpointRow, path: Path, folder: Path, files: Sequence[File]
) -> Path | None:
    """The first of a manifest's files with another content now; new hashes are remembered."""
    paths, hashes = {folder / file.name: file for file in files}, read_hashes(path)
    if unknown := [file for file in paths if not is_known(file, hashes)]:
        log.info(
            f"{row.name}: hashing {len(unknown)} files: {unknown[0]} has no recorded hash, or its "
            "size or time has changed"
        )
        hashes |= hash_files(unknown, {})
        write_hashes(path, hashes)
    changed = (name for name, file in paths.items() if hashes[str(name)].sha256 != file.sha256)
    return next(changed, None)
