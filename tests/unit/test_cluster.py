"""What a cluster's user and its killed runs need, without a cluster."""

import os
import socket
from pathlib import Path

import pytest

from stillknows.cluster import runs, site
from stillknows.cluster.runs import Job, Run
from stillknows.errors import StudyError

RUN_ID = "0f6c1d3e-0000-4000-8000-0123456789ab"


def write_site(folder: Path, text: str) -> None:
    path = folder / site.SITE_FILE
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")


# ---- the site file ----------------------------------------------------------------------------


def test_account_and_qos_go_to_every_job_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_site(tmp_path, "{account: 12345, qos: all, partition: gpu}")
    found = site.read_site()
    # `all` would be a function where Snakemake evaluates it.
    assert found.default["slurm_account"] == "'12345'"
    assert found.default["qos"] == "'all'"
    assert found.default["slurm_partition"] == "'gpu'"
    assert found.of_rules == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("queue: gpu", "queue: .*allowed keys: account, partition"),
        ("{gpu_type: a, gpu_gres: 'gpu:a:1'}", "keep one"),
        ("gpu_gres: '--gres=gpu:1'", "gpu_gres"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_wrong_site_file_is_told_in_one_line(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_site(tmp_path, text)
    with pytest.raises(StudyError, match=said) as error:
        site.read_site()
    assert "\n" not in str(error.value)


# ---- killed runs ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with nothing in the queue."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "unfinished_jobs", lambda folder: [])
    return tmp_path


def killed(identifier: str = RUN_ID) -> Run:
    # This process's number, but another beginning: the number was given away again.
    run = Run(identifier, socket.gethostname(), os.getpid(), "1", "", ("--profile", "slurm"))
    run.write()
    return run


def in_the_queue(monkeypatch: pytest.MonkeyPatch, *jobs: Job) -> None:
    monkeypatch.setattr(runs, "unfinished_jobs", lambda folder: list(jobs))


def test_a_killed_runs_jobs_stop_the_next_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed()
    in_the_queue(monkeypatch, Job("17", RUN_ID, "rule_x"))
    with pytest.raises(StudyError, match=r"Slurm 17.*-m stillknows\.cluster end.*wait"):
        runs.refuse_killed_runs()


def test_a_killed_runs_lock_stops_the_next_one(folder: Path) -> None:
    killed()
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.input.lock").touch()
    with pytest.raises(StudyError, match="none of its jobs is in the queue"):
        runs.refuse_killed_runs()


def test_jobs_of_a_living_run_are_no_orphans(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.this_run(RUN_ID, "").write()
    in_the_queue(monkeypatch, Job("17", RUN_ID, ""), Job("18", RUN_ID.replace("0f", "1f"), ""))
    assert [job.id for job in runs.orphans()] == ["18"]
    with pytest.raises(StudyError, match="Slurm 18"):
        runs.refuse_orphans()


def test_a_run_that_ends_cancels_the_rest_of_its_jobs_and_no_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.this_run(RUN_ID, "")
    run.write()
    in_the_queue(monkeypatch, Job("17", RUN_ID, ""), Job("18", RUN_ID.replace("0f", "1f"), ""))
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(runs, "ask", lambda *command: asked.append(command))
    run.cancel_rest()
    assert asked == [("scancel", "17")]
    assert runs.recorded_runs() == []
