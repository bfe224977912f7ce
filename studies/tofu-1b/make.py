"""The study's concept file and questions: the facts of TOFU's forget10 that UDS's authors chose.

.venv/bin/python studies/tofu-1b/make.py [--data FOLDER]

What is retained are TOFU's questions on real authors and on the world. Three files are fetched once
(0.3 MB), and are refused if a SHA-256 is another one. --data names a folder that has them.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stillknows.job import errors_in_one_line
from stillknows.study.published import asked_once, fetched, write_texts
from stillknows.texts.fact_matching import mentions_fact
from stillknows.texts.questions import Question

CONCEPTS = Path("results/tofu-1b/concepts.json")
_GITHUB = "https://raw.githubusercontent.com/"
_UDS = f"{_GITHUB}gnueaj/unlearning-depth-score/fc316398620f79a42d80bc8acc87128081aa01c5/tofu_data/"
_TOFU = f"{_GITHUB}locuslab/tofu/8c49eee7da2b96b2b718c41c66f4e21331c89189/data/"
# By its content: where a file is, its name, and their SHA-256.
FILES = {
    "forget10": (
        _UDS,
        "forget10_filtered.json",
        "c3d88b76702fed46e920a52ba8183b0142ab46894c0b4c536683759bfcf13ad9",
    ),
    "real_authors": (
        _TOFU,
        "real_authors_perturbed.json",
        "a23255383ac75a5fbe5acd57622a03fb9c368954fd7b2428afa152b784d9533a",
    ),
    "world_facts": (
        _TOFU,
        "world_facts_perturbed.json",
        "0e171838040d0ec94b1ce248d891508e85e3b77344370077caa27b61898eb3e1",
    ),
}
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


def forgotten(items: Sequence[Mapping[str, Any]]) -> list[Question]:
    """The facts of forget10, but those that their question holds."""
    names = authors(items)
    asked = [question_of(item, names[item["idx"] // PER_AUTHOR]) for item in items]
    return [question for question in asked if question]


def retained_question(item: Mapping[str, Any]) -> Question | None:
    """A question on a real author or on the world; None if it holds its own answer."""
    try:
        return Question(question=item["question"], answer=item["answer"], fact=item["answer"])
    except ValidationError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=f"a folder with the files of {_UDS} and {_TOFU}")
    data = parser.parse_args().data
    paths = {
        content: fetched(url + name, sha256, CONCEPTS.parent, data / name if data else None)
        for content, (url, name, sha256) in FILES.items()
    }
    items = json.loads(paths.pop("forget10").read_text(encoding="utf-8"))
    kept = forgotten(items)
    lines = [line for path in paths.values() for line in path.read_text("utf-8").splitlines()]
    retained = asked_once(retained_question(json.loads(line)) for line in lines)
    write_texts(CONCEPTS, {"forget10": kept, "retained": retained}, PROMPT, ["retained"])
    subjects = sum(question.subject is not None for question in kept)
    print(f"{len(kept)} of {len(items)} facts, {subjects} with the author's name")


if __name__ == "__main__":
    with errors_in_one_line():
        main()
