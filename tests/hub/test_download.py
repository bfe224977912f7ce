"""A checkpoint in the hub's cache: brought, found, shared, removed."""

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest
from huggingface_hub import (
    constants,
    file_download,
    hf_hub_download,
    scan_cache_dir,
    snapshot_download,
)
from release_checkpoint import remove
from sharded_repository import INDEX, NEEDED, OTHER_SHARD, REPO, SHARD, SHARD_BYTES

from dissect.checkpoints.download import Download, download
from dissect.checkpoints.hub import HubError
from dissect.errors import DissectError
from dissect.files import sha256_of
from hub_stand_in import HubStandIn

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


def test_the_hubs_own_client_finds_what_was_brought(hub: HubStandIn, home: Path) -> None:
    done = download(REPO)
    requests = len(hub.requests)
    there = snapshot_download(
        REPO,
        endpoint=hub.endpoint,
        cache_dir=constants.HF_HUB_CACHE,
        local_files_only=True,
        allow_patterns=sorted(NEEDED),
    )
    assert Path(there) == done.folder
    assert len(hub.requests) == requests
    cache = scan_cache_dir(constants.HF_HUB_CACHE)
    assert not cache.warnings
    (repo,) = cache.repos
    assert (repo.repo_id, repo.refs["main"].commit_hash) == (REPO, done.commit)


def test_what_another_program_brought_is_used_and_is_not_ours(
    hub: HubStandIn, sharded: Path
) -> None:
    folder = bring_by_the_hubs_client(hub, sharded)
    before = hub.sent(REPO, SHARD)
    done = download(REPO)
    assert (done.folder, done.fetched) == (folder, [])
    assert hub.sent(REPO, SHARD) == before
    assert set(sha256(done)) == NEEDED


def test_blobs_that_lie_in_a_store_of_several_repositories_are_used(
    hub: HubStandIn, sharded: Path, home: Path
) -> None:
    """The hub's client may make a blob a link, named by its hash, to a file that is not."""
    blob = (bring_by_the_hubs_client(hub, sharded) / SHARD).resolve()
    stored = home / "hub/blobs/ab/abcdef"
    stored.parent.mkdir(parents=True)
    blob.rename(stored)
    blob.symlink_to(stored)
    hub.stop()
    done = download(REPO)
    assert sha256(done)[SHARD] == blob.name
    assert remove(done.folder, [SHARD]) < 1000  # the link alone
    assert stored.exists()


def test_only_what_is_missing_in_a_shared_cache_is_brought(hub: HubStandIn, sharded: Path) -> None:
    folder = bring_by_the_hubs_client(hub, sharded)
    (folder / OTHER_SHARD).resolve().unlink()
    (folder / OTHER_SHARD).unlink()
    assert download(REPO).fetched == [OTHER_SHARD]
    assert hub.sent(REPO, SHARD) == SHARD_BYTES


@pytest.mark.parametrize("damage", ["other bytes", "too short"])
def test_a_damaged_file_in_the_cache_is_named_and_replaced_by_the_next_try(
    hub: HubStandIn, sharded: Path, damage: str
) -> None:
    blob = (bring_by_the_hubs_client(hub, sharded) / SHARD).resolve()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + b"?" if damage == "other bytes" else content[:1000])
    with pytest.raises(DissectError, match=rf"damaged, and removed: {SHARD} \(its hash is"):
        download(REPO)
    done = download(REPO)
    assert (done.folder / SHARD).read_bytes() == content
    assert done.fetched == [SHARD]


