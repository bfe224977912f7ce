"""Whether the files of a results folder belong to the study that collects them.

Snakemake knows this of what it has made itself. A results folder that was copied, or that another
config has written, comes without that knowledge.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dissect.checkpoints.manifest import manifest_if_present
from dissect.files import read_json, sha256_of
from dissect.results.expected import Settings, expected, refuse_foreign
from dissect.results.schema import read_metadata, readable
from dissect.study.concepts import Entry, digest, read_concept_file
from dissect.study.rows import ORIGINAL

log = logging.getLogger("dissect")

Key = tuple[str, str, str]  # model, method, concept
_ANSWERS = ("QA_with_answers", "answers_tokens_num", "answered_by")
_PATCHED = ".patched"


@dataclass(frozen=True)
class Sources:
    """What the results are computed from.

    Attributes:
        manifests: their fields by model, method and concept.
        data_sha256: of the concept JSONs that the jobs read, by model and concept.
    """

    manifests: Mapping[Key, Mapping[str, Any]]
    data_sha256: Mapping[tuple[str, str], str]

    def expected(self, key: Key, settings: Settings | None, dtype: str | None) -> dict[str, str]:
        """What a result on one checkpoint must say of itself."""
        model, method, concept = key
        unlearned = None if method == ORIGINAL else self.manifests[key]
        original = self.manifests[model, ORIGINAL, ""]
        data_sha256 = self.data_sha256[model, concept]
        return expected(original, unlearned, data_sha256, settings=settings, dtype=dtype)


def read_sources(
    study: Mapping[str, Any], manifests: Iterable[Path], texts: Sequence[Path]
) -> Sources:
    """Read what results are computed from, and refuse what belongs to another study.

    Args:
        study: what `study.expectations.of_sources` returns.
        manifests: of the study's checkpoints.
        texts: the files {model}/{concept}.json that the jobs of these results read.

    Raises:
        DissectError: for a manifest or a concept's JSON that this study would not have made.
    """
    by_path = {path: asdict(one) for path in manifests if (one := manifest_if_present(str(path)))}
    by_key = {(one["model"], one["method"], one["concept"]): one for one in by_path.values()}
    weights = {key[0]: one["weights_sha256"] for key, one in by_key.items() if key[1] == ORIGINAL}
    refuse_foreign(
        (path, one, _as_made(study["checkpoints"], _name(one), weights[one["model"]]))
        for path, one in by_path.items()
    )
    # What trainings have read may be gone since.
    retained = [path for path in map(Path, study["retained"]) if path.exists()]
    _refuse_foreign_texts(study, dict.fromkeys([*texts, *retained]), weights)
    return Sources(by_key, {_concept_of(path): sha256_of(path) for path in texts})


def _name(manifest: Mapping[str, Any]) -> str:
    return "/".join((manifest["model"], manifest["method"], manifest["concept"]))


def _as_made(
    fields: Mapping[str, Mapping[str, Any]], name: str, original_weights: str
) -> dict[str, Any]:
    """What a manifest must say; of a training, also from which original."""
    wanted = dict(fields.get(name, {}))
    if "training" in wanted:
        wanted["training"] = wanted["training"] | {"original_weights_sha256": original_weights}
    return wanted


def _refuse_foreign_texts(
    study: Mapping[str, Any], texts: Iterable[Path], weights: Mapping[str, str]
) -> None:
    """Refuse a concept's JSON that is not the concept file's entry, answered as configured."""
    entries = {
        model: _entries(Path(source["path"]), source["sha256"])
        for model, source in study["concept_files"].items()
    }
    compared = []
    for path in texts:
        model, concept = _concept_of(path)
        entry, entries_of_model = read_json(path), entries[model]
        answered_by = study["answered_by"].get(str(path))
        left_out = () if answered_by is None else _ANSWERS
        given: dict[str, Any] = {"entry_sha256": _digest(entry, left_out)}
        wanted: dict[str, Any] = {}
        if entries_of_model is not None:
            wanted["entry_sha256"] = _digest(entries_of_model.get(concept, {}), left_out)
        if answered_by is not None:
            given["answered_by"] = entry.get("answered_by", {})
            wanted["answered_by"] = answered_by | {"weights_sha256": weights[model]}
        compared.append((path, given, wanted))
    refuse_foreign(compared)


def _entries(concept_file: Path, sha256: str | None) -> dict[str, Entry] | None:
    """A concept file's entries; None for a fetched one that is gone: its concepts are prepared."""
    if sha256 is not None:
        if not concept_file.exists():
            return None
        refuse_foreign([(concept_file, {"sha256": sha256_of(concept_file)}, {"sha256": sha256})])
    return read_concept_file(concept_file)


def _digest(entry: Entry, left_out: Sequence[str]) -> str:
    return digest({key: value for key, value in entry.items() if key not in left_out})


def _concept_of(path: Path) -> tuple[str, str]:
    return path.parent.name, path.stem


def sweep_key(path: Path) -> Key:
    """Of .../{model}/{method}/{concept}/{experiment}.parquet."""
    model, method, concept = path.parts[-4:-1]
    return model, method, concept


def checkpoint_key(path: Path) -> Key:
    """Of .../{model}/{method}/{concept}.parquet, or {concept}.patched.parquet."""
    model, method = path.parts[-3:-1]
    return model, method, path.stem.removesuffix(_PATCHED)


def check_results(
    files: Iterable[Path],
    key_of: Callable[[Path], Key],
    *,
    manifests: Iterable[Path],
    texts: Iterable[Path],
    study: Mapping[str, Any],
) -> None:
    """Refuse results of another study; warn of other package versions and of several devices.

    Args:
        key_of: the checkpoint that a result is about, by the result's path.
        manifests, texts: see `read_sources`.
        study: what one of `study.expectations` returns: `sources`; `settings` and, for patched
            answers, `patched`, each model's; `dtype`. Results do not depend on what is left out.

    Raises:
        DissectError: as `expected.refuse_foreign`, or for a file that is no parquet.
    """
    sources = read_sources(study["sources"], manifests, list(texts))
    given = {path: _metadata_of(path) for path in files}
    compared = []
    for path, metadata in given.items():
        key = key_of(path)
        settings = study.get("patched" if path.stem.endswith(_PATCHED) else "settings", {})
        wanted = sources.expected(key, settings.get(key[0]), study.get("dtype"))
        compared.append((path, metadata, wanted))
    refuse_foreign(compared)
    _warn_of_machines(given.values())


def _metadata_of(path: Path) -> dict[str, Any]:
    with readable(path):
        return read_metadata(path)


def _warn_of_machines(every: Iterable[Mapping[str, str]]) -> None:
    """One line on package versions that are not those installed here, and on several devices."""
    packages: dict[str, set[str]] = defaultdict(set)
    devices = set()
    for metadata in every:
        devices.add(metadata.get("device", "unknown"))
        for name, number in json.loads(metadata.get("packages", "{}")).items():
            packages[name].add(number)
    phrases = [
        f"{name} {', '.join(sorted(numbers))} (installed: {installed})"
        for name, numbers in sorted(packages.items())
        if numbers != {installed := _installed(name)}
    ]
    if len(devices) > 1:
        phrases.append(f"devices {', '.join(sorted(devices))}")
    if phrases:
        log.warning(
            "these results were computed with other versions or devices: %s", "; ".join(phrases)
        )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
