"""The tiny paper, computed once for all tests of this tier: minutes on two cores."""

import sys
from pathlib import Path

import pytest

# What the tiers of the command line share.
sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from tiny_paper import Done, compute, make_checkpoints


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of all checkpoints, by repository."""
    return make_checkpoints(tmp_path_factory.mktemp("repositories"))


@pytest.fixture(scope="session")
def done(repositories: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The whole paper."""
    return compute(tmp_path_factory.mktemp("paper"), repositories)
