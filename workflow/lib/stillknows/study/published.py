"""Texts of a study of public checkpoints: published facts, fetched once and checked."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pooch

from stillknows.errors import StudyError, shortened
from stillknows.study.audit import make_entry
from stillknows.texts.questions import Question


def fetched(url: str, sha256: str, folder: Path, given: Path | None = None) -> Path:
    """A file with this SHA-256: what is given, else from `folder`, else fetched there from the URL.

    Raises:
        StudyError: it cannot be fetched, or has another SHA-256.
    """
    if given is None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{sha256[:12]}_{url.rpartition('/')[2]}"
        try:
            return Path(pooch.retrieve(url, sha256, name, folder))
        except (OSError, ValueError) as error:
            raise StudyError(
                f"{url} cannot be fetched ({shortened(error)}); check the network, or fetch it "
                "elsewhere and name it with --data"
            ) from error
    if not given.is_file():
        raise StudyError(f"{given} is not there; --data names a copy of {url}, or its folder")
    if pooch.file_hash(str(given)) != sha256:
        raise StudyError(f"{given} has another SHA-256 than the file at {url}; give that one")
    return given


def write_texts(
    concepts: Path,
    entries: Mapping[str, Sequence[Question]],
    prompt: str,
    as_they_are: Collection[str] = (),
) -> None:
    """Write a concept file, and beside it each concept as a file of questions, NAME.jsonl.

    Args:
        prompt: a text with {q}.
        as_they_are: names of entries whose held-out wording is the question itself, since no
            training repeats it.
    """
    concepts.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for name, questions in entries.items():
        entry = make_entry(name, questions, prompt)
        if name in as_they_are:
            entry["held_out_paraphrases"] = [[row.question] for row in questions]
        written.append(entry)
        lines = [row.model_dump_json(exclude_defaults=True) + "\n" for row in questions]
        concepts.with_name(f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    text = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
    concepts.write_text(text, encoding="utf-8")
    print(f"{concepts}: {', '.join(f'{name} {len(rows)}' for name, rows in entries.items())}")


def asked_once(questions: Iterable[Question | None]) -> list[Question]:
    """The questions that are not None, each wording once."""
    by_text = {row.question.casefold(): row for row in questions if row is not None}
    return list(by_text.values())
