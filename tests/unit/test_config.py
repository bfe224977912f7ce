"""The config: what is refused, and how it is said; the shipped files; the reference in docs/."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from dissect.errors import DissectError
from dissect.study.config import Config, Score, load_config
from dissect.study.reference import reference, section_inside
from dissect.terms import PAPER_EXPERIMENTS, SCORES

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


def keys(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Every key that holds no other one; <name> stands for a user's own key."""
    for name, field in section.model_fields.items():
        inner, between = section_inside(field)
        if inner:
            yield from keys(inner, f"{prefix}{name}{between}.")
        else:
            yield f"{prefix}{name}"


def test_the_papers_config_says_every_key() -> None:
    """A knob that is not in config.yaml is one that nobody finds.

    docs/reference/config.md has the others, of trainings that the paper does not have.
    """
    said = set(_keys_of(shipped("config.yaml")))
    of_paper = {"unlearning.grad_diff", "unlearning.dpo"}
    known = {
        key
        for key in keys()
        if not key.startswith(("teaching.", "unlearning.", "variants", "recall.", "calibration."))
        or key.rpartition(".")[0] in of_paper
    }
    assert said - known == set()
    # A path instead of a URL.
    assert known - said == {"models.<name>.concepts.path"}


def _keys_of(values: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        path = prefix + ("<name>" if prefix == "models." else key)
        deeper = isinstance(value, dict) and path != "concepts"
        found += _keys_of(value, f"{path}.") if deeper else [path]
    return found


def test_the_reference_in_docs_is_up_to_date() -> None:
    """If this fails: python -m dissect.study.reference > docs/reference/config.md."""
    assert (ROOT / "docs/reference/config.md").read_text(encoding="utf-8") == reference()


def test_every_key_is_in_the_reference_and_has_a_meaning() -> None:
    for key in keys():
        assert f"- `{key.rpartition('.')[2]}` (" in reference(), key
    assert "None" not in reference()
    assert ": \n" not in reference()


def test_scores_are_those_of_the_figures() -> None:
    assert list(Score.__args__) == list(SCORES)  # type: ignore[attr-defined]


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


def test_answers_under_patches_are_those_of_the_studys_experiments() -> None:
    few = LEAST | {"experiments": ["attention"]}
    assert load_config(few).patched_experiments() == ["attention"]
    other = few | {"behaviour": {"patched": {"experiments": ["value_vectors"]}}}
    assert load_config(other).patched_experiments() == ["value_vectors"]
    more = LEAST | {"experiments": ["all_weights", "attention", "noising_attention"]}
    assert load_config(more).patched_experiments() == ["attention"]
    assert load_config(few).behaviour.sets == ["target", "completion", "unrelated"]


def test_a_concept_file_may_be_a_string() -> None:
    for written in ("c.json", "path:c.json", {"path": "c.json"}):
        config = load_config(LEAST | {"models": {"m": {"concepts": written}}})
        assert config.models["m"].concepts.path == "c.json"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resutls": 1}, "config: key 'resutls' is not known (did you mean results?); allowed: "),
        ({"models": {"m": {"concepts": "c", "promt": 1}}}, "models.m: key 'promt' is not known"),
        ({"models": {"m": {"concepts": "c", "promt": 1}}}, "allowed: concepts, prompt"),
        ({"unlearning": {"dpo": {"learning_rat": 1}}}, "did you mean learning_rate?"),
        ({"figures": {"style": {"dpi": "many"}}}, "figures.style.dpi: "),
        ({"controls": {"donors": ["nois"]}}, "did you mean noise?"),
        ({"controls": {"donors": ["noise"]}}, "controls: donors need layers"),
        ({"controls": {"layers": [-1]}}, "controls.layers.0: "),
        ({"controls": {"layers": [1, 1]}}, "1 is given twice"),
        ({"models": {}}, "models: "),
        ({"models": {"m": {}}}, "models.m.concepts is missing"),
        ({"models": {"m": {"concepts": {"url": "https://a/b"}}}}, "url and sha256 need each other"),
        ({"models": {"m": {"concepts": {}}}}, "give either path or url"),
        ({"models": {"m": {"concepts": "c", "prompt": "Hello"}}}, "or a text with {q}"),
        ({"concepts": {"n": ["1"]}}, "model 'n' is not under models; allowed: m"),
        ({"concepts": {"m": [1, "1"]}}, "'1' is given twice"),
        ({"concepts": {"m": [1.5]}}, "concepts.m.0: "),
        ({"experiments": ["atention"]}, "did you mean attention?"),
        ({"experiments": []}, "experiments: "),
        ({"windows": ["sliding_4"]}, "allowed are sliding_<odd width>"),
        (
            {"experiments": ["all_weights"], "behaviour": {"patched": {"windows": ["0-1"]}}},
            "answers under a patch need one of mlp_coefficients, attention,",
        ),
        (
            {"behaviour": {"patched": {"experiments": ["layer_weights"]}}},
            "behaviour.patched.experiments",
        ),
        (
            {"windows": ["sliding_03"]},
            "'sliding_03' is not a window; allowed are sliding_<odd width>",
        ),
        ({"windows": ["sliding_" + "1" * 5000]}, "is not a window"),
        (
            {"figures": {"windows": ["suffix"]}},
            "among those computed (windows); allowed: sliding_5",
        ),
        ({"behaviour": {"sets": ["targets"]}}, "did you mean target?"),
        ({"behaviour": {"new_tokens": 0}}, "behaviour.new_tokens: "),
        (
            {"behaviour": {"patched": {"windows": ["4-0"]}}},
            "'4-0' is not a window; allowed is FIRST",
        ),
        ({"behaviour": {"patched": {"windows": ["0-" + "9" * 5000]}}}, "is not a window"),
        ({"behaviour": {"patched": {"windows": [4]}}}, "behaviour.patched.windows.0: "),
        ({"behaviour": {"patched": {"windows": ["0-4"] * 2}}}, "'0-4' is given twice"),
        (
            {"behaviour": {"sets": ["unrelated"], "patched": {"windows": ["0-4"]}}},
            "behaviour.patched.sets: set 'target' is not among those asked (behaviour.sets); "
            "allowed: unrelated",
        ),
        ({"dtype": "fp32"}, "allowed: checkpoint, bfloat16, float16, float32"),
        ({"device": "gpu"}, "is not a device; allowed: auto, cpu, mps, cuda, cuda:N"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, but it is -1"),
        ({"seed": 2**70}, "seed: input should be less than or equal to 4294967295"),
        ({"device": "cuda:999"}, "is not a device; allowed: auto, cpu, mps, cuda, cuda:N"),
        ({"answer_tokens": 10**9}, "answer_tokens: input should be less than"),
        ({"behaviour": {"new_tokens": 10**9}}, "behaviour.new_tokens: input should be less than"),
        ({"controls": {"layers": [10**9]}}, "controls.layers.0: input should be less than"),
        ({"unlearning": {"dpo": {"steps": 10**12}}}, "unlearning.dpo.steps: input should be less"),
        ({"unlearning": {"dpo": {"learning_rate": 1e300}}}, "learning_rate: input should be less"),
        ({"figures": {"style": {"dpi": 100_000}}}, "figures.style.dpi: input should be less than"),
        ({"figures": {"style": {"width": 1e6}}}, "figures.style.width: input should be less than"),
        ({"figures": {"style": {"font_scale": 1e9}}}, "font_scale: input should be less than"),
        ({"figures": {"style": {"panel_height": 1e-9}}}, "panel_height: input should be greater"),
        ({"figures": {"style": {"krs_minimum": -1e300}}}, "krs_minimum: input should be greater"),
        ({"results": None}, "results: "),
        ({"results": "."}, "results need a folder of their own"),
        ({"results": "results/../.."}, "results need a folder of their own"),
        ({"results": "~/dissect"}, "results: '~/dissect' begins with ~, which is not expanded"),
        ({"results": "results/{model}"}, "holds { } < or >, which mark wildcards in Snakemake"),
        ({"results": "a\0b"}, "holds a NUL character"),
        ({"results": "a\nb"}, "holds a line break"),
        ({"results": "\ud800"}, "results: input should be a valid string"),
        ({"results": "x" * 260}, "is too long for a path"),
        ({"results": "x/" * 2000}, "is too long for a path"),
        ({"checkpoints": "~/checkpoints.tsv"}, "checkpoints: '~/checkpoints.tsv' begins with ~"),
        ({"models": {"m": {"concepts": "{x}.json"}}}, "models.m.concepts.path: '{x}.json' holds {"),
        ({"models": {"m": {"concepts": "c", "prompt": "{q}\0"}}}, "holds a NUL character"),
        (
            {"models": {"m": {"concepts": {"url": "file:///c.json", "sha256": "0" * 64}}}},
            "'file:///c.json' is not an address; it must begin with https://, http:// or ftp://",
        ),
        ({"models": {"m": {"concepts": "https://x/c.json"}}}, "an address needs a hash"),
        (
            {"models": {"m": {"concepts": {"url": "https://x/c.json", "sha256": "1f"}}}},
            "'1f' is not a SHA-256, which has 64 hexadecimal digits",
        ),
        ({"controls": None}, "controls: must have keys of its own, but is None"),
        ({"methods": []}, "methods: must have an entry, but is empty"),
        ({"figures": {"windows": []}}, "figures.windows: must have an entry, but is empty"),
        ({"results": nested(5000)}, "results: input should be a valid string, but it is [[[["),
        ({"dtype": nested(5000)}, "dtype: value [[[["),
        ({"dtype": "x" * 10**6}, "is not known; allowed: checkpoint"),
        ({"x" * 10**6: 1}, "is not known; allowed: results"),
        ({"on_missing_checkpoint": "train"}, "allowed: error, skip, unlearn"),
        ({"unlearning": {"dpo": {"beta": 0}}}, "unlearning.dpo.beta: "),
        ({"unlearning": {"npo": {"beta": 0}}}, "unlearning.npo.beta: "),
        ({"unlearning": {"npo": {"margin": 1}}}, "unlearning.npo: key 'margin' is not known"),
        ({"unlearning": {"simnpo": {"margin": -1}}}, "unlearning.simnpo.margin: "),
        ({"unlearning": {"rmu": {"layer": -1}}}, "unlearning.rmu.layer: "),
        ({"unlearning": {"rmu": {"steering": 0}}}, "unlearning.rmu.steering: "),
        ({"unlearning": {"rmu": {"alpha": 1}}}, "unlearning.rmu: key 'alpha' is not known"),
        ({"unlearning": {"grad_diff": {"beta": 1}}}, "unlearning.grad_diff: key 'beta' is not kn"),
        ({"unlearning": {"dpo": {"beta": float("nan")}}}, "unlearning.dpo.beta: "),
    ],
)
def test_one_line_names_what_is_wrong_and_what_is_allowed(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DissectError) as caught:
        load_config(LEAST | changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("results", ["results/x/", "./results/x", "results//x"])
def test_a_path_is_written_in_one_way(results: str) -> None:
    assert load_config(LEAST | {"results": results}).results == "results/x"


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    assert load_config(LEAST | {"device": device}).device == device
