"""Keys that a config file gives twice."""

from pathlib import Path

import pytest

from stillknows.errors import StudyError
from stillknows.study.load import check_config_file


def check(tmp_path: Path, text: str, encoding: str = "utf-8") -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding=encoding)
    check_config_file(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dtype: float32\nseed: 1\ndtype: bfloat16\n", "'dtype' .* in line 1 and in line 3"),
        ("controls:\n  layers: [1]\n  layers: [2]\n", "'layers' .* in line 2 and in line 3"),
        ("models: {1: {concepts: a}, '1': {concepts: b}}\n", "'1' .* in line 1 and in line 1"),
        ('{\n\t"seed": 1,\n\t"seed": 2\n}\n', "'seed' .* in line 2 and in line 3"),
        ("x: &x {a: 1, a: 2}\ny: *x\n", "'a' .* in line 1"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_key_given_twice_is_named_with_its_lines(
    tmp_path: Path, text: str, said: str, encoding: str
) -> None:
    with pytest.raises(StudyError, match=f"study.yaml: the key {said}.*keep one") as caught:
        check(tmp_path, text, encoding)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {steps: 1}\nb: {<<: *a, steps: 2}\n",
        "a: {x: 1}\nb: {x: 1}\n",
        "a: &a [*a]\n",
        "? [1, 2]\n: 3\n",
        "",
        "a: [",
        "[" * 10_000,
    ],
)
def test_what_is_no_repetition_passes(tmp_path: Path, text: str) -> None:
    check(tmp_path, text)
