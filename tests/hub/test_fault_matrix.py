"""All that can go wrong while bytes arrive, and the state that each leaves behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sharded_repository import NEEDED, OTHER_SHARD, REPO, SHARD, SHARD_BYTES

from hub_stand_in import Fault, HubStandIn, Stall, Status, Truncated, WrongBytes
from stillknows.errors import StudyError
from stillknows.models.download import download
from stillknows.models.hub import HubError

DOWNLOAD = """
import sys
from pathlib import Path
from stillknows.models.download import download
download(sys.argv[1], note=Path(sys.argv[2]))
"""


def assert_all_there(sharded: Path, note: Path | None = None) -> None:
    """Every needed file, right to the last byte, and nothing half-done beside them."""
    done = download(REPO, note=note)
    for name in NEEDED:
        assert (done.folder / name).read_bytes() == (sharded / name).read_bytes()
    assert set(done.fetched) == NEEDED
    assert not list((done.folder.parent.parent / "blobs").glob("*.incomplete"))


def failure(repo: str = REPO, note: Path | None = None) -> StudyError:
    """The error of a download; checks that it is one line."""
    with pytest.raises(StudyError) as error:
        download(repo, note=note)
    assert "\n" not in str(error.value)
    return error.value


def in_snapshot(home: Path, name: str) -> bool:
    return bool(list(home.glob(f"hub/models--*/snapshots/*/{name}")))


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Status(503), "busy"), (Status(403), "bad_token"), (Truncated(), "unreachable")],
)
def test_what_the_next_try_brings(
    hub: HubStandIn, home: Path, sharded: Path, tmp_path: Path, fault: Fault, status: str
) -> None:
    """The library gives up; the job fails in one line, and Snakemake starts it again."""
    hub.faults[REPO, SHARD] = [fault]
    note = tmp_path / "fetched.json"
    error = failure(note=note)
    assert isinstance(error, HubError)
    assert error.status == status
    assert not in_snapshot(home, SHARD)
    assert_all_there(sharded, note)
    assert hub.sent(REPO, OTHER_SHARD) == SHARD_BYTES


def test_wrong_bytes_are_named_and_fetched_by_the_next_try(
    hub: HubStandIn, sharded: Path, tmp_path: Path
) -> None:
    hub.faults[REPO, SHARD] = [WrongBytes()]
    hub.faults[REPO, "tokenizer.json"] = [WrongBytes()]
    note = tmp_path / "fetched.json"
    error = failure(note=note)
    served = hub.repositories[REPO].files[hub.repositories[REPO].commits["main"]]
    for name, listed in (
        (SHARD, served[SHARD].sha256),
        ("tokenizer.json", served["tokenizer.json"].blob_id),
    ):
        assert re.search(rf"{name} \(its hash is [0-9a-f]+, the hub lists {listed}\)", str(error))
    assert_all_there(sharded, note)
    assert hub.sent(REPO, SHARD) == 2 * SHARD_BYTES
    assert hub.sent(REPO, OTHER_SHARD) == SHARD_BYTES


def start_download(hub: HubStandIn, home: Path, note: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | hub.environment(home)
    command = [sys.executable, "-c", DOWNLOAD, REPO, str(note)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not ready():
        assert process.poll() is None, "the download ended"
        time.sleep(0.02)


def test_what_a_killed_process_has_finished_is_kept_and_still_ours(
    hub: HubStandIn, sharded: Path, home: Path, tmp_path: Path
) -> None:
    hub.faults[REPO, SHARD] = [Stall(1_000_000, seconds=600)]
    note = tmp_path / "fetched.json"
    process = start_download(hub, home, note)
    blobs = home / "hub/models--someone--sharded/blobs"
    wait_until(lambda: in_snapshot(home, OTHER_SHARD), process)
    wait_until(lambda: any(blobs.glob("*.incomplete")), process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(blobs.glob("*.incomplete"))
    assert_all_there(sharded, note)
    assert hub.sent(REPO, OTHER_SHARD) == SHARD_BYTES


def test_a_gated_repository_leaves_nothing_behind(
    hub: HubStandIn, home: Path, sharded: Path
) -> None:
    hub.add("someone/gated", sharded, gated=True)
    error = failure("someone/gated")
    assert isinstance(error, HubError)
    assert error.status == "gated"
    assert not list(home.glob("hub/models--*/snapshots/*"))


def test_a_full_disk_is_seen_before_the_first_byte(
    hub: HubStandIn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage("/")._replace(free=2 * SHARD_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    error = failure()
    assert "needs 6.0 MB more" in str(error)
    assert f"{home / 'hub'} has 6.0 MB free" in str(error)
    assert hub.sent(REPO, SHARD) == 0


def test_nothing_of_a_token_is_written_anywhere(
    hub: HubStandIn,
    sharded: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: pytest.LogCaptureFixture,
) -> None:
    lines.set_level("DEBUG")
    hub.add("someone/gated", sharded, gated=True)
    hub.faults["someone/gated", SHARD] = [Status(429), WrongBytes()]
    monkeypatch.setenv("HF_TOKEN", hub.token)
    written = str(failure("someone/gated"))
    assert "damaged, and removed" in written
    done = download("someone/gated")
    hub.faults["someone/gated", SHARD] = [Status(404)]
    (done.folder / SHARD).resolve().unlink()
    written += lines.text + str(failure("someone/gated")) + repr(done)
    for path in home.rglob("*"):
        written += path.read_text(errors="ignore") if path.is_file() else path.name
    assert hub.token not in written
    assert any(request.authorized for request in hub.requests)
