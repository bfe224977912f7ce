"""What a repository on the hub contains, or in one line why it is not available.

Safetensors only: no pickle, no code. Token, endpoint and folders are those of huggingface_hub:
HF_TOKEN or the hub's own token file, HF_ENDPOINT, HF_HOME.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from huggingface_hub import (
    HfApi,
    constants,
    errors,
    get_token,
    hf_hub_download,
    try_to_load_from_cache,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import disable_progress_bars, logging

from stillknows.errors import StudyError
from stillknows.files import read_json_object
from stillknows.models.checkpoint_files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    INDEX,
    SINGLE,
    TOKENIZERS,
)

CONFIG = "config.json"
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
_SHARD = re.compile(r"[^/]+-\d+-of-(\d+)\.safetensors")
_NOT_A_HUB = "the response is not from a Hugging Face Hub: a login page or a proxy?"
# What an exception means, by its name: a status, or the reason why the hub is unreachable.
_STATUS = {
    "GatedRepoError": "gated",
    "RevisionNotFoundError": "revision_gone",
    "RepositoryNotFoundError": "gone",
    "DisabledRepoError": "gone",
    "UnicodeEncodeError": "bad_token",  # a token that cannot be sent in a header
    "LocalProtocolError": "bad_token",
}
_UNREACHABLE = {
    "ConnectError": "no connection",
    "JSONDecodeError": _NOT_A_HUB,
    "FileMetadataError": _NOT_A_HUB,
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
    "OSError": "a file is shorter than announced",
}
_MESSAGES = {
    "gated": "gated, and {token}; accept its terms on {page} and set HF_TOKEN to that "
    "account's token",
    "bad_token": "the hub refuses the current token; set HF_TOKEN to a valid one that may read; "
    "public models need none (unset HF_TOKEN, or `hf auth logout`)",
    "gone": "private or gone: the hub does not say which ({reason}); check the name on {page}, or "
    "set HF_TOKEN to a token that may read it",
    "revision_gone": "there is no such revision; choose one on {page}/commits/main",
    "unreachable": "the hub at {hub} cannot be reached ({reason}); check the network, its proxy "
    "and HF_ENDPOINT, then run again: finished files are kept",
    "busy": "the hub is busy ({reason}); run again later: finished files are kept",
}

disable_progress_bars()  # unreadable in a job's log
logging.set_verbosity_error()  # the library's warnings contain signed addresses
# The library's store of files that repositories share would keep the bytes of removed checkpoints.
constants.HF_HUB_DISABLE_SHARED_BLOBS = True


class HubError(StudyError):
    """`status`: gated, bad_token, gone, revision_gone, unreachable, busy or no_safetensors."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class RemoteFile(NamedTuple):
    """A file as the hub lists it; size in bytes."""

    name: str
    size: int
    etag: str  # the sha256 of a large file, git's blob id of a small one; its name in the cache


class RemoteCheckpoint(NamedTuple):
    """A repository at one commit (40 hexadecimal digits); `files` are the needed ones only."""

    repo: str
    commit: str
    gated: bool
    files: list[RemoteFile]

    @property
    def folder(self) -> Path:
        """Its snapshot in the hub's cache: links into the repository's folder of blobs."""
        cache = repo_folder_name(repo_id=self.repo, repo_type="model")
        return Path(constants.HF_HUB_CACHE).absolute() / cache / "snapshots" / self.commit

    def __str__(self) -> str:
        return f"hub:{self.repo} at {self.commit}"


Needed = Callable[[str, Collection[str]], list[str]]
"""The files that are needed of a repository with that name and these files; or a HubError."""


def find(repo: str, revision: str = "", needed: Needed | None = None) -> RemoteCheckpoint:
    """Ask the hub for a repository at a commit, branch or tag; a HubError if it is unavailable.

    needed: which of its files; None: those of a whole checkpoint.
    """
    at, seconds = revision or None, constants.HF_HUB_DOWNLOAD_TIMEOUT
    with one_line(repo, revision):
        info = HfApi().model_info(repo, revision=at, timeout=seconds, files_metadata=True)
    listed = {file.rfilename: file for file in info.siblings or []}
    files = []
    for file in (listed[name] for name in (needed or whole_model)(repo, listed)):
        if info.sha is None or file.size is None or file.blob_id is None:
            raise StudyError(
                f"hub:{repo}: {constants.ENDPOINT} does not list sizes and hashes of files; use "
                "another mirror, or none (unset HF_ENDPOINT)"
            )
        etag = file.lfs.sha256 if file.lfs else file.blob_id
        files.append(RemoteFile(file.rfilename, file.size, etag))
    return RemoteCheckpoint(repo, str(info.sha), bool(info.gated), files)


