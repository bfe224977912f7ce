"""A hub on this machine, and this process's client pointed at it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import close_session, constants
from sharded_repository import REPO, save_sharded

from hub_stand_in import HubStandIn


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two shards, with all that a real one has beside them."""
    return save_sharded(tmp_path_factory.mktemp("sharded"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """HF_HOME of the client."""
    return tmp_path / "hf_home"


@pytest.fixture
def hub(sharded: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """The stand-in, serving `REPO`; the client reads its settings once, so they are set there."""
    with HubStandIn() as stand_in:
        stand_in.add(REPO, sharded)
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


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library's pauses between its tries take no time."""
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, from the level on that a job's log has."""
    caplog.set_level(logging.INFO)
    return caplog
