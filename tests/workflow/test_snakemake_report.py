"""`snakemake --report`: every figure, by category, with its caption; made without a network."""

import os
from pathlib import Path

import pytest
from tiny_study import Workflow

ROOT = Path(__file__).parents[2]


def test_every_figure_stands_in_it_with_its_caption(
    done: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Any address that is asked for goes to a port where nobody answers.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), os.environ[name])
    run = done.run("--report", "snakemake.html")
    assert run.status == 0, run.output
    text = (done.root / "snakemake.html").read_text(encoding="utf-8")
    for figure in ("curves", "curves_by_method", "heatmap", "last_layer"):
        assert f"{figure}.sliding_3.notebook.krs.png" in text
    assert "Knowledge Recovery Score of tiny against layer" in text
    assert "sliding_3, notebook, krs" in text  # the subcategory
    assert "{{ snakemake" not in text