def whole_model(repo: str, names: Collection[str]) -> list[str]:
    """The names of a checkpoint's files; as in transformers, one file of weights beats shards."""
    if ADAPTER_CONFIG in names and not {SINGLE, INDEX} & set(names):
        raise HubError(
            "no_safetensors",
            f"hub:{repo} holds {ADAPTER_CONFIG}, so it is an adapter: name it hub-adapter:{repo}",
        )
    shards = {name: int(match[1]) for name in sorted(names) if (match := _SHARD.fullmatch(name))}
    weights = [SINGLE] if SINGLE in names else [INDEX, *shards]
    complete = SINGLE in names or len(shards) >= max(shards.values(), default=1)
    if not complete or not {CONFIG, *weights} <= set(names):
        raise HubError(
            "no_safetensors",
            f"hub:{repo} lacks a file: config.json, and either model.safetensors or all shards and "
            "their index, are needed; pickled weights (.bin) are never read: ask its "
            "owner to convert them, or convert them yourself and name the folder as path:",
        )
    return [name for name in SMALL_FILES if name in names] + weights


def adapter(repo: str, names: Collection[str]) -> list[str]:
    """The names of an adapter's files, and of its tokenizer's."""
    if not {ADAPTER_CONFIG, ADAPTER_WEIGHTS} <= set(names):
        raise HubError(
            "no_safetensors",
            f"hub-adapter:{repo} lacks {ADAPTER_CONFIG} or {ADAPTER_WEIGHTS} (pickled weights are "
            f"never read); if it is a whole checkpoint, name it as hub:{repo}",
        )
    return [*(name for name in TOKENIZERS if name in names), ADAPTER_CONFIG, ADAPTER_WEIGHTS]


def is_adapter(repo: str, revision: str = "") -> bool:
    """Whether a repository holds an adapter; if the hub does not say, whether the cached one does.

    What else is wrong with a repository, preflight and the download say.
    """
    try:
        find(repo, revision, adapter)
    except StudyError:
        cached = try_to_load_from_cache(repo, ADAPTER_CONFIG, revision=revision or None)
        return isinstance(cached, str)
    return True


def tokenizer(repo: str, names: Collection[str]) -> list[str]:
    """The names of a tokenizer's files, and config.json, which may decide its class."""
    if not set(TOKENIZERS) & set(names):
        raise HubError(
            "no_safetensors", f"hub:{repo} holds no tokenizer; name a repository that does"
        )
    others = ("generation_config.json",)
    return [name for name in SMALL_FILES if name in names and name not in others]


def read_config(remote: RemoteCheckpoint) -> dict[str, Any]:
    """The repository's config.json; a HubError if it may not be read (gated repositories)."""
    with TemporaryDirectory() as folder, one_line(remote.repo, remote.commit):
        path = hf_hub_download(remote.repo, CONFIG, revision=remote.commit, cache_dir=folder)
        try:
            return read_json_object(Path(path))
        except StudyError:  # names the temporary file
            raise StudyError(f"hub:{remote.repo}: {CONFIG} is not a JSON object") from None


@contextmanager
def one_line(repo: str, revision: str) -> Iterator[None]:
    """Turn what the library raises, which may contain the token, into one line."""
    try:
        yield
    except errors.HFValidationError:
        raise StudyError(f"hub:{repo} is not a repository; write hub:OWNER/NAME") from None
    except (errors.HTTPError, OSError, RuntimeError, ValueError) as error:
        hidden = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else None
        raise _explained(hidden or error, repo, revision) from None


def _explained(error: BaseException, repo: str, revision: str) -> StudyError:
    if number := getattr(error, "errno", None):
        return StudyError(
            f"hub:{repo}: {os.strerror(number)} in {constants.HF_HUB_CACHE}; finished files are "
            "kept: set HF_HOME to a folder of your own with enough space, and run again"
        )
    kind, hub = type(error).__name__, constants.ENDPOINT
    status, reason = _STATUS.get(kind, "unreachable"), _UNREACHABLE.get(kind, kind)
    if isinstance(error, errors.HfHubHTTPError):
        code = error.response.status_code
        reason = f"it answers {code}"
        if kind not in _STATUS:
            is_busy = code in (408, 429) or code >= 500
            status = "bad_token" if code in (401, 403) else "busy" if is_busy else "gone"
    token = "the current token does not grant access" if get_token() else "there is no token"
    message = _MESSAGES[status].format(page=f"{hub}/{repo}", hub=hub, reason=reason, token=token)
    return HubError(status, f"hub:{repo}{f' at {revision}' if revision else ''}: {message}")
