"""A hub with one repository, and no waiting."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from sharded_repository import REPO, save_sharded

from hub_stand_in import HubStandIn


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two shards, with all that a real one has beside them."""
    return save_sharded(tmp_path_factory.mktemp("sharded"))


@pytest.fixture
def hub(hub: HubStandIn, sharded: Path) -> HubStandIn:
    """The stand-in, serving `REPO`."""
    hub.add(REPO, sharded)
    return hub


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
