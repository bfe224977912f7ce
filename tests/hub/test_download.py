"""A checkpoint in the hub's cache: brought, found, shared, removed."""

import hashlib
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download
from release_checkpoint import remove
from sharded_repository import NEEDED, OTHER_SHARD, REPO, SHARD

from hub_stand_in import HubStandIn
from stillknows.errors import StudyError
from stillknows.models.download import Download, download

FOLDER = "models--someone--sharded"


def sha256(done: Download) -> dict[str, str]:
    """The hashes of a download by the files' names."""
    return {Path(path).name: hashed.sha256 for path, hashed in done.hashes.items()}


def bring_by_the_hubs_client(hub: HubStandIn, sharded: Path) -> Path:
    """The whole repository, but for pickle, as another program puts it into the shared cache."""
    return Path(
        snapshot_download(
            REPO, endpoint=hub.endpoint, cache_dir=constants.HF_HUB_CACHE, ignore_patterns="*.bin"
        )
    )


def test_all_needed_files_and_no_others_are_brought_bit_by_bit(
    hub: HubStandIn, sharded: Path, home: Path
) -> None:
    done = download(REPO)
    assert done.commit == hub.repositories[REPO].commits["main"]
    assert done.folder == home / "hub" / FOLDER / "snapshots" / done.commit
    assert {path.name for path in done.folder.iterdir()} == NEEDED
    for name in NEEDED:
        served = (sharded / name).read_bytes()
        assert (done.folder / name).read_bytes() == served
        assert sha256(done)[name] == hashlib.sha256(served).hexdigest()
    assert set(done.fetched) == NEEDED
    assert not list((home / "hub" / FOLDER / "blobs").glob("*.incomplete"))


@pytest.mark.parametrize("damage", ["other bytes", "too short"])
def test_a_damaged_file_in_the_cache_is_named_and_replaced_by_the_next_try(
    hub: HubStandIn, sharded: Path, damage: str
) -> None:
    blob = (bring_by_the_hubs_client(hub, sharded) / SHARD).resolve()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + b"?" if damage == "other bytes" else content[:1000])
    with pytest.raises(StudyError, match=SHARD):
        download(REPO)
    done = download(REPO)
    assert (done.folder / SHARD).read_bytes() == content
    assert done.fetched == [SHARD]


def test_a_second_download_asks_once_and_fetches_nothing(hub: HubStandIn) -> None:
    first = download(REPO)
    for revision in ("", first.commit):
        requests = len(hub.requests)
        again = download(REPO, revision)
        assert (again.folder, sha256(again), again.fetched) == (first.folder, sha256(first), [])
        assert len(hub.requests) == requests + 1


@pytest.mark.parametrize("named", ["", "main", "commit"])
def test_with_everything_cached_an_unreachable_hub_is_no_obstacle(
    hub: HubStandIn, sharded: Path, lines: pytest.LogCaptureFixture, named: str
) -> None:
    bring_by_the_hubs_client(hub, sharded)
    hub.stop()
    commit = hub.repositories[REPO].commits["main"]
    done = download(REPO, commit if named == "commit" else named)
    assert (done.commit, set(sha256(done)), done.fetched) == (commit, NEEDED, [])
    assert lines.text.count(f"using commit {commit} from the cache") == 1


def test_removing_gives_back_the_bytes(hub: HubStandIn, sharded: Path) -> None:
    done = download(REPO)
    assert remove(done.folder, done.fetched) == sum(
        (sharded / name).stat().st_size for name in NEEDED
    )
    assert list(done.folder.iterdir()) == []
    assert list((done.folder.parent.parent / "blobs").iterdir()) == []
    assert remove(done.folder, done.fetched) == 0
    again = download(REPO, done.commit)
    assert (sha256(again), set(again.fetched)) == (sha256(done), NEEDED)


def test_removing_keeps_what_another_snapshot_needs(
    hub: HubStandIn, sharded: Path, tmp_path: Path
) -> None:
    old = download(REPO)
    newer = shutil.copytree(sharded, tmp_path / "newer")
    (newer / OTHER_SHARD).write_bytes(b"x" * 5000)
    hub.add(REPO, newer)
    new = download(REPO)
    assert remove(new.folder, [SHARD, OTHER_SHARD]) == 5000
    assert (old.folder / SHARD).read_bytes() == (sharded / SHARD).read_bytes()


@pytest.mark.parametrize("name", ["model.safetensors", "../../../precious"])
def test_nothing_is_removed_outside_of_a_snapshot(
    hub: HubStandIn, tmp_path: Path, name: str
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "model.safetensors").touch()
    with pytest.raises(StudyError, match="is not a snapshot in the hub's cache"):
        remove(own, [name])
    done = download(REPO)
    precious = done.folder / "../../../precious"
    precious.touch()
    assert remove(done.folder, [name]) == 0
    assert precious.exists()
    assert (own / "model.safetensors").exists()
