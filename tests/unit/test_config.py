"""The config: what is refused, and how it is said; the shipped files; the page in docs/."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stillknows.errors import StudyError
from stillknows.study.config import load_config
from stillknows.study.config_docs import config_docs
from stillknows.terms import PAPER_EXPERIMENTS

ROOT = Path(__file__).parents[2]
LEAST = {
    "results": "results/x",
    "checkpoints": "checkpoints.tsv",
    "models": {"m": {"concepts": "c.json"}},
}


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def shipped(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return values


def test_the_least_config_is_the_papers_but_for_names() -> None:
    config = load_config(LEAST)
    assert config.windows == ["sliding_5"]
    assert config.experiments == list(PAPER_EXPERIMENTS)
    assert config.models["m"].prompt == "paper"
    assert config.dtype == "checkpoint"
    assert config.figure_windows() == ["sliding_5"]
    dpo, grad_diff = config.recipe("dpo"), config.recipe("grad_diff")
    assert (dpo.beta, dpo.max_length, dpo.retain_weight) == (0.1, 500, 0)
    assert grad_diff.retain_weight == 1.5


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml", "pretrained.yaml"])
def test_the_shipped_configs_are_valid(name: str) -> None:
    load_config(shipped(name))


def test_the_config_page_in_docs_is_up_to_date() -> None:
    """If this fails: python -m stillknows.study.config_docs > docs/reference/config.md."""
    assert (ROOT / "docs/reference/config.md").read_text(encoding="utf-8") == config_docs()


def test_numbers_as_ids_and_a_bare_no() -> None:
    config = load_config(
        LEAST
        | {
            "concepts": {"m": [16, "x"]},
            "unlearning": {"dpo": {"retain": [18], "precision": False, "learning_rate": "1e-4"}},
        }
    )
    assert config.concepts == {"m": ["16", "x"]}
    recipe = config.recipe("dpo")
    assert (recipe.retain, recipe.precision, recipe.learning_rate) == (["18"], "no", 1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resutls": 1}, "did you mean results?"),
        ({"models": {"m": {"concepts": "c", "promt": 1}}}, "models.m: key 'promt'"),
        ({"unlearning": {"dpo": {"learning_rat": 1}}}, "did you mean learning_rate?"),
        ({"unlearning": {"npo": {"margin": 1}}}, "unlearning.npo: key 'margin'"),
        ({"unlearning": {"dpo": {"beta": 0}}}, "unlearning.dpo.beta"),
        ({"unlearning": {"dpo": {"beta": float("nan")}}}, "unlearning.dpo.beta"),
        ({"unlearning": {"dpo": {"steps": 10**12}}}, "unlearning.dpo.steps"),
        ({"controls": {"donors": ["nois"]}}, "did you mean noise?"),
        ({"controls": {"donors": ["noise"]}}, "layers"),
        ({"controls": {"layers": [1, 1]}}, "1 is given twice"),
        ({"controls": None}, "controls"),
        ({"models": {}}, "models"),
        ({"models": {"m": {}}}, "models.m.concepts"),
        ({"models": {"m": {"concepts": {"url": "https://a/b"}}}}, "sha256"),
        ({"models": {"m": {"concepts": "https://x/c.json"}}}, "hash"),
        ({"models": {"m": {"concepts": {"url": "file:///c", "sha256": "0" * 64}}}}, "file:///c"),
        ({"models": {"m": {"concepts": "c", "prompt": "Hello"}}}, "{q}"),
        ({"concepts": {"n": ["1"]}}, "'n'"),
        ({"concepts": {"m": [1, "1"]}}, "'1' is given twice"),
        ({"experiments": ["atention"]}, "did you mean attention?"),
        ({"experiments": []}, "experiments"),
        ({"windows": ["sliding_4"]}, "sliding_4"),
        ({"windows": ["sliding_03"]}, "sliding_03"),
        ({"figures": {"windows": ["suffix"]}}, "suffix"),
        ({"figures": {"style": {"dpi": 100_000}}}, "figures.style.dpi"),
        ({"behaviour": {"sets": ["targets"]}}, "did you mean target?"),
        ({"behaviour": {"patched": {"windows": ["4-0"]}}}, "'4-0'"),
        ({"behaviour": {"patched": {"experiments": ["layer_weights"]}}}, "patched.experiments"),
        ({"behaviour": {"sets": ["unrelated"], "patched": {"windows": ["0-4"]}}}, "'target'"),
        ({"dtype": "fp32"}, "float32"),
        ({"dtype": "x" * 10**6}, "float32"),
        ({"device": "gpu"}, "cuda:N"),
        ({"seed": -1}, "seed"),
        ({"answer_tokens": 10**9}, "answer_tokens"),
        ({"results": None}, "results"),
        ({"results": "."}, "folder of its own"),
        ({"results": "~/stillknows"}, "~"),
        ({"results": "results/{model}"}, "{ }"),
        ({"results": "a\0b"}, "NUL"),
        ({"results": "x" * 260}, "too long"),
        ({"results": nested(5000)}, "results"),
        ({"on_missing_checkpoint": "train"}, "error, skip, unlearn"),
    ],
)
def test_one_line_names_what_is_wrong_and_what_is_allowed(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(StudyError) as caught:
        load_config(LEAST | changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
