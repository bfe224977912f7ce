"""A part of the tiny paper on a small disk: one concept after the other, nothing kept."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tiny_paper import ROWS, files_of, make_paper, needed_files

from hub_stand_in import HubStandIn

CONCEPTS = {"llama2-7b": ["16", "18"], "olmo-7b": ["4", "37"]}
EXPERIMENTS = ["attention", "value_vectors"]
PART: dict[str, Any] = {
    "concepts": CONCEPTS,
    "experiments": EXPERIMENTS,
    "keep_checkpoints": False,
}
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


def size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
        except FileNotFoundError:  # removed between the two looks
            continue
    return size


def test_one_concept_at_a_time_needs_one_concepts_disk(
    repositories: dict[str, Path], tmp_path: Path
) -> None:
    sizes = {repo: needed_files(folder) for repo, folder in repositories.items()}
    weights = {
        repo: sum(size for name, size in files.items() if name.endswith(".safetensors"))
        for repo, files in sizes.items()
    }
    originals = [row.location for row in ROWS if row.method == "original"]
    chosen = [row for row in ROWS if row.concept in CONCEPTS[row.model]]
    pairs = list(zip(*CONCEPTS.values(), strict=True))
    with HubStandIn() as hub:
        paper = make_paper(tmp_path, hub, repositories, **PART)
        with watched(paper.home) as peak:
            for pair in pairs:
                only = {model: [name] for model, name in zip(CONCEPTS, pair, strict=True)}
                swept = paper.run("sweeps", "--config", f"concepts={only}")
                assert swept.status == 0, swept.output
            finished = paper.run()
            assert finished.status == 0, finished.output
    kept = sum(weights[repo] for repo in originals)
    of_a_pair = [
        sum(weights[row.location] for row in chosen if row.concept in pair) for pair in pairs
    ]
    # Configs and tokenizers, which stay, and what the cache writes about itself.
    small = sum(sum(files.values()) for files in sizes.values()) - sum(weights.values())
    everything = kept + sum(of_a_pair)
    assert kept + small < peak.bytes < kept + max(of_a_pair) + small < everything
    # Weights came once: the second loop and the last run fetched nothing for the finished cells.
    sent = files_of(hub.requests)
    came = {item: count for item, count in sent.items() if item[1].endswith(".safetensors")}
    assert {repo for repo, _ in came} == {*originals, *(row.location for row in chosen)}
    assert set(came.values()) == {1}
    assert not list(paper.home.rglob("*.safetensors"))
    coverage = pd.read_csv(paper.result("tables/coverage.csv"))
    assert len(coverage) == 2 * 2 * 2 * len(EXPERIMENTS)
    assert set(coverage["status"]) == {"done"}
    again = paper.run("--dry-run", network=False)
    assert again.jobs == {}
