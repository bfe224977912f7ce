"""Whether the files of a results folder belong to the study that collects them.

Snakemake knows this of what it has made itself, but not of a results folder that was copied or that
another config has written.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stillknows.files import read_json, sha256_of
from stillknows.models.checkpoint_row import CheckpointRow, Key, serving
from stillknows.models.manifest import manifest_if_present
from stillknows.models.provenance import versions
from stillknows.parquet_files import read_metadata
from stillknows.study.expected import expected, refuse_foreign
from stillknows.terms import ORIGINAL
from stillknows.texts.concepts import (
    Entry,
    fact_if_said,
    identity,
    read_concept_file,
    unrelated_id,
    with_unrelated,
)

log = logging.getLogger("stillknows")

_PATCHED = ".patched"


def sweep_key(path: Path) -> Key:
    """Of .../{model}/{method}/{concept}/{experiment}.parquet."""
    model, method, concept = path.parts[-4:-1]
    return model, method, concept


def checkpoint_key(path: Path) -> Key:
    """Of .../{model}/{method}/{concept}.parquet, or {concept}.patched.parquet."""
    model, method = path.parts[-3:-1]
    return model, method, path.stem.removesuffix(_PATCHED)


def check_results(
    files: Sequence[Path],
    key_of: Callable[[Path], Key],
    *,
    manifests: Iterable[str | Path],
    texts: Iterable[str | Path],
    study: Mapping[str, Any],
) -> None:
    """Refuse results of another study; warn of other package versions and of several devices.

    Args:
        key_of: the checkpoint that a result is about, by the result's path.
        manifests: of the study's checkpoints.
        texts: the files {model}/{concept}.json that the jobs of these results read.
        study: what one of `study.expectations` returns. Results do not depend on what it lacks.

    Raises:
        StudyError: as `expected.refuse_foreign`, or for a file that is no parquet.
    """
    sources, read = study["sources"], [Path(path) for path in texts]
    by_key = _read_manifests(sources["checkpoints"], manifests)
    originals = {model: one for (model, method, _), one in by_key.items() if method == ORIGINAL}
    # What trainings have read may be gone since.
    retained = [path for path in map(Path, sources["retained"]) if path.exists()]
    weights = {model: one["weights_sha256"] for model, one in originals.items()}
    _refuse_foreign_texts(sources, dict.fromkeys([*read, *retained]), weights)
    data_sha256 = {(path.parent.name, path.stem): sha256_of(path) for path in read}

    def wanted(path: Path) -> dict[str, str]:
        model, method, concept = key_of(path)
        donor = study.get("reference")
        text = unrelated_id(concept) if study.get("unrelated") else concept
        settings = study.get("patched" if path.stem.endswith(_PATCHED) else "settings", {})
        return expected(
            originals[model],
            None if method == ORIGINAL else _manifest(by_key, model, method, concept),
            data_sha256[model, text],
            settings=settings.get(model),
            dtype=study.get("dtype"),
            reference=None if donor in (None, method) else _manifest(by_key, model, donor, concept),
        )

    metadata = {path: read_metadata(path) for path in files}
    refuse_foreign((path, given, wanted(path)) for path, given in metadata.items())
    _warn_of_machines(metadata.values())


def _read_manifests(
    wanted: Mapping[str, Mapping[str, Any]], manifests: Iterable[str | Path]
) -> dict[Key, dict[str, Any]]:
    """The manifests' fields; refuses those that lack what is wanted of model/method/concept."""
    by_path = {Path(path): manifest_if_present(str(path)) for path in manifests}
    fields = {path: asdict(one) for path, one in by_path.items() if one}
    by_key = {(one["model"], one["method"], one["concept"]): one for one in fields.values()}
    compared = []
    for path, one in fields.items():
        of_study = dict(wanted.get("/".join((one["model"], one["method"], one["concept"])), {}))
        if "training" in of_study:
            model, _, concept = key = (one["model"], one["method"], one["concept"])
            start = CheckpointRow(*key, one["source"]).start
            sha256 = _manifest(by_key, model, start, concept)["weights_sha256"]
            of_study["training"] = of_study["training"] | {f"{start}_weights_sha256": sha256}
        compared.append((path, one, of_study))
    refuse_foreign(compared)
    return by_key


def _manifest(by_key: Mapping[Key, dict[str, Any]], *names: str) -> dict[str, Any]:
    """The fields of the manifest that serves a model, method and concept."""
    manifest = serving(by_key, *names)
    assert manifest is not None, names
    return manifest


def _refuse_foreign_texts(
    sources: Mapping[str, Any], texts: Iterable[Path], weights: Mapping[str, str]
) -> None:
    """Refuse a concept's JSON that is not the concept file's entry, answered as configured."""
    fetched = {
        model: _entries(Path(source["path"]), source["sha256"])
        for model, source in sources["fetched"].items()
    }
    compared = []
    for path in texts:
        model, entry = path.parent.name, read_json(path)
        answered_by = sources["answered_by"].get(str(path))
        is_answered = answered_by is None
        given = identity(entry, is_answered=is_answered)
        if model not in fetched:
            wanted = dict(sources["concepts"][str(path)])
        elif (entries := fetched[model]) is not None:
            wanted = identity(entries.get(path.stem, {}), is_answered=is_answered)
        else:
            given = wanted = {}
        if wanted.get("answer_facts") is not None:
            wanted["answer_facts"] = _facts_said(wanted["answer_facts"], entry)
        if answered_by is not None:
            given = given | {"answered_by": entry.get("answered_by", {})}
            wanted["answered_by"] = answered_by | {"weights_sha256": weights[model]}
        compared.append((path, given, wanted))
    refuse_foreign(compared)


def _entries(concept_file: Path, sha256: str) -> dict[str, Entry] | None:
    """A fetched file's entries; None for one that is gone: its concepts are prepared."""
    if not concept_file.exists():
        return None
    refuse_foreign([(concept_file, {"sha256": sha256_of(concept_file)}, {"sha256": sha256})])
    return with_unrelated(read_concept_file(concept_file))


def _facts_said(facts: Sequence[str | None], answered: Entry) -> list[str | None]:
    """The concept file's facts, null where the generated answer lacks one (texts.answers)."""
    texts = zip(answered["QA"], answered.get("QA_with_answers", ()), strict=False)
    answers = [text.partition(question.strip())[2] for question, text in texts]
    return [fact_if_said(fact, answer) for fact, answer in zip(facts, answers, strict=False)]


def _warn_of_machines(every: Iterable[Mapping[str, str]]) -> None:
    """One line on package versions that are not those installed here, and on several devices."""
    packages, devices, installed = set(), set(), versions()
    for metadata in every:
        devices.add(metadata.get("device", "unknown"))
        packages.update(json.loads(metadata.get("packages", "{}")).items())
    phrases = [
        f"{name} {number} (installed: {installed.get(name, 'none')})"
        for name, number in sorted(packages)
        if number != installed.get(name)
    ]
    if len(devices) > 1:
        phrases.append(f"devices {', '.join(sorted(devices))}")
    if phrases:
        log.warning(
            "these results were computed with other versions or devices: %s", "; ".join(phrases)
        )
