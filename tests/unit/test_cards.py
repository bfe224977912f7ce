"""Several GPUs on one machine: each job has a card of its own. No GPU is needed for that."""

import os
import subprocess
import sys
from pathlib import Path

JOB = """
import os, sys
from pathlib import Path
from stillknows.cards import take_card
from stillknows.errors import StudyError
try:
    take_card(Path(sys.argv[1]))
    print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    sys.stdin.read()
except StudyError as error:
    print(error, flush=True)
"""


def start(folder: Path, cards: str) -> "subprocess.Popen[str]":
    """A job that holds its card until it is told to end, or is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": cards},
    )


def said(job: "subprocess.Popen[str]") -> str:
    assert job.stdout
    return job.stdout.readline().strip()


def test_two_jobs_never_have_the_same_card_and_a_killed_one_frees_its_own(tmp_path: Path) -> None:
    two = "3,GPU-ab"
    first, second = start(tmp_path, two), start(tmp_path, two)
    cards = said(first), said(second)
    assert {*cards} == {"3", "GPU-ab"}
    assert "--resources gpu=2" in said(start(tmp_path, two))
    first.kill()
    first.wait()
    third = start(tmp_path, two)
    assert said(third) == cards[0]
    for job in (second, third):
        job.communicate("")


def test_with_fewer_than_two_cards_nothing_is_chosen(tmp_path: Path) -> None:
    for cards in ("1", ""):
        job = start(tmp_path, cards)
        assert said(job) == cards
        job.communicate("")
