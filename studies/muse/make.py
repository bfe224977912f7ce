"""The study's concept files and questions: MUSE's questions on the news and on the books.

.venv/bin/python studies/muse/make.py [--data FOLDER]

Four files are fetched once (60 kB), and are refused if a SHA-256 is another one. --data names a
folder that has them, as data/ of the repository has.
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from stillknows.job import errors_in_one_line
from stillknows.study.published import asked_once, fetched, write_texts
from stillknows.texts.questions import Question

RESULTS = Path("results/muse")
URL = (
    "https://raw.githubusercontent.com/jaechan-repo/muse_bench/"
    "54719c51f07221dcfbfbe8ae76bb091df77433b2/data/"
)
# By the corpus, then by the concept: the file in data/, and its SHA-256.
FILES = {
    "news": {
        "forget": (
            "bbc/knowmem/forget_qa.json",
            "efe3e08cad69a7dd723ab08168d08abfa6137f1d3eda90ac49d6368f3f16a5af",
        ),
        "retained": (
            "bbc/knowmem/retain2_qa.json",
            "f4b5fbe95626680d3248613895501b7a957859f3b9d8eeaf0318b4719c287279",
        ),
    },
    "books": {
        "forget": (
            "hp/knowmem/forget_qa.json",
            "f4b93f9a7901b0fe32862f27df1c649e81bc190c6d04761a97d58cb9938e0ff9",
        ),
        "retained": (
            "hp/knowmem/retain2_qa.json",
            "a1a3f3063d0550dff57d0bd23d230b9ef3553d708933123712ebb84c909c23e8",
        ),
    },
}
PROMPT = "Question: {q}\nAnswer:"
# Questions that ask for a person: their answers are compared with each other.
_PERSON = re.compile(r"(who|whose|whom)\b|.*\bwho\b", re.IGNORECASE)
_SMALL_WORDS = {"of", "the", "and", "de"}


def question_of(item: Mapping[str, str]) -> Question | None:
    """A question; None if it holds its own answer, and so asks for nothing."""
    answer = item["answer"].strip().rstrip(".")
    words = [word for word in answer.split() if word not in _SMALL_WORDS]
    is_name = all(word[0].isupper() for word in words) and not re.search(r"\d", answer)
    kind = "person" if is_name and _PERSON.match(item["question"]) else None
    try:
        return Question(question=item["question"], answer=answer, fact=answer, kind=kind)
    except ValidationError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=f"a copy of the folder at {URL}")
    data = parser.parse_args().data
    for corpus, files in FILES.items():
        entries = {}
        for concept, (name, sha256) in files.items():
            path = fetched(URL + name, sha256, RESULTS, data / name if data else None)
            items = json.loads(path.read_text(encoding="utf-8"))
            entries[concept] = asked_once(map(question_of, items))
        write_texts(RESULTS / corpus / "concepts.json", entries, PROMPT, as_they_are=[*entries])


if __name__ == "__main__":
    with errors_in_one_line():
        main()
