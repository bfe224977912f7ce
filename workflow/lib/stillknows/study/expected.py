"""What the metadata of a result must say if it belongs to a study, and how it differs."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.models.provenance import hash_of

_SHA256 = re.compile(r"[0-9a-f]{64}")


def settings_fields(**settings: Any) -> dict[str, str]:
    """The metadata of a result on its settings, beside files: themselves as JSON, and their hash.

    None and {} count as no setting, so that a new one leaves the hashes of former results.
    """
    settings = {key: value for key, value in settings.items() if value not in (None, {})}
    as_json = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return {"settings": as_json, "config_hash": hash_of(settings)}


def expected(
    original: Mapping[str, Any],
    unlearned: Mapping[str, Any] | None,
    data_sha256: str,
    *,
    settings: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    reference: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """The metadata that a result of a study has.

    Args:
        original, unlearned: fields of the two manifests; no `unlearned` for a result of the
            original alone.
        data_sha256: of the concept's JSON that the job read.
        settings: as in `settings_fields`; None: the result depends on none.
        dtype: the config's; None: the result does not depend on it.
        reference: fields of the manifest of the reference model, if it was a donor.
    """
    wanted = {"original_weights_sha256": original["weights_sha256"], "data_sha256": data_sha256}
    if unlearned is not None:
        wanted["unlearned_weights_sha256"] = unlearned["weights_sha256"]
    if reference is not None:
        wanted["reference_weights_sha256"] = reference["weights_sha256"]
    if dtype is not None:
        wanted["dtype"] = f"torch.{original['dtype'] if dtype == 'checkpoint' else dtype}"
    return wanted | ({} if settings is None else settings_fields(**settings))


def differences(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Each value of `wanted` that `given` does not have, with both; nested keys as outer.inner.

    In place of the settings' hash, the settings that differ are named, if `given` has them.
    """
    settings: list[str] = []
    if "settings" in given and "settings" in wanted:
        have, value = (json.loads(one["settings"]) for one in (given, wanted))
        # A setting that only the file has is a difference, too.
        settings = _differing("", have, dict.fromkeys(have) | value)
    # The number format is a setting, and what became of it.
    named = {"settings", "config_hash", "dtype"} if settings else {"settings"}
    rest = {key: value for key, value in wanted.items() if key not in named}
    return settings + _differing("", given, rest)


def _differing(prefix: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in wanted.items():
        have = given.get(key)
        if isinstance(have, Mapping) and isinstance(value, Mapping):
            lines += _differing(f"{prefix}{key}.", have, value)
        elif have != value:
            lines.append(f"{prefix}{key} is {_shown(have)}, expected {_shown(value)}")
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return value[:12]
    return json.dumps(value, ensure_ascii=False)


def refuse_foreign(files: Iterable[tuple[Path, Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Refuse files that do not belong to the study.

    Args:
        files: per file its path, what it says of itself, and what the study expects.

    Raises:
        StudyError: with the differences of the first such file, and how many more there are.
    """
    compared = ((path, differences(given, wanted)) for path, given, wanted in files)
    foreign = [(path, lines) for path, lines in compared if lines]
    if foreign:
        (path, lines), *others = foreign
        also = f" (and {len(others)} more, such as {others[0][0]})" if others else ""
        raise StudyError(
            f"{path} does not belong to this study: {'; '.join(lines)}; delete it and run again, "
            f"or use the config, checkpoints table and concept file that it was made with{also}"
        )


# What a recording and a job's own inputs must agree on; the rest only says where these are from.
_DECIDES = ("original_weights_sha256", "data_sha256", "dtype")


def refuse_other_recording(
    path: Path, metadata: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    """Refuse a recording that was made from other inputs than a job's.

    Args:
        expected: the metadata of a recording from the job's inputs (provenance.input_fields).

    Raises:
        StudyError: as `refuse_foreign`.
    """
    refuse_foreign([(path, metadata, {key: expected[key] for key in _DECIDES})])
