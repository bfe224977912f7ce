"""Fixtures that several tiers share."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import close_session, constants

# The tests' tensors are tiny: more threads would only wait for each other.
torch.set_num_threads(1)
HERE = Path(__file__).parent
# What tests import: the helpers beside this file, and the workflow's scripts.
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "scripts")]

from hub_stand_in import HubStandIn  # noqa: E402 (found through the line above)
from tiny import save_tiny  # noqa: E402


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


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """HF_HOME of the hub's client."""
    return tmp_path / "hf_home"


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A hub on this machine; this process's client, which reads its settings once, asks it."""
    with HubStandIn() as stand_in:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        template = stand_in.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", stand_in.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HOME", str(home))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        close_session()
        yield stand_in
        close_session()
