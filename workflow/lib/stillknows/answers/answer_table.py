"""The rows of the table of answers (parquet_files.py), from two models' answers."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.answers.patch_settings import Setting
from stillknows.answers.prompts import Asked
from stillknows.answers.similarity import bleu, rouge_l
from stillknows.models.manifest import Manifest
from stillknows.parquet_files import ANSWER_SCHEMA, ORIGINAL_SCHEMA, read_table, write_rows

log = logging.getLogger("stillknows")
Row = dict[str, Any]


def original_texts(answers: Path) -> dict[tuple[str, int], str]:
    """What answer_as_original wrote: the original's answers by set and question."""
    rows = read_table(answers, ORIGINAL_SCHEMA).to_pylist()
    return {(row["set"], row["question"]): row["answer"] for row in rows}


def answer_rows(
    unlearned: Manifest,
    concept: Mapping[str, Any],
    asked: Sequence[Asked],
    texts: Sequence[str],
    original: Mapping[tuple[str, int], str],
    setting: Setting | None = None,
) -> list[Row]:
    """One row per question, scored against the original's answer.

    Args:
        texts: the unlearned model's answers, in the order of `asked`.
        original: what `original_texts` returns.
        setting: what was patched; None: nothing.
    """
    key = {
        **unlearned.columns(concept),
        "experiment": setting.experiment if setting else None,
        "first_layer": setting.first if setting else None,
        "last_layer": setting.last if setting else None,
    }
    expected = [original[one.set, one.question] for one in asked]
    return [
        {
            **key,
            "set": one.set,
            "question": one.question,
            "prompt": one.prompt,
            "answer_original": answer,
            "answer": text,
            "bleu": bleu(answer, text),
            "rouge_l": rouge_l(answer, text),
        }
        for one, text, answer in zip(asked, texts, expected, strict=True)
    ]


def write_answers(path: Path, rows: Sequence[Row], metadata: Mapping[str, str]) -> None:
    """Write the table; the log says how like the original's the answers are, per set and patch."""
    table = pd.DataFrame(rows, columns=ANSWER_SCHEMA.names)
    write_rows(path, table, metadata, ANSWER_SCHEMA)
    group = ["set", "experiment", "first_layer", "last_layer"]
    for key, scores in table.groupby(group, dropna=False, sort=False)["rouge_l"]:
        name, experiment, first, last = key
        patched = isinstance(experiment, str)
        patch = f", {experiment} at layers {first} to {last}" if patched else ""
        log.info(
            f"{name}{patch}: mean ROUGE-L {scores.mean():.3f} over {scores.count()} of "
            f"{len(scores)} questions"
        )
