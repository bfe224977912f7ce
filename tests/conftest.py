"""Fixtures that several tiers share."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

# The tests' tensors are tiny: more threads would only wait for each other.
torch.set_num_threads(1)
HERE = Path(__file__).parent
# What tests import: the helpers beside this file, and the workflow's scripts.
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "scripts")]

from tiny import save_tiny  # noqa: E402 (found through the line above)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder: an original."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "original")


@pytest.fixture
def copy(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy of the tiny original that a test may spoil."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "copy"))


@pytest.fixture(scope="session")
def tiny_unlearned(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder: the original with noise on its layers."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "unlearned", near=tiny_llama, seed=1)
