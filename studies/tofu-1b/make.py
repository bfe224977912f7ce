"""The study's concept file and questions: the facts of TOFU's forget10 that UDS's authors chose.

.venv/bin/python studies/tofu-1b/make.py [--data FILE]

The file is fetched once, and is refused if its SHA-256 is another one. --data names a copy of it.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stillknows.job import errors_in_one_line
from stillknows.study.published import fetched, write_texts
from stillknows.texts.fact_matching import mentions_fact
from stillknows.texts.questions import Question

CONCEPTS = Path("results/tofu-1b/concepts.json")
COMMIT = "fc316398620f79a42d80bc8acc87128081aa01c5"
URL = (
    f"https://raw.githubusercontent.com/gnueaj/unlearning-depth-score/{COMMIT}/tofu_data/"
    "forget10_filtered.json"
)
SHA256 = "c3d88b76702fed46e920a52ba8183b0142ab46894c0b4c536683759bfcf13ad9"
PROMPT = "Question: {q}\nAnswer:"  # of the script that computed the published UDS
PER_AUTHOR = 20  # questions of forget10, author by author
LEAST_SHARE = 0.5  # of an author's questions, in which a name must occur to be the author's


def authors(items: Sequence[Mapping[str, Any]]) -> dict[int, str | None]:
    """By the number of the author, the longest name that half of the author's questions hold."""
    names: dict[int, str | None] = {}
    for number in sorted({item["idx"] // PER_AUTHOR for item in items}):
        own = [item for item in items if item["idx"] // PER_AUTHOR == number]
        # A fact, or words with capital letters that follow each other.
        candidates = {item["entity"] for item in own} | set(_capital_runs(own))
        counts = Counter(
            {
                name: sum(mentions_fact(item["question"], name) for item in own)
                for name in candidates
            }
        )
        often = [name for name, count in counts.items() if count >= LEAST_SHARE * len(own)]
        names[number] = max(often, key=len, default=None)
    return names


def _capital_runs(items: Sequence[Mapping[str, Any]]) -> list[str]:
    runs = []
    for item in items:
        words: list[str] = []
        for word in [*item["question"].replace("'s", " 's").split(), ""]:
            if word[:1].isupper():
                words.append(word.strip(",.?\"'"))
                continue
            if len(words) > 1:
                runs += [" ".join(words), " ".join(words[1:])]
            words = []
    return runs


def question_of(item: Mapping[str, Any], author: str | None) -> Question | None:
    """The question, with the author's name, or else the last name, as its subject if it has one.

    None if the question itself is refused, since it holds the fact.
    """
    names = (author, author.split()[-1]) if author else ()
    named = next((name for name in names if mentions_fact(item["question"], name)), None)
    given = {"question": item["question"], "answer": item["answer"], "fact": item["entity"]}
    for subject in (named, None):
        try:
            return Question(**given, subject=subject)
        except ValidationError:
            continue
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=f"a copy of {URL}")
    path = fetched(URL, SHA256, CONCEPTS.parent, parser.parse_args().data)
    items = json.loads(path.read_text(encoding="utf-8"))
    names = authors(items)
    asked = [question_of(item, names[item["idx"] // PER_AUTHOR]) for item in items]
    kept = [question for question in asked if question]
    write_texts(CONCEPTS, {"forget10": kept}, PROMPT)
    subjects = sum(question.subject is not None for question in kept)
    print(f"{len(kept)} of {len(items)} facts, {subjects} with the author's name")


if __name__ == "__main__":
    with errors_in_one_line():
        main()