def test_a_shared_cache_that_may_only_be_read_is_enough_if_all_is_there(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_by_the_hubs_client(hub, sharded)
    refuse_to_write(monkeypatch)
    assert download(REPO).fetched == []


def test_a_cache_that_may_only_be_read_and_lacks_a_file_is_one_line(
    hub: HubStandIn, sharded: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bring_by_the_hubs_client(hub, sharded) / SHARD).resolve().unlink()
    refuse_to_write(monkeypatch)
    with pytest.raises(DissectError, match=r"Permission denied in .*HF_HOME to a") as error:
        download(REPO)
    assert str(home / "hub") in str(error.value)


def refuse_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no new file be made: the tests' user may be root, whom no permission stops."""
    low, high = os.open, Path.open

    def refuse(path: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def refusing(path: str, flags: int, mode: int = 0o777, **named: int) -> int:
        return refuse(path) if flags & os.O_CREAT else low(path, flags, mode, **named)

    def refusing_path(self: Path, mode: str = "r", *args: Any, **named: Any) -> IO[Any]:
        return refuse(self) if "w" in mode else high(self, mode, *args, **named)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(Path, "open", refusing_path)


def test_a_second_download_asks_once_and_fetches_nothing(hub: HubStandIn) -> None:
    first = download(REPO)
    for revision in ("", first.commit):
        requests = len(hub.requests)
        again = download(REPO, revision)
        assert (again.folder, sha256(again), again.fetched) == (first.folder, sha256(first), [])
        assert len(hub.requests) == requests + 1


def test_the_note_tells_the_next_try_what_this_study_has_fetched(
    hub: HubStandIn, sharded: Path, tmp_path: Path
) -> None:
    note = tmp_path / "results/fetched.json"
    folder = bring_by_the_hubs_client(hub, sharded)
    (folder / OTHER_SHARD).resolve().unlink()
    (folder / OTHER_SHARD).unlink()
    for _ in range(2):
        assert download(REPO, note=note).fetched == [OTHER_SHARD]
    shutil.rmtree(folder.parents[1])  # of another commit or another cache it says nothing
    note.write_text(note.read_text().replace(str(folder), "/elsewhere"))
    assert set(download(REPO, note=note).fetched) == NEEDED


def test_without_symbolic_links_the_files_themselves_lie_in_the_snapshot(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    first = download(REPO)
    assert not any(path.is_symlink() for path in first.folder.iterdir())
    fetched = hub.sent(REPO, SHARD)
    assert sha256(download(REPO)) == sha256(first)
    assert hub.sent(REPO, SHARD) == fetched == SHARD_BYTES
    assert remove(first.folder, [SHARD]) == SHARD_BYTES
    assert not (first.folder / SHARD).exists()


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


def test_a_cache_found_whole_without_the_hub_is_compared_with_it_later(hub: HubStandIn) -> None:
    for name in NEEDED - {"generation_config.json"}:  # file by file: the cache has no list of them
        cache = constants.HF_HUB_CACHE
        hf_hub_download(REPO, name, endpoint=hub.endpoint, cache_dir=cache)
    hub.stop()
    commit = hub.repositories[REPO].commits["main"]
    assert set(sha256(download(REPO, commit))) == NEEDED - {"generation_config.json"}
    hub.start()
    assert set(sha256(download(REPO, commit))) == NEEDED


def test_two_files_of_the_same_bytes_are_brought_once(
    hub: HubStandIn, sharded: Path, tmp_path: Path
) -> None:
    twins = shutil.copytree(sharded, tmp_path / "twins")
    (twins / OTHER_SHARD).write_bytes((twins / SHARD).read_bytes())
    hub.add("someone/twins", twins)
    done = download("someone/twins")
    assert (done.folder / OTHER_SHARD).read_bytes() == (sharded / SHARD).read_bytes()
    assert hub.sent("someone/twins", SHARD) + hub.sent("someone/twins", OTHER_SHARD) == SHARD_BYTES
    assert remove(done.folder, [SHARD]) == 0
    assert remove(done.folder, [OTHER_SHARD]) == SHARD_BYTES


def test_an_unreachable_hub_and_a_damaged_cache_are_an_error(
    hub: HubStandIn, sharded: Path
) -> None:
    folder = bring_by_the_hubs_client(hub, sharded)
    (folder / SHARD).resolve().write_bytes(b"?" * SHARD_BYTES)
    hub.stop()
    with pytest.raises(DissectError, match="damaged, and removed"):
        download(REPO)
    assert not (folder / SHARD).exists()  # nobody else reads it either
    with pytest.raises(HubError) as error:
        download(REPO)
    assert error.value.status == "unreachable"


@pytest.mark.parametrize("missing", [SHARD, INDEX, "config.json", "tokenizer"])
def test_an_unreachable_hub_and_a_part_of_a_checkpoint_are_an_error(
    hub: HubStandIn, sharded: Path, missing: str
) -> None:
    folder = bring_by_the_hubs_client(hub, sharded)
    for path in folder.glob(f"{missing}*"):
        path.unlink()
    hub.stop()
    with pytest.raises(HubError) as error:
        download(REPO)
    assert error.value.status == "unreachable"


def test_an_unreachable_hub_and_an_empty_cache_are_one_line(hub: HubStandIn) -> None:
    hub.stop()
    with pytest.raises(HubError, match=f"the hub at {hub.endpoint} cannot be reached") as error:
        download(REPO)
    assert error.value.status == "unreachable"
    assert "\n" not in str(error.value)


def test_a_branch_that_moved_on_leaves_the_old_commit_usable(
    hub: HubStandIn, sharded: Path, tmp_path: Path
) -> None:
    old = download(REPO)
    newer = shutil.copytree(sharded, tmp_path / "newer")
    (newer / "generation_config.json").write_text('{"eos_token_id": 2}')
    hub.add(REPO, newer)
    sent = hub.sent(REPO, SHARD)
    new = download(REPO)
    assert new.commit != old.commit
    assert hub.sent(REPO, SHARD) == sent  # the same bytes are the same blob
    assert sha256(download(REPO, old.commit)) == sha256(old)


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


def test_removing_gives_back_the_bytes_that_xet_brought(
    hub: HubStandIn, sharded: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would put them into a store beside the repositories, and link to them."""
    by_hash = {sha256_of(path): path for path in sharded.glob("*.*")}

    def xet_get(*, incomplete_path: Path, xet_file_data: Any, **_: Any) -> None:
        shutil.copy(by_hash[xet_file_data.file_hash], incomplete_path)

    hub.xet = True
    monkeypatch.setattr(file_download, "xet_get", xet_get)
    done = download(REPO)
    assert hub.sent(REPO, SHARD) == 0
    assert remove(done.folder, [SHARD, OTHER_SHARD]) == 2 * SHARD_BYTES
    assert sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) < SHARD_BYTES


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
    with pytest.raises(DissectError, match="is not a snapshot in the hub's cache"):
        remove(own, [name])
    done = download(REPO)
    precious = done.folder / "../../../precious"
    precious.touch()
    assert remove(done.folder, [name]) == 0
    assert precious.exists()
    assert (own / "model.safetensors").exists()
