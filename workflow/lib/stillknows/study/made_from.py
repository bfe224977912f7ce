"""What the files that a study collects must say that they were made from.

Snakemake knows this of what it has made itself, but not of a results folder that was copied or that
another config has written. The records are parameters of the rules that collect results. Where
a file says a hash, its record names the file that is hashed (study.expected.check_results).
"""

from typing import Any

from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.datasets import DATASETS, Dataset
from stillknows.study.products import Products
from stillknows.study.study import Study
from stillknows.terms import ORIGINAL
from stillknows.texts.concepts import identity
from stillknows.training.teaching import seed_of

Record = dict[str, Any]


def records(study: Study, *datasets: str) -> dict[str, dict[str, Record]]:
    """The records of all files of some DATASETS, and of the manifests and texts behind them.

    They say nothing of where a user's folder or concept file is: these may be moved.
    """
    products = Products(study)
    results: dict[str, Record] = {}
    texts: dict[str, str] = {}
    for name in datasets:
        dataset = DATASETS[name]
        originals = products.originals() if dataset.is_of_originals else []
        for row in (*originals, *study.unlearned):
            record = _result(study, dataset, row)
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
        return {"source": row.source} if row.kind in ("hub", "wheel") else {}
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
