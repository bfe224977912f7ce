"""The clusters, started and stopped by the tests, and the tiny study computed on one of them."""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow")]

from slurm_study import Cluster, Study, prepare  # noqa: E402 (found through the line above)
from tiny_study import Run, make  # noqa: E402

from tiny import save_tiny  # noqa: E402


def free_ports(count: int = 3) -> int:
    """The first of so many ports in a row that nobody uses.

    They are below those that the system gives to outgoing connections (from 32768 on): one of these
    could take a daemon's port while the daemon is away, which then never comes back.
    """
    while True:
        first = random.randrange(10000, 30000)
        with ExitStack() as bound:
            try:
                for port in range(first, first + count):
                    bound.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first


@contextmanager
def running_cluster(*flavour: str) -> Iterator[Cluster]:
    # A short path: sockets' names have 108 characters at most.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        try:
            subprocess.run(
                [HERE / "start_cluster.sh", folder, str(free_ports()), *flavour], check=True
            )
            yield Cluster(Path(folder))
        finally:
            subprocess.run([HERE / "stop_cluster.sh", folder], check=True)


@pytest.fixture(scope="session", autouse=True)
def slurm_packages() -> None:
    """Slurm itself: CI installs it (run.sh); a user's machine is left as it is."""
    missing = [name for name in ("slurmctld", "slurmdbd", "mariadbd") if not shutil.which(name)]
    if missing:
        pytest.exit(f"no {missing[0]} here; as root, on Debian: sh tests/slurm/install.sh", 1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster without accounting."""
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def accounting_cluster() -> Iterator[Cluster]:
    """A cluster with accounting."""
    with running_cluster("accounting") as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny study's inputs; `first_run` computes it."""
    workflow = make(tmp_path_factory.mktemp("slurm") / "study")
    own = workflow.root / "own"
    original = save_tiny(own / "original")
    for seed, name in enumerate(("grad_diff_tea", "dpo_tea", "dpo_mate"), start=1):
        save_tiny(own / name, near=original, seed=seed)
    prepare(workflow)
    return Study(workflow, cluster)


@pytest.fixture
def study(first_run: Run, undisturbed: Study, tmp_path: Path) -> Iterator[Study]:
    """A copy of the computed study; whatever a test leaves in the queue is cancelled."""
    root = tmp_path / "study"
    shutil.copytree(undisturbed.root, root, symlinks=True)
    yield Study(replace(undisturbed.workflow, root=root), undisturbed.cluster)
    undisturbed.cluster.ask("scancel", "--user", str(os.getuid()))


@pytest.fixture(scope="session")
def first_run(undisturbed: Study) -> Run:
    """The study computed on the cluster, undisturbed."""
    return undisturbed.run(target="all")
