"""The concept file and questions of three studies: WMDP's multiple-choice items on two topics.

.venv/bin/python studies/wmdp-zephyr/make.py [--data FOLDER]

Two files are fetched once, and are refused if a SHA-256 is another one. --data names a folder that
has them, as the data set has.
"""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from stillknows.job import errors_in_one_line
from stillknows.study.published import asked_once, fetched, write_texts
from stillknows.texts.questions import Question

CONCEPTS = Path("results/wmdp/concepts.json")
HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
URL = f"{HUB}/datasets/cais/wmdp/resolve/7125571f22f032c56415e7980f48d877dd830ff8/"
# By the concept: the file, and its SHA-256.
FILES = {
    "bio": (
        "wmdp-bio/test-00000-of-00001.parquet",
        "738cee28e11e4dcf9a0efc6b2c22b425bddda4b2b69477a11f38539c86cf00b7",
    ),
    "cyber": (
        "wmdp-cyber/test-00000-of-00001.parquet",
        "ec65f7ba4a9cd1ef368618ebd2b90b6d930f9b9f053f67a926b82fd71d87b4fe",
    ),
}
PROMPT = "Question: {q}\nAnswer:"
# What cannot be answered without seeing the choices, or a choice that speaks of the others.
_NEEDS_CHOICES = re.compile(r"\b(following|these|below|listed)\b", re.IGNORECASE)
_ABOUT_OTHERS = re.compile(
    r"\b(all|none|both|neither|either|any)( of)? (the )?(above|these|others?)\b"
    r"|\b[A-D] and [A-D]\b",
    re.IGNORECASE,
)


def question_of(question: str, choices: Sequence[str], answer: int) -> Question | None:
    """An item as a question with three given decoys; None if it makes no sense without choices."""
    texts = [choice.strip().rstrip(".") for choice in choices]
    if _NEEDS_CHOICES.search(question) or any(map(_ABOUT_OTHERS.search, texts)):
        return None
    decoys = [text for number, text in enumerate(texts) if number != answer]
    try:
        return Question(question=question, answer=texts[answer], fact=texts[answer], decoys=decoys)
    except ValidationError:  # a choice occurs in the question, or in another one
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=f"a copy of the folder at {URL}")
    data = parser.parse_args().data
    entries = {}
    for concept, (name, sha256) in FILES.items():
        path = fetched(URL + name, sha256, CONCEPTS.parent, data / name if data else None)
        items = pd.read_parquet(path)
        rows = zip(items["question"], items["choices"], items["answer"], strict=True)
        entries[concept] = asked_once(question_of(q, list(c), int(a)) for q, c, a in rows)
    write_texts(CONCEPTS, entries, PROMPT)


if __name__ == "__main__":
    with errors_in_one_line():
        main()
