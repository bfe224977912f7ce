"""The stand-in of the hub behaves as the hub's own client expects."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

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

REPO = "owner/model"
WEIGHTS = bytes(range(256)) * 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served/sub").mkdir(parents=True)
    (tmp_path / "served/config.json").write_text('{"a": 1}', encoding="utf-8")
    (tmp_path / "served/sub/notes.txt").write_text("notes", encoding="utf-8")
    (tmp_path / "served/model.safetensors").write_bytes(WEIGHTS)
    return tmp_path / "served"


@pytest.fixture
def hub(folder: Path) -> Iterator[HubStandIn]:
    with HubStandIn() as stand_in:
        stand_in.add(REPO, folder)
        stand_in.add("owner/gated", folder, gated=True)
        stand_in.add("owner/private", folder, private=True)
        yield stand_in


class Got(NamedTuple):
    status: int
    headers: Message
    content: bytes


def open_url(url: str, **headers: str) -> Got:
    """A plain GET that follows redirects and no proxy of this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers)
    try:
        with opener.open(request) as answer:
            return Got(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Got(error.code, error.headers, error.read())


def get(hub: HubStandIn, **headers: str) -> Got:
    return open_url(f"{hub.endpoint}/{REPO}/resolve/main/model.safetensors", **headers)


def fetch(hub: HubStandIn, cache: Path, repo: str = REPO, **options: Any) -> str:
    """One file by the client's own download; `HF_ENDPOINT` is read too early for tests."""
    options = dict[str, Any](filename="config.json", token=False) | options
    return str(hf_hub_download(repo, endpoint=hub.endpoint, cache_dir=cache, **options))


def test_metadata_names_sizes_and_digests(hub: HubStandIn) -> None:
    info = HfApi(hub.endpoint, token=False).model_info(REPO, files_metadata=True)
    assert info.sha is not None and len(info.sha) == 40
    assert info.siblings is not None
    weights, config, notes = sorted(info.siblings, key=lambda it: -(it.size or 0))
    assert (notes.rfilename, config.rfilename) == ("sub/notes.txt", "config.json")
    assert weights.size == len(WEIGHTS)
    assert weights.lfs is not None
    assert weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert config.lfs is None
    # `git hash-object` of the same bytes.
    assert config.blob_id == hashlib.sha1(b'blob 8\0{"a": 1}').hexdigest()


@pytest.mark.parametrize("redirect", [False, True])
def test_the_client_downloads_a_snapshot(folder: Path, tmp_path: Path, redirect: bool) -> None:
    with HubStandIn(redirect_to_cdn=redirect) as hub:
        commit = hub.add(REPO, folder)
        got = snapshot_download(
            REPO, endpoint=hub.endpoint, cache_dir=tmp_path / "cache", token=hub.token
        )
        assert Path(got).name == commit
        for path in folder.rglob("*.*"):
            assert (Path(got) / path.relative_to(folder)).read_bytes() == path.read_bytes()
        assert hub.sent(REPO, "model.safetensors") == len(WEIGHTS)
        servers = {it.server for it in hub.requests if it.file == "model.safetensors" and it.sent}
        assert servers == {"cdn" if redirect else "hub"}
        assert all(it.authorized == (it.server == "hub") for it in hub.requests)


def test_files_of_an_older_commit_are_still_there(
    hub: HubStandIn, folder: Path, tmp_path: Path
) -> None:
    old = HfApi(hub.endpoint, token=False).model_info(REPO).sha
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer/config.json").write_text('{"a": 2}', encoding="utf-8")
    new = hub.add(REPO, tmp_path / "newer", revisions={"main": None, "v1": folder})
    assert Path(fetch(hub, tmp_path / "cache")).parent.name == new
    assert Path(fetch(hub, tmp_path / "cache", revision=old)).read_text() == '{"a": 1}'
    assert Path(fetch(hub, tmp_path / "cache", revision="v1")).parent.name == old


def test_errors_are_the_hub_s_own(hub: HubStandIn, tmp_path: Path) -> None:
    api = HfApi(hub.endpoint, token=False)
    for repo in ("owner/none", "owner/private"):
        for token in (False, hub.stranger):
            with pytest.raises(RepositoryNotFoundError):
                api.model_info(repo, token=token)
            with pytest.raises(RepositoryNotFoundError):
                fetch(hub, tmp_path, repo, token=token)
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        fetch(hub, tmp_path, filename="none.json")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as error:
        api.model_info(REPO, token="hf_of_nobody")
    assert not isinstance(error.value, RepositoryNotFoundError)
    with pytest.raises(HfHubHTTPError):
        api.whoami(token="hf_of_nobody")
    assert api.whoami(token=hub.stranger)["name"] == "someone"


def test_metadata_of_a_gated_repository_is_public_and_its_files_are_not(
    hub: HubStandIn, tmp_path: Path
) -> None:
    info = HfApi(hub.endpoint, token=False).model_info("owner/gated", files_metadata=True)
    assert info.gated == "manual"
    assert info.siblings is not None and len(info.siblings) == 3
    for token, status in ((False, 401), (hub.stranger, 403)):
        with pytest.raises(GatedRepoError) as error:
            fetch(hub, tmp_path, "owner/gated", token=token)
        assert error.value.response.status_code == status
    assert fetch(hub, tmp_path, "owner/gated", token=hub.token)
    assert fetch(hub, tmp_path, "owner/private", token=hub.token)


def test_ranges_are_served(hub: HubStandIn) -> None:
    part = get(hub, Range="bytes=1000-1999")
    assert (part.status, part.content) == (206, WEIGHTS[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(WEIGHTS)}"
    assert get(hub, Range="bytes=255990-").content == WEIGHTS[255990:]
    assert get(hub, Range=f"bytes={len(WEIGHTS)}-").status == 416
    whole = get(hub, Range="bytes=1000-", **{"If-Range": '"another"'})
    assert (whole.status, whole.content) == (200, WEIGHTS)
    assert [request.range for request in hub.requests][:2] == ["bytes=1000-1999", "bytes=255990-"]
    assert hub.sent(REPO, "model.safetensors") == 1000 + 10 + len(WEIGHTS)


def test_faults_come_in_order_and_then_none(hub: HubStandIn) -> None:
    hub.faults[REPO, "model.safetensors"] = [
        Status(429, retry_after=7),
        Truncated(),
        WrongBytes(),
        IgnoreRange(),
        Stall(100, 0.01),
        Cut(100),
    ]
    busy = get(hub)
    assert (busy.status, busy.headers["Retry-After"]) == (429, "7")
    assert get(hub).content == WEIGHTS[: len(WEIGHTS) // 2]
    wrong = get(hub).content
    assert len(wrong) == len(WEIGHTS) and wrong != WEIGHTS
    assert get(hub, Range="bytes=5-").status == 200
    assert get(hub).content == WEIGHTS
    with pytest.raises(http.client.IncompleteRead):
        get(hub)
    assert hub.requests[-1].sent == 100
    assert get(hub).content == WEIGHTS


def test_faults_of_a_path_hold_for_all_below_it(hub: HubStandIn) -> None:
    hub.faults["/api/models/owner/model"] = [Status(503), Cut(0)]
    api = HfApi(hub.endpoint, token=False)
    assert api.model_info("owner/gated").sha
    with pytest.raises(HfHubHTTPError):
        api.model_info(REPO)
    with pytest.raises(http.client.IncompleteRead):
        open_url(f"{hub.endpoint}/api/models/{REPO}/revision/main")
    assert api.model_info(REPO).sha


def test_wrong_digests_stand_until_they_are_taken_away(hub: HubStandIn) -> None:
    hub.faults[REPO, "model.safetensors"] = [WrongSha256(), Status(500)]
    right = hashlib.sha256(WEIGHTS).hexdigest()
    assert get(hub).status == 500
    for _ in range(2):
        assert right not in get(hub).headers["X-Linked-Etag"]
    hub.faults.clear()
    assert right in get(hub).headers["X-Linked-Etag"]


def test_plain_files_are_served(hub: HubStandIn) -> None:
    url = hub.add_file("concepts.json", b"[]")
    assert open_url(url).content == b"[]"


def test_a_stopped_hub_refuses_and_comes_back(hub: HubStandIn) -> None:
    endpoint = hub.endpoint
    hub.stop()
    with pytest.raises(urllib.error.URLError):
        get(hub)
    hub.start()
    assert hub.endpoint == endpoint
    assert get(hub).content == WEIGHTS
