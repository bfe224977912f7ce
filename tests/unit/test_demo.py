"""The demo's input files: what the generator of invented facts makes, and a row per state."""

import json
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from fact_rounds import FORGET, RETAIN  # noqa: E402
from invented import entry, invent  # noqa: E402

from stillknows.study.load import load_study  # noqa: E402
from stillknows.study.products import Products  # noqa: E402


def test_the_concepts_are_what_the_generator_makes() -> None:
    subjects = invent(seed=0, subjects=6, alike=True)
    parts = {FORGET: subjects[:3], RETAIN: subjects[3:]}
    made = [entry(name, [*chain(*part)]) for name, part in parts.items()]
    assert json.loads((ROOT / "demo/concepts.json").read_text(encoding="utf-8")) == made


@pytest.mark.parametrize("relearn", [True, False])
def test_the_report_shows_the_answers_of_every_model_of_a_round(
    relearn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load(Path("config/demo.yaml").read_text(encoding="utf-8"))
    config["recall"]["relearn"] = relearn  # without, there is no round
    methods = ("original", "reference", "never", "hide", "grad_diff", "npo")
    paths = [f"results/demo/recall/smollm2-135m/{method}/{FORGET}.parquet" for method in methods]
    found = Products(load_study(config))
    assert found.report_recalls() == (paths if relearn else [])
    assert found.results("recall") == paths
