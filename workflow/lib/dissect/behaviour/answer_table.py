"""The rows of the table of answers (results/schema.py), from two models' answers."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from dissect.behaviour.prompts import Asked
from dissect.behaviour.score import bleu, rouge_l
from dissect.behaviour.settings import Setting
from dissect.checkpoints.manifest import Manifest

log = logging.getLogger("dissect")
Row = dict[str, Any]


def original_texts(answers: pa.Table) -> dict[tuple[str, int], str]:
    """The original's answers by set and question."""
    return {(row["set"], row["question"]): row["answer"] for row in answers.to_pylist()}


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
        texts: the unlearned model's answers, as `asked` stands.
        original: what `original_texts` returns.
        setting: what was patched; None: nothing.
    """
    key = {
        "model": unlearned.model,
        "method": unlearned.method,
        "origin": unlearned.origin,
        "concept": unlearned.concept,
        "concept_name": concept["Concept"],
        "experiment": setting.experiment if setting else None,
        "first_layer": setting.first if setting else None,
        "last_layer": setting.last if setting else None,
    }
    rows = []
    for one, text in zip(asked, texts, strict=True):
        answer_original = original[one.set, one.question]
        rows.append(
            {
                **key,
                "set": one.set,
                "question": one.question,
                "prompt": one.prompt,
                "answer_original": answer_original,
                "answer": text,
                "bleu": bleu(answer_original, text),
                "rouge_l": rouge_l(answer_original, text),
            }
        )
    return rows


def report(rows: Sequence[Row]) -> None:
    """Say in the log how like the original's the answers are, per set and patch."""
    groups: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in rows:
        group = (row["set"], row["experiment"], row["first_layer"], row["last_layer"])
        groups[group].append(row["rouge_l"])
    for (name, experiment, first, last), scores in groups.items():
        finite = [score for score in scores if score == score]
        log.info(
            "%s%s: mean ROUGE-L %s over %d of %d questions",
            *(name, f", {experiment} at layers {first} to {last}" if experiment else ""),
            f"{sum(finite) / len(finite):.3f}" if finite else "none",
            *(len(finite), len(scores)),
        )
