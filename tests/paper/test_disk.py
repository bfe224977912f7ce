"""A part of the tiny paper on a small disk: one concept after the other, nothing kept."""

import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tiny_paper import CONFIG, ROWS, files_of, make_paper, needed_files
from tiny_study import ROOT

from hub_stand_in import HubStandIn

MODEL = "olmo-7b"
METHOD = "dpo"
CONCEPTS = [4, 37]  # a round each
PART: dict[str, Any] = {
    "concepts": {"llama2-7b": [], MODEL: CONCEPTS},
    "methods": [METHOD],
    "experiments": ["attention", "value_vectors"],
    "jobs": "experiment",
}
PART_ROWS = [row for row in ROWS if row.model == MODEL and row.method in ("original", METHOD)]
SECONDS = 0.02  # between two looks at the disk


class Peak:
    """The most bytes that a folder held."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def watched(folder: Path) -> Iterator[Peak]:
    """Look at a folder's size again and again; links count for nothing."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS):
            peak.bytes = max(peak.bytes, size_of(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def weights_of(folder: Path) -> int:
    sizes = needed_files(folder)
    return sum(size for name, size in sizes.items() if name.endswith(".safetensors"))


def size_of(folder: Path) -> int:
    """Bytes of a folder's files, while others write there; links count for nothing.

    os.walk forgives a folder that vanishes under it, and a renamed file counts once.
    """
    sizes: dict[int, int] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                found = Path(root, name).lstat()
            except FileNotFoundError:  # removed between the two looks
                continue
            if stat.S_ISREG(found.st_mode):
                sizes[found.st_ino] = found.st_size
    return sum(sizes.values())


def test_the_documented_loop_names_every_concept() -> None:
    text = (ROOT / "docs/how-to/checkpoints.md").read_text(encoding="utf-8")
    lists = [list(map(int, found.split())) for found in re.findall(r'echo "([\d ]+)"', text)]
    assert lists == list(CONFIG["concepts"].values())


def test_one_concept_at_a_time_needs_one_concepts_disk(
    repositories: dict[str, Path], tmp_path: Path
) -> None:
    small_disk = ("--config", "keep_checkpoints=false")
    with HubStandIn() as hub:
        paper = make_paper(tmp_path, hub, repositories, **PART)
        with watched(paper.home) as peak:
            for concept in CONCEPTS:
                only = f"concepts={{llama2-7b: [], {MODEL}: [{concept}]}}"
                swept = paper.run("sweeps", *small_disk, only)
                assert swept.status == 0, swept.output
    finished = paper.run(*small_disk, network=False)
    assert finished.status == 0, finished.output

    weights = {repo: weights_of(folder) for repo, folder in repositories.items()}
    kept = sum(weights[row.location] for row in PART_ROWS if not row.concept)
    rounds = [
        sum(weights[row.location] for row in PART_ROWS if row.concept == str(concept))
        for concept in CONCEPTS
    ]
    # Configs and tokenizers stay, and what the cache notes for itself.
    small = size_of(paper.home)
    assert kept < peak.bytes <= kept + max(rounds) + small < kept + sum(rounds)

    # Weights came once: later runs fetched nothing again for finished sweeps.
    sent = files_of(hub.requests)
    came = {item: count for item, count in sent.items() if item[1].endswith(".safetensors")}
    assert len({repo for repo, _ in came}) == 1 + len(CONCEPTS)
    assert set(came.values()) == {1}
    assert not list(paper.home.rglob("*.safetensors"))

    coverage = pd.read_csv(paper.result("tables/coverage.csv"))
    assert len(coverage) == len(CONCEPTS) * len(PART["experiments"])
    assert set(coverage["status"]) == {"done"}
    assert paper.run("--dry-run", *small_disk, network=False).jobs == {}
