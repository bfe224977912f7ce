"""The whole paper at tiny size, from the hub's stand-in to the figures."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from tiny_paper import CONFIG, HERE, QUESTIONS, ROWS, Done, needed_files

from stillknows.parquet_files import read_metadata
from tiny import LAYERS


def test_preflight_lists_every_checkpoint_and_its_size(
    done: Done, repositories: dict[str, Path]
) -> None:
    assert done.preflight.status == 0, done.preflight.output
    found = pd.read_csv(done.paper.result("checkpoints/preflight.csv"))
    assert len(found) == len(ROWS) == 42
    assert set(found["status"]) == {"there"}
    assert Counter(found["format"]) == {"transformers": 22, "olmo-legacy": 20}
    for source, size in zip(found["source"], found["bytes"], strict=True):
        assert size == sum(needed_files(repositories[source.removeprefix("hub:")]).values())


def test_preflight_brings_no_weights(done: Done) -> None:
    names = {name for _, name in done.sent_to_preflight}
    assert names <= {"config.json", "model.safetensors.index.json"}


def test_every_file_was_fetched_once_and_nothing_else(
    done: Done, repositories: dict[str, Path]
) -> None:
    assert done.checkpoints.status == 0, done.checkpoints.output
    sent = done.sent_to_checkpoints
    wanted = {(repo, name) for repo in repositories for name in needed_files(repositories[repo])}
    assert set(sent) == wanted
    # The hub's descriptions are read before the download as well.
    looked_at = ("config.json", "model.safetensors.index.json")
    assert {count for (_, name), count in sent.items() if name not in looked_at} == {1}
    assert max(sent.values()) <= 3


def test_the_whole_paper_is_computed(done: Done) -> None:
    assert done.whole.status == 0, done.whole.output
    assert len(list(done.paper.result("krs").rglob("*.parquet"))) == 2 * 2 * 10 * 4
    coverage = pd.read_csv(done.paper.result("tables/coverage.csv"))
    assert len(coverage) == 160
    assert set(coverage["status"]) == {"done"}
    table = pd.read_parquet(done.paper.result("tables/krs.parquet"))
    assert len(table) == 160 * LAYERS * QUESTIONS * 2  # spans
    assert set(table["origin"]) == {"published"}
    assert np.isfinite(table["krs"]).all()
    curves = pd.read_csv(done.paper.result("tables/curves.csv"))
    assert set(curves["model"]) == set(CONFIG["models"])
    for model in CONFIG["models"]:
        for name in ("curves", "curves_by_method", "heatmap", "last_layer"):
            for kind in ("png", "pdf"):
                figure = f"figures/{model}/{name}.sliding_5.notebook.krs.{kind}"
                assert done.paper.result(figure).stat().st_size > 1000


def test_a_sweep_names_the_commits_it_stands_on(done: Done) -> None:
    commits = {repo: served.commits["main"] for repo, served in done.paper.hub.repositories.items()}
    for row in ROWS:
        for sweep in done.paper.result(f"krs/{row.model}/{row.method}/{row.concept}").glob("*"):
            metadata = read_metadata(sweep)
            assert metadata["unlearned_revision"] == commits[row.location]
            assert metadata["unlearned_source"] == row.source


def test_the_computing_part_reached_for_no_network(done: Done) -> None:
    assert done.whole.status == 0, done.whole.output
    assert not done.paper.attempts.exists(), done.paper.attempts.read_text(encoding="utf-8")


def test_a_run_that_is_cut_off_reaches_nothing(tmp_path: Path) -> None:
    attempts = tmp_path / "attempts.txt"
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    cut = {"PYTHONPATH": str(HERE / "no_network"), "NETWORK_ATTEMPTS": str(attempts)}
    tried = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | cut,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "the network is cut off" in tried.stderr
    assert "127.0.0.1" in attempts.read_text(encoding="utf-8")


def test_no_secret_lies_in_any_file(done: Done) -> None:
    secrets = [secret.encode() for secret in (done.paper.hub.token, done.paper.hub.signature)]
    files = [path for path in done.paper.root.rglob("*") if path.is_file()]
    assert len(files) > 1000
    for path in files:
        assert not [path for secret in secrets if secret in path.read_bytes()]
    for run in (done.preflight, done.checkpoints, done.whole):
        assert not [secret for secret in secrets if secret.decode() in run.output]


def test_nothing_is_left_to_be_done(done: Done) -> None:
    again = done.paper.run("--dry-run", network=False)
    assert again.status == 0, again.output
    assert again.jobs == {}
