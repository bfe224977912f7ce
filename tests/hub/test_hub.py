"""What a repository holds, and why it is not available."""

from pathlib import Path

import pytest
from huggingface_hub import constants
from sharded_repository import INDEX, NEEDED, REPO, SHARD, SHARD_BYTES

from hub_stand_in import HubStandIn
from stillknows.models.hub import HubError, RemoteFile, find, read_config

FEW = {"config.json": "{}"}


def serve(hub: HubStandIn, folder: Path, files: dict[str, str]) -> str:
    """A repository of these texts; returns its name."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    hub.add("someone/other", folder)
    return "someone/other"


def refusal(repo: str = REPO, revision: str = "") -> HubError:
    """Why `find` or reading the config fails; checks that it is one line."""
    with pytest.raises(HubError) as error:
        read_config(find(repo, revision))
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    return error.value


def test_only_the_needed_files_are_named_with_their_sizes_and_hashes(
    hub: HubStandIn, sharded: Path
) -> None:
    found = find(REPO)
    assert {file.name for file in found.files} == NEEDED
    assert found.commit == hub.repositories[REPO].commits["main"]
    assert not found.gated
    assert {file.name: file.size for file in found.files} == {
        name: (sharded / name).stat().st_size for name in NEEDED
    }
    served = hub.repositories[REPO].files[found.commit]
    assert RemoteFile(SHARD, SHARD_BYTES, served[SHARD].sha256) in found.files
    config = served["config.json"]
    assert RemoteFile("config.json", config.size, config.blob_id) in found.files


SHARDS = {INDEX: "{}"} | {f"model-0000{n}-of-00002.safetensors": "w" for n in (1, 2)}


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (FEW | {"model.safetensors": "w", "pytorch_model.bin": "w"}, ["model.safetensors"]),
        # As in transformers: of both, the single file is read, and the index would be stale.
        (FEW | SHARDS | {"model.safetensors": "w"}, ["model.safetensors"]),
        (FEW | SHARDS | {"left_over.safetensors": "w"}, sorted(SHARDS)[:2]),
        (FEW | {INDEX: "{}", SHARD: "w", "model.safetensors": "w"}, ["model.safetensors"]),
    ],
)
def test_a_single_file_comes_before_shards(
    hub: HubStandIn, tmp_path: Path, files: dict[str, str], weights: list[str]
) -> None:
    found = find(serve(hub, tmp_path / "repo", files))
    names = [file.name for file in found.files]
    assert [name for name in names if name.endswith(".safetensors")] == weights
    assert (INDEX in names) == (len(weights) > 1)


@pytest.mark.parametrize(
    "files",
    [
        FEW | {"pytorch_model.bin": "pickle"},
        FEW | {INDEX: "{}", SHARD: "w"},
        FEW | {name: "w" for name in SHARDS if name != INDEX},
        {"model.safetensors": "w"},
    ],
    ids=["pickled only", "a shard is missing", "no index", "no config"],
)
def test_a_repository_without_safetensors_is_refused(
    hub: HubStandIn, tmp_path: Path, files: dict[str, str]
) -> None:
    error = refusal(serve(hub, tmp_path / "repo", files))
    assert error.status == "no_safetensors"
    assert "pickled weights (.bin) are never read" in str(error)


def test_gated_repositories_show_their_size_but_no_file(hub: HubStandIn, sharded: Path) -> None:
    hub.add("someone/gated", sharded, gated=True)
    found = find("someone/gated")
    assert found.gated
    assert {file.name for file in found.files} == NEEDED
    error = refusal("someone/gated")
    assert error.status == "gated"
    assert "there is no token; accept its terms on" in str(error)
    assert f"{hub.endpoint}/someone/gated" in str(error)


def test_a_token_that_does_not_open_a_gated_repository_is_told_apart_from_none(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("someone/gated", sharded, gated=True)
    monkeypatch.setenv("HF_TOKEN", hub.stranger)
    error = refusal("someone/gated")
    assert (error.status, hub.stranger in str(error)) == ("gated", False)
    assert "the current token does not grant access" in str(error)


@pytest.mark.parametrize("token", ["hf_revoked_long_ago", "hf_with_a_gremlin\x07", "hf_päss"])
def test_a_bad_token_is_named_but_not_shown(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    error = refusal()
    assert error.status == "bad_token"
    assert "set HF_TOKEN to a valid one" in str(error)
    assert token[3:] not in str(error) + lines.text


@pytest.mark.parametrize("revision", ["no-such-branch", "0" * 40])
def test_a_revision_that_is_gone_is_told_apart_from_the_repository(
    hub: HubStandIn, revision: str
) -> None:
    error = refusal(REPO, revision)
    assert error.status == "revision_gone"
    assert f"hub:{REPO} at {revision}: there is no such revision" in str(error)


def test_an_unreachable_hub_is_named_in_one_line(hub: HubStandIn) -> None:
    hub.stop()
    error = refusal()
    assert error.status == "unreachable"
    assert f"the hub at {hub.endpoint} cannot be reached (no connection)" in str(error)


def test_a_login_page_is_not_taken_for_the_hub(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.add_file("login", b"<html>").rstrip("/"))
    hub.plain_files[f"login/api/models/{REPO}"] = b"<html>"
    error = refusal()
    assert error.status == "unreachable"
    assert "the response is not from a Hugging Face Hub" in str(error)


def test_offline_mode_is_respected(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refusal()
    assert (error.status, "HF_HUB_OFFLINE is set" in str(error)) == ("unreachable", True)
    assert hub.requests == []
