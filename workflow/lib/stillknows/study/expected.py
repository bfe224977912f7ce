"""What the metadata of a result say of its settings; and whether files belong to a study."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.files import read_json, sha256_of
from stillknows.models.manifest import parse_manifest
from stillknows.models.provenance import hash_of, versions
from stillknows.parquet_files import read_metadata
from stillknows.texts.concepts import (
    Entry,
    fact_if_said,
    identity,
    read_concept_file,
    with_unrelated,
)

log = logging.getLogger("stillknows")

Compared = tuple[str | Path, Mapping[str, Any], Mapping[str, Any]]
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What a recording and a job's own inputs must agree on; the rest only says where these are from.
_OF_RECORDINGS = ("original_weights_sha256", "data_sha256", "dtype")


def settings_fields(**settings: Any) -> dict[str, str]:
    """A result's settings in its metadata, beside files: themselves as JSON, and their hash.

    None and {} count as no setting, so that a new one leaves the hashes of former results.
    """
    settings = {key: value for key, value in settings.items() if value not in (None, {})}
    as_json = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return {"settings": as_json, "config_hash": hash_of(settings)}


def refuse_other_recording(
    path: Path, metadata: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    """Refuse, as `check_results`, a recording that was made from other inputs than a job's."""
    _refuse_foreign([(path, metadata, {key: expected[key] for key in _OF_RECORDINGS})])


def check_results(made_from: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Refuse results of another study, naming the first; warn of other versions and devices."""
    manifests = {path: asdict(parse_manifest(Path(path))) for path in made_from["manifests"]}
    sha256 = cache(lambda path: sha256_of(Path(path)))

    def with_hashes(record: Mapping[str, Any]) -> dict[str, Any]:
        """A record with hashes in place of the files that it names."""
        filled = dict(record)
        for key, value in record.items():
            if key == "settings":
                filled[key] = json.loads(settings_fields(**value)[key])
                saved = manifests[record["original_weights_sha256"]]["dtype"]
                dtype = saved if record["dtype"] == "checkpoint" else record["dtype"]
                filled["dtype"] = f"torch.{dtype}"
            elif key == "data_sha256":
                filled[key] = sha256(value)
            elif key.endswith("weights_sha256"):
                filled[key] = manifests[value]["weights_sha256"]
            elif isinstance(value, Mapping):
                filled[key] = with_hashes(value)
        return filled

    wanted = {
        kind: {path: with_hashes(record) for path, record in records.items()}
        for kind, records in made_from.items()
    }
    _refuse_foreign((path, manifests[path], record) for path, record in wanted["manifests"].items())
    _refuse_foreign(_compared_texts(wanted["texts"]))
    metadata = {path: read_metadata(Path(path)) for path in wanted["results"]}
    _refuse_foreign((path, metadata[path], record) for path, record in wanted["results"].items())
    _warn_of_machines(metadata.values())


def _compared_texts(texts: Mapping[str, Mapping[str, Any]]) -> Iterator[Compared]:
    """Concepts' JSONs: what each is, and what its record says."""
    fetched = cache(_fetched_entries)
    for path in map(Path, texts):
        if not path.exists():  # read by a training, and removed since
            continue
        entry, wanted = read_json(path), dict(texts[str(path)])
        if "fetched" in wanted:
            file, is_answered = wanted.pop("fetched"), wanted.pop("is_answered")
            if (entries := fetched(file["path"], file["sha256"])) is not None:
                wanted |= identity(entries.get(path.stem, {}), is_answered=is_answered)
        if wanted.get("answer_facts") is not None:
            wanted["answer_facts"] = _facts_said(wanted["answer_facts"], entry)
        given = identity(entry, is_answered="answered_by" not in wanted)
        yield path, given | {"answered_by": entry.get("answered_by", {})}, wanted


def _fetched_entries(concept_file: str, sha256: str) -> dict[str, Entry] | None:
    """A fetched file's entries; None for one that is gone: its concepts are prepared."""
    path = Path(concept_file)
    if not path.exists():
        return None
    _refuse_foreign([(path, {"sha256": sha256_of(path)}, {"sha256": sha256})])
    return with_unrelated(read_concept_file(path))


def _facts_said(facts: Sequence[str | None], answered: Entry) -> list[str | None]:
    """The concept file's facts, null where the generated answer lacks one (texts.answers)."""
    texts = zip(answered["QA"], answered.get("QA_with_answers", ()), strict=False)
    answers = [text.partition(question.strip())[2] for question, text in texts]
    return [fact_if_said(fact, answer) for fact, answer in zip(facts, answers, strict=False)]


def _warn_of_machines(results: Iterable[Mapping[str, str]]) -> None:
    """One line on package versions that are not those installed here, and on several devices."""
    packages, devices, installed = set(), set(), versions()
    for metadata in results:
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


def _refuse_foreign(files: Iterable[Compared]) -> None:
    """Refuse files of which one does not say what is wanted of it."""
    compared = ((path, _differences(given, wanted)) for path, given, wanted in files)
    foreign = [(path, lines) for path, lines in compared if lines]
    if foreign:
        (path, lines), *others = foreign
        also = f" (and {len(others)} more, such as {others[0][0]})" if others else ""
        raise StudyError(
            f"{path} does not belong to this study: {'; '.join(lines)}; delete it and run again, "
            f"or use the config, checkpoints table and concept file that it was made with{also}"
        )


def _differences(
    given: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Each value of `wanted` that `given` does not have, with both; nested keys as outer.inner."""
    lines: list[str] = []
    for key, value in wanted.items():
        have = given.get(key)
        if key == "settings" and isinstance(have, str):  # in a result's metadata
            have = json.loads(have)
            value = dict.fromkeys(have) | value  # what only the file has is a difference, too
        if isinstance(have, Mapping) and isinstance(value, Mapping):
            lines += _differences(have, value, "" if key == "settings" else f"{prefix}{key}.")
        elif have != value:
            lines.append(f"{prefix}{key} is {_shown(have)}, expected {_shown(value)}")
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return value[:12]
    return json.dumps(value, ensure_ascii=False)
