"""What a repository holds, and why it cannot be had."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from sharded_repository import INDEX, NEEDED, REPO, SHARD, SHARD_BYTES

from dissect.checkpoints import patience
from dissect.checkpoints.hub import HubError, find, read_config
from dissect.errors import DissectError
from hub_stand_in import Cut, HubStandIn, Stall, Status, WrongBytes

API = f"/api/models/{REPO}"
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
    assert found.size == sum((sharded / name).stat().st_size for name in NEEDED)
    served = hub.repositories[REPO].files[found.commit]
    assert found.file(SHARD).sha256 == served[SHARD].sha256
    assert found.file(SHARD).size == SHARD_BYTES
    assert found.file("config.json").sha256 is None
    assert found.file("config.json").blob_id == served["config.json"].blob_id


def test_it_is_one_api_call_and_the_index(hub: HubStandIn) -> None:
    find(REPO)
    assert [request.path.split("?")[0] for request in hub.requests] == [
        API,
        f"/{REPO}/resolve/{hub.repositories[REPO].commits['main']}/{INDEX}",
    ]


def test_a_branch_and_a_commit_name_their_own_files(
    hub: HubStandIn, sharded: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    (other / "model.safetensors").write_bytes(b"weights")
    hub.add("someone/two", sharded, revisions={"main": sharded, "step-10": other})
    by_branch = find("someone/two", "step-10")
    assert {file.name for file in by_branch.files} == {"config.json", "model.safetensors"}
    assert find("someone/two", by_branch.commit) == by_branch
    assert find("someone/two").commit != by_branch.commit


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (FEW | {"model.safetensors": "w", "pytorch_model.bin": "w"}, ["model.safetensors"]),
        (  # an index decides, also where the same weights lie there as one file
            FEW
            | {INDEX: json.dumps({"weight_map": {"a": "one.safetensors"}})}
            | {"one.safetensors": "w", "model.safetensors": "w", "left_over.safetensors": "w"},
            ["one.safetensors"],
        ),
        (  # one whose shards are not there decides nothing
            FEW | {INDEX: json.dumps({"weight_map": {"a": SHARD}}), "model.safetensors": "w"},
            ["model.safetensors"],
        ),
    ],
)
def test_the_index_decides_between_duplicates(
    hub: HubStandIn, tmp_path: Path, files: dict[str, str], weights: list[str]
) -> None:
    found = find(serve(hub, tmp_path / "repo", files))
    assert [it.name for it in found.files if it.name.endswith(".safetensors")] == weights


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (FEW | {"pytorch_model.bin": "pickle"}, "weights as pickle only"),
        (FEW | {INDEX: json.dumps({"weight_map": {"a": SHARD}})}, "no complete safetensors"),
        ({"model.gguf": "w"}, "no config.json"),
    ],
)
def test_a_repository_without_safetensors_is_refused(
    hub: HubStandIn, tmp_path: Path, files: dict[str, str], reason: str
) -> None:
    error = refusal(serve(hub, tmp_path / "repo", files))
    assert error.status == "no_safetensors"
    assert reason in str(error)


def test_the_config_is_read_and_its_hash_checked(hub: HubStandIn, sharded: Path) -> None:
    found = find(REPO)
    hub.faults[REPO, "config.json"] = [WrongBytes()]
    assert read_config(found) == json.loads((sharded / "config.json").read_text())
    hub.faults[REPO, "config.json"] = [WrongBytes()] * 3
    with pytest.raises(DissectError, match=r"config\.json came damaged 3 times: its git id is"):
        read_config(found)


def test_gated_repositories_show_their_size_but_no_file(hub: HubStandIn, sharded: Path) -> None:
    hub.add("someone/gated", sharded, gated=True)
    found = find("someone/gated")
    assert found.gated
    assert {file.name for file in found.files} == NEEDED
    error = refusal("someone/gated")
    assert error.status == "gated"
    assert "there is no token; accept its terms on its page" in str(error)
    assert f"{hub.endpoint}/someone/gated" in str(error)


def test_a_token_that_does_not_open_a_gated_repository_is_told_apart_from_none(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("someone/gated", sharded, gated=True)
    monkeypatch.setenv("HF_TOKEN", hub.stranger)
    error = refusal("someone/gated")
    assert (error.status, hub.stranger in str(error)) == ("gated", False)
    assert "the token at hand does not open it" in str(error)


def test_tokens_of_the_environment_and_of_the_hubs_own_file_open_it(
    hub: HubStandIn, sharded: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("someone/gated", sharded, gated=True)
    hub.add("someone/private", sharded, private=True)
    with monkeypatch.context() as patch:
        patch.setenv("HF_TOKEN", hub.token)
        assert read_config(find("someone/gated"))["model_type"] == "llama"
        assert read_config(find("someone/private"))["model_type"] == "llama"
    assert refusal("someone/private").status == "gone"
    home.mkdir()
    (home / "token").write_text(hub.token)
    assert read_config(find("someone/gated"))["model_type"] == "llama"


@pytest.mark.parametrize("token", ["hf_revoked_long_ago", "hf_with_a_gremlin\x07", "hf_päss"])
def test_a_bad_token_is_named_but_not_shown(
    hub: HubStandIn,
    monkeypatch: pytest.MonkeyPatch,
    lines: pytest.LogCaptureFixture,
    token: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    error = refusal()
    assert error.status == "bad_token"
    assert "set HF_TOKEN to a valid one" in str(error)
    assert token[3:] not in str(error) + lines.text


@pytest.mark.parametrize("token", ["", HubStandIn.stranger])
def test_a_repository_that_is_private_or_gone_is_said_to_be_one_of_them(
    hub: HubStandIn, sharded: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    hub.add("someone/private", sharded, private=True)
    monkeypatch.setenv("HF_TOKEN", token)
    for repo in ("someone/private", "someone/gone"):
        error = refusal(repo)
        assert error.status == "gone"
        assert f"hub:{repo}: private or gone: the hub does not say which" in str(error)


@pytest.mark.parametrize("revision", ["no-such-branch", "0" * 40])
def test_a_revision_that_is_gone_is_told_apart_from_the_repository(
    hub: HubStandIn, revision: str
) -> None:
    error = refusal(REPO, revision)
    assert error.status == "revision_gone"
    assert f"hub:{REPO}: no revision {revision} there" in str(error)


def test_what_is_no_name_of_a_repository_is_refused(hub: HubStandIn) -> None:
    with pytest.raises(DissectError, match="is no repository; write hub:OWNER/NAME"):
        find("https://some.where/owner/name")
    assert hub.requests == []


def test_the_first_call_waits_as_long_as_a_busy_hub_asks(
    hub: HubStandIn, waits: list[float]
) -> None:
    hub.faults[API] = [Status(429, retry_after=7), Status(429, retry_after=4000)]
    assert find(REPO).size
    assert waits == [7.0, patience.LONGEST_ASKED]


def error_with(headers: dict[str, str]) -> HfHubHTTPError:
    response: Any = SimpleNamespace(status_code=429, headers=headers, request=None)
    return HfHubHTTPError("busy", response=response)


def test_a_date_and_the_hubs_own_limits_are_understood_as_waits() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < (patience.asked_seconds(error_with({"Retry-After": soon})) or 0) <= 100
    limits = {"ratelimit": '"api";r=0;t=55'}
    assert patience.asked_seconds(error_with(limits)) == 55
    assert patience.asked_seconds(error_with({"Retry-After": "soon"})) is None
    assert patience.asked_seconds(error_with({"ratelimit": '"api";r=3;t=55'})) is None


def test_the_first_call_is_tried_again_after_errors_and_cut_connections(
    hub: HubStandIn, waits: list[float], lines: pytest.LogCaptureFixture
) -> None:
    hub.faults[API] = [Status(503), Status(500), Status(502), Cut(0)]
    assert find(REPO).size
    assert len(waits) == 4
    assert "the hub answers 503; try 2 of 6 in" in lines.text
    assert "the connection was cut; try 5 of 6 in" in lines.text


def test_the_first_call_is_tried_again_after_a_time_out(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    hub.faults[API] = [Stall(0, seconds=60)]
    assert find(REPO).size
    assert "nothing has come for too long; try 2 of 6 in" in lines.text


def test_a_hub_that_stays_busy_is_given_up_in_one_line(hub: HubStandIn, waits: list[float]) -> None:
    hub.faults[API] = [Status(503)] * 10
    error = refusal()
    assert error.status == "busy"
    assert "the hub is busy (the hub answers 503, even after waiting)" in str(error)
    assert len(waits) == patience.TRIES - 1


def test_an_unreachable_hub_is_named_in_one_line(hub: HubStandIn) -> None:
    hub.stop()
    error = refusal()
    assert error.status == "unreachable"
    assert f"the hub at {hub.endpoint} cannot be reached (no connection)" in str(error)


def test_offline_mode_is_respected_without_waiting(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refusal()
    assert (error.status, "HF_HUB_OFFLINE is set" in str(error)) == ("unreachable", True)
    assert (waits, hub.requests) == ([], [])


def test_waits_double_with_jitter_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for failures, longest in ((1, 2.0), (3, 8.0), (9, 60.0)):
        seconds = [patience.wait_seconds(failures, None) for _ in range(50)]
        assert longest / 2 <= min(seconds) < max(seconds) <= longest
