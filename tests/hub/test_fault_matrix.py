"""All that can go wrong while bytes arrive, and the state that each leaves behind."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from huggingface_hub import constants, file_download
from sharded_repository import NEEDED, OTHER_SHARD, REPO, SHARD, SHARD_BYTES

from dissect.checkpoints.download import download
from dissect.checkpoints.hub import HubError
from dissect.errors import DissectError
from hub_records import Fault
from hub_stand_in import (
    Cut,
    HubStandIn,
    IgnoreRange,
    Stall,
    Status,
    Truncated,
    WrongBytes,
    WrongSha256,
)

DOWNLOAD = """
import sys
from pathlib import Path
from dissect.checkpoints.download import download
download(sys.argv[1], note=Path(sys.argv[2]))
"""


def assert_all_there(sharded: Path, note: Path | None = None) -> None:
    """Every needed file, right to the last byte, and nothing half-done beside them."""
    done = download(REPO, note=note)
    for name in NEEDED:
        assert (done.folder / name).read_bytes() == (sharded / name).read_bytes()
    assert set(done.fetched) == NEEDED
    assert not list((done.folder.parent.parent / "blobs").glob("*.incomplete"))


def failure(repo: str = REPO, note: Path | None = None) -> DissectError:
    """The error of a download; checks that it is one line."""
    with pytest.raises(DissectError) as error:
        download(repo, note=note)
    assert "\n" not in str(error.value)
    return error.value


def in_snapshot(home: Path, name: str) -> bool:
    return bool(list(home.glob(f"hub/models--*/snapshots/*/{name}")))


@pytest.mark.parametrize(
    "faults",
    [
        [Status(429, retry_after=9), Status(408)],
        [Cut(0), Cut(1_000_000), Cut(500_000)],
        [Cut(1_000_000), IgnoreRange()],
        [Stall(1_000_000, seconds=600)],
    ],
    ids=["busy", "cut", "cut, and the range ignored", "stalled"],
)
def test_what_the_library_tries_again(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch, faults: list[Fault]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1.0)
    hub.faults[REPO, SHARD] = list(faults)
    assert_all_there(sharded)
    assert hub.faults[REPO, SHARD] == []


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


@pytest.mark.parametrize("fault", [WrongBytes(), WrongSha256()])
def test_bytes_that_stay_wrong_are_an_error_and_never_in_the_snapshot(
    hub: HubStandIn, home: Path, fault: WrongBytes | WrongSha256
) -> None:
    hub.faults[REPO, SHARD] = [fault] * 2
    served = hub.repositories[REPO].files[hub.repositories[REPO].commits["main"]][SHARD].sha256
    for _ in range(2):
        assert f"damaged, and removed: {SHARD}" in str(failure())
        assert not in_snapshot(home, SHARD)
        assert not list(home.glob(f"hub/models--*/blobs/*{served}*"))
    assert hub.sent(REPO, SHARD) == 2 * SHARD_BYTES


def test_a_file_that_is_shorter_on_the_hub_is_an_error(
    hub: HubStandIn, home: Path, sharded: Path, tmp_path: Path
) -> None:
    short = shutil.copytree(sharded, tmp_path / "short")
    hub.add(REPO, short)
    (short / SHARD).write_bytes((short / SHARD).read_bytes()[:1_000_000])
    error = failure()
    assert "a file is shorter than announced" in str(error)
    assert not in_snapshot(home, SHARD)


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


def test_two_processes_fetch_every_shard_once(
    hub: HubStandIn, sharded: Path, home: Path, tmp_path: Path
) -> None:
    """One holds a shard, which stalls until the other process waits for it."""
    hub.faults[REPO, SHARD] = [Stall(1_000_000, seconds=3)]
    processes = [start_download(hub, home, tmp_path / f"{n}.json") for n in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    for name in (SHARD, OTHER_SHARD):
        assert hub.sent(REPO, name) == SHARD_BYTES
    assert download(REPO).fetched == []


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


def test_a_disk_that_fills_up_is_one_line_and_finished_files_are_kept(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    get, note = file_download.http_get, tmp_path / "fetched.json"

    def full_disk(url: str, temp_file: BinaryIO, **named: Any) -> None:
        get(url, temp_file, **named)
        if SHARD in url:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(file_download, "http_get", full_disk)
        error = failure(note=note)
    assert "No space left on device in" in str(error)
    assert "finished files are kept" in str(error)
    assert_all_there(sharded, note)
    assert hub.sent(REPO, OTHER_SHARD) == SHARD_BYTES


def test_a_file_that_is_listed_and_withheld_is_one_line(hub: HubStandIn, home: Path) -> None:
    hub.faults[REPO, SHARD] = [Status(404)]
    error = failure()
    assert isinstance(error, HubError)
    assert (error.status, "it answers 404" in str(error)) == ("gone", True)
    assert not in_snapshot(home, SHARD)


def test_nothing_of_a_token_is_written_anywhere(
    hub: HubStandIn,
    sharded: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: pytest.LogCaptureFixture,
) -> None:
    lines.set_level("DEBUG")
    hub.add("someone/gated", sharded, gated=True)
    hub.faults["someone/gated", SHARD] = [Status(429), Cut(1000), WrongBytes()]
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


def test_the_token_is_not_sent_to_another_host(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.redirect_to_cdn = True
    hub.faults[REPO, SHARD] = [Cut(1000)]
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert_all_there(sharded)
    asked = {(it.server, it.authorized) for it in hub.requests if it.file == SHARD}
    assert asked == {("hub", True), ("cdn", False)}


def test_a_signed_address_is_not_shown(hub: HubStandIn, home: Path, tmp_path: Path) -> None:
    """The library names it in its warnings, and in its errors."""
    hub.redirect_to_cdn = True
    hub.faults[REPO, SHARD] = [Cut(1000), Status(503)]
    process = start_download(hub, home, tmp_path / "fetched.json")
    _, shown = process.communicate()
    assert b"the hub is busy (it answers 503)" in shown
    assert hub.signature.encode() not in shown
