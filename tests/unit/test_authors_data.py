"""The authors' two concept files, with all their oddities. They lie beside this checkout, not in
it, so these tests are skipped where they are absent."""

import hashlib
from pathlib import Path

import pytest
import yaml

from stillknows.texts.concepts import Entry, read_concept_file
from stillknows.texts.prompts import render
from stillknows.texts.spans import read_texts
from tiny import tiny_tokenizer

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
TOKENIZER = tiny_tokenizer()

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the authors' data is not beside this checkout"
)
both = pytest.mark.parametrize("model", ["llama2-7b", "olmo-7b"])


def path_of(model: str) -> Path:
    return DATA / f"{model}_concepts_test_30tokens_answers.json"


def entries(model: str) -> list[Entry]:
    return list(read_concept_file(path_of(model)).values())


@both
def test_the_config_names_exactly_these_files_and_concepts(model: str) -> None:
    sha256 = hashlib.sha256(path_of(model).read_bytes()).hexdigest()
    assert CONFIG["models"][model]["concepts"]["sha256"] == sha256
    assert [int(entry["id"]) for entry in entries(model)] == CONFIG["concepts"][model]


@both
def test_both_spans_are_found_in_every_text(model: str) -> None:
    # Their tokenizers are not here. Bytes as tokens: the spans' ends can be counted by hand.
    for entry in entries(model):
        texts = read_texts(entry, "paper", TOKENIZER)
        for number, text in enumerate(texts):
            size = len(entry["QA_with_answers"][number].encode())
            prompt = len(render(entry["QA"][number], "paper", TOKENIZER).encode())
            assert len(text.ids) == size
            assert text.answer == range(prompt - 1, size - 1)
            assert text.notebook == range(size - entry["answers_tokens_num"][number], size)
