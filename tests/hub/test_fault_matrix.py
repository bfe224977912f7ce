"""All that can go wrong while bytes arrive, and the state that each leaves behind."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants
from sharded_repository import NEEDED, OTHER_SHARD, REPO, SHARD, SHARD_BYTES

from dissect.checkpoints import fetch as fetching
from dissect.checkpoints.download import download
from dissect.checkpoints.hub import HubError
from dissect.errors import DissectError
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

CHUNK = 1 << 16  # the client reads, and this workflow writes, no more at a time
DOWNLOAD = "import sys; from dissect.checkpoints.download import download; download(sys.argv[1])"


def assert_all_there(sharded: Path) -> None:
    """Every needed file, right to the last byte, and nothing half-done beside them."""
    done = download(REPO)
    for name in NEEDED:
        assert (done.folder / name).read_bytes() == (sharded / name).read_bytes()
    assert set(done.fetched) == NEEDED
    assert not list((done.folder.parent.parent / "blobs").glob("*.incomplete"))


def failure(repo: str = REPO) -> DissectError:
    """The error of a download; checks that it is one line."""
    with pytest.raises(DissectError) as error:
        download(repo)
    assert "\n" not in str(error.value)
    return error.value


def in_snapshot(home: Path, name: str) -> bool:
    return bool(list(home.glob(f"hub/models--*/snapshots/*/{name}")))


def ranges(hub: HubStandIn, name: str = SHARD) -> list[str]:
    return [request.range for request in hub.requests if request.file == name]


@pytest.mark.parametrize(
    "faults", [[Status(429, retry_after=9)], [Status(503)] * 3, [Cut(0)], [Status(408)]]
)
def test_a_busy_hub_is_asked_again(
    hub: HubStandIn, sharded: Path, waits: list[float], faults: list[Status]
) -> None:
    hub.faults[REPO, SHARD] = list(faults)
    asked = [it.retry_after for it in faults if isinstance(it, Status) and it.retry_after]
    assert_all_there(sharded)
    assert waits == asked or (not asked and len(waits) == len(faults))
    assert hub.sent(REPO, SHARD) == SHARD_BYTES


def test_a_cut_connection_goes_on_where_it_broke_off(hub: HubStandIn, sharded: Path) -> None:
    hub.faults[REPO, SHARD] = [Cut(1_000_000), Cut(500_000)]
    assert_all_there(sharded)
    assert ranges(hub) == ["", "bytes=1000000-", "bytes=1500000-"]
    assert hub.sent(REPO, SHARD) == SHARD_BYTES


def test_any_number_of_cuts_is_borne_as_long_as_bytes_arrive(
    hub: HubStandIn, sharded: Path
) -> None:
    hub.faults[REPO, SHARD] = [Cut(100_000)] * 20
    assert_all_there(sharded)
    assert hub.sent(REPO, SHARD) == SHARD_BYTES


def test_a_stalled_connection_counts_as_cut(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1.0)
    hub.faults[REPO, SHARD] = [Stall(1_000_000, seconds=600)]
    assert_all_there(sharded)
    assert ranges(hub) == ["", "bytes=1000000-"]
    assert f"hub:{REPO}, {SHARD}: nothing has come for too long; try 2 of 6" in lines.text


def test_a_server_that_ignores_the_range_starts_at_the_beginning(
    hub: HubStandIn, sharded: Path
) -> None:
    hub.faults[REPO, SHARD] = [Cut(1_000_000), IgnoreRange()]
    assert_all_there(sharded)
    assert hub.sent(REPO, SHARD) == 1_000_000 + SHARD_BYTES


def test_wrong_bytes_are_named_and_fetched_again(
    hub: HubStandIn, sharded: Path, lines: pytest.LogCaptureFixture
) -> None:
    hub.faults[REPO, SHARD] = [WrongBytes()]
    hub.faults[REPO, "tokenizer.json"] = [WrongBytes()]
    assert_all_there(sharded)
    assert f"{SHARD} came damaged: its sha256 is" in lines.text
    assert "tokenizer.json came damaged: its git id is" in lines.text
    assert hub.sent(REPO, SHARD) == 2 * SHARD_BYTES


@pytest.mark.parametrize("fault", [WrongBytes(), WrongSha256()])
def test_bytes_that_stay_wrong_are_an_error_and_never_in_the_snapshot(
    hub: HubStandIn, home: Path, fault: WrongBytes | WrongSha256
) -> None:
    hub.faults[REPO, SHARD] = [fault] * 3
    error = failure()
    served = hub.repositories[REPO].files[hub.repositories[REPO].commits["main"]][SHARD].sha256
    assert f"{SHARD} came damaged 3 times: its sha256 is" in str(error)
    assert served in str(error)
    assert hub.sent(REPO, SHARD) == 3 * SHARD_BYTES
    assert not in_snapshot(home, SHARD)
    assert not list(home.glob(f"hub/models--*/blobs/*{served}*"))


def test_a_wrong_file_from_a_killed_run_is_thrown_away(
    hub: HubStandIn, sharded: Path, home: Path
) -> None:
    served = hub.repositories[REPO].files[hub.repositories[REPO].commits["main"]][SHARD]
    blobs = home / "hub/models--someone--sharded/blobs"
    blobs.mkdir(parents=True)
    for garbage in (1_000_000, SHARD_BYTES, 2 * SHARD_BYTES):
        (blobs / f"{served.sha256}.incomplete").write_bytes(b"?" * garbage)
        (blobs / served.sha256).unlink(missing_ok=True)
        assert_all_there(sharded)


def test_a_file_that_ends_too_early_goes_on(hub: HubStandIn, sharded: Path) -> None:
    hub.faults[REPO, SHARD] = [Truncated()]
    assert_all_there(sharded)
    assert hub.sent(REPO, SHARD) == SHARD_BYTES


def test_a_file_that_is_shorter_on_the_hub_is_an_error(
    hub: HubStandIn, home: Path, sharded: Path, tmp_path: Path
) -> None:
    short = shutil.copytree(sharded, tmp_path / "short")
    hub.add(REPO, short)
    (short / SHARD).write_bytes((short / SHARD).read_bytes()[:1_000_000])
    error = failure()
    assert f"{SHARD}: it ends after 1000000 of {SHARD_BYTES} bytes, 6 times over" in str(error)
    assert not in_snapshot(home, SHARD)


def start_download(hub: HubStandIn, home: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | hub.environment(home)
    return subprocess.Popen([sys.executable, "-c", DOWNLOAD, REPO], env=environment)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not ready():
        assert process.poll() is None, "the download ended"
        time.sleep(0.02)


def test_a_killed_process_loses_less_than_a_chunk(
    hub: HubStandIn, sharded: Path, home: Path
) -> None:
    """The hub stalls, so that all it has sent has arrived when the process is killed."""
    arrived = 2_000_001
    hub.faults[REPO, SHARD] = [Stall(arrived, seconds=600)]
    process = start_download(hub, home)

    blobs = home / "hub/models--someone--sharded/blobs"
    served = hub.repositories[REPO].files[hub.repositories[REPO].commits["main"]]

    def partial_size() -> int:
        path = blobs / f"{served[SHARD].sha256}.incomplete"
        return path.stat().st_size if path.exists() else 0

    wait_until((blobs / served[OTHER_SHARD].sha256).exists, process)
    wait_until(lambda: partial_size() > arrived - CHUNK, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = partial_size()
    assert_all_there(sharded)
    again = hub.sent(REPO, SHARD) - SHARD_BYTES
    assert 0 <= again == arrived - kept < CHUNK
    assert ranges(hub) == ["", f"bytes={kept}-"]
    assert hub.sent(REPO, OTHER_SHARD) == SHARD_BYTES


def test_two_processes_fetch_every_byte_once(hub: HubStandIn, sharded: Path, home: Path) -> None:
    """One holds a shard, which stalls until the other process waits for it."""
    hub.faults[REPO, SHARD] = [Stall(1_000_000, seconds=3)]
    processes = [start_download(hub, home) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    done = download(REPO)
    for name in NEEDED - {"model.safetensors.index.json"}:  # which finding reads, too
        assert hub.sent(REPO, name) == (sharded / name).stat().st_size
    assert set(done.fetched) == NEEDED


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


@pytest.mark.parametrize("at_the_end", ["an error", "nothing written"])
def test_a_disk_that_fills_up_is_one_line_and_what_arrived_is_kept(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch, at_the_end: str
) -> None:
    room = [2_000_000]
    write = os.write
    one_at_a_time = threading.Lock()

    def full_disk(handle: int, block: bytes) -> int:
        # As a real one: what fits is written, then nothing.
        with one_at_a_time:
            if room[0] == 0 and at_the_end == "an error":
                raise OSError(errno.ENOSPC, "No space left on device")
            written = write(handle, block[: room[0]])
            room[0] -= written
            return written

    with monkeypatch.context() as patch:
        patch.setattr(fetching.os, "write", full_disk)
        error = failure()
    assert "no space left in" in str(error)
    assert "what has arrived is kept" in str(error)
    assert_all_there(sharded)
    assert any(it.startswith("bytes=") for it in [*ranges(hub), *ranges(hub, OTHER_SHARD)])


def test_a_disk_that_is_full_already_is_one_line_too(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", full_disk)
    assert "no space left in" in str(failure())


def test_one_files_failure_stops_the_others(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other shard would stall a hundred times over."""
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1.0)
    hub.faults[REPO, SHARD] = [Status(404)]
    hub.faults[REPO, OTHER_SHARD] = [Stall(1000, seconds=600)] * 100
    error = failure()
    assert isinstance(error, HubError)
    assert error.status == "gone"
    assert "the hub answers 404 where a file was announced" in str(error)
    assert len(ranges(hub, OTHER_SHARD)) < 5


def test_two_writers_of_one_file_are_noticed_where_locks_do_not_hold(
    hub: HubStandIn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def write_beside(handle: int, block: bytes) -> int:
        written = write(handle, block)
        for partial in home.rglob("*.incomplete"):
            with partial.open("ab") as other:
                other.write(b"!")
        return written

    with monkeypatch.context() as patch:
        patch.setattr(fetching.os, "write", write_beside)
        assert "another process writes" in str(failure())


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
    done = download("someone/gated")
    written = "".join(record.getMessage() for record in lines.records if record.name == "dissect")
    assert "came damaged" in written
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
    assert hub.sent(REPO, SHARD) == SHARD_BYTES
