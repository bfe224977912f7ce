"""What a repository on the hub holds: its commit, the files that a checkpoint needs, their hashes.

Safetensors only: no pickle, no code. Token, endpoint and folders are those of huggingface_hub:
HF_TOKEN or the hub's own token file, HF_ENDPOINT, HF_HOME.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any

from huggingface_hub import HfApi, constants, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers

from dissect import __version__
from dissect.checkpoints.digest import Digest
from dissect.checkpoints.digest import RemoteFile as RemoteFile
from dissect.checkpoints.hub_errors import HubError as HubError
from dissect.checkpoints.hub_errors import message, place_of, told
from dissect.checkpoints.patience import TRIES, patiently
from dissect.errors import DissectError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    *TOKENIZERS,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)


@dataclass(frozen=True)
class RemoteCheckpoint:
    """A repository at one commit; `files` are the needed ones only, small ones first."""

    repo: str
    commit: str  # 40 hexadecimal digits
    gated: bool
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all needed files."""
        return sum(file.size for file in self.files)

    def file(self, name: str) -> RemoteFile:
        return next(file for file in self.files if file.name == name)


def find(repo: str, revision: str = "", tries: int = TRIES) -> RemoteCheckpoint:
    """Ask the hub for a repository: one call, and its index of weights where it has one.

    Args:
        repo: owner/name.
        revision: a commit, branch or tag; the default branch if left out.

    Raises:
        HubError: if it cannot be had, or holds no safetensors.
        DissectError: if `repo` is no name of a repository, or sizes and hashes are not told.
    """
    place = place_of(repo, revision)

    def ask() -> ModelInfo:
        try:
            return HfApi().model_info(
                repo,
                revision=revision or None,
                files_metadata=True,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )
        except HFValidationError:
            raise DissectError(f"hub:{repo} is no repository; write hub:OWNER/NAME") from None
        except JSONDecodeError:  # such as the log-in page of a network
            reason = "what answers there is no hub"
            raise HubError("unreachable", message("unreachable", repo, revision, reason)) from None

    with told(repo, revision):
        info = patiently(place, ask, tries)
    # What a checkpoint needs lies at the top: the same names in folders are other things.
    siblings = info.siblings or []
    files = {it.rfilename: _file(place, it) for it in siblings if "/" not in it.rfilename}
    if info.sha is None:
        raise DissectError(f"{place}: {constants.ENDPOINT} does not tell the commit; use another")

    def shards() -> list[str]:
        try:
            index = _read_json(repo, str(info.sha), files[INDEX])
        except HubError as error:
            if error.status not in ("gated", "bad_token"):
                raise
            # Sizes are public even where files are not: go by the names that shards always have.
            return sorted(
                name for name in files if name.endswith(".safetensors") and "-of-" in name
            )
        return sorted(set(index.get("weight_map", {}).values()))

    names = needed(place, set(files), shards)
    return RemoteCheckpoint(repo, info.sha, bool(info.gated), tuple(files[it] for it in names))


def needed(place: str, names: set[str], shards: Callable[[], list[str]]) -> list[str]:
    """The names of a checkpoint's files among all that are there; an index decides, if present.

    Raises:
        HubError: no config, or no safetensors that are complete.
    """
    if CONFIG not in names:
        raise HubError("no_safetensors", f"{place}: no config.json, so it is no checkpoint to read")
    small = [name for name in SMALL_FILES if name in names]
    if INDEX in names:
        weights = shards()
        if weights and names.issuperset(weights):
            return [*small, INDEX, *weights]
    if SINGLE in names:
        return [*small, SINGLE]
    pickles = any(name.endswith((".bin", ".pt", ".pth")) for name in names)
    seen = "weights as pickle only" if pickles else "no complete safetensors weights"
    raise HubError(
        "no_safetensors",
        f"{place}: {seen}, and only safetensors are read: ask its owner to convert them, "
        "or convert them yourself and name the folder as path:",
    )


def read_config(remote: RemoteCheckpoint) -> dict[str, Any]:
    """The repository's config.json, its hash checked; also shows whether its files may be read.

    Raises:
        HubError: as `find`; gated repositories show their metadata, but not this.
    """
    config: dict[str, Any] = _read_json(remote.repo, remote.commit, remote.file(CONFIG))
    return config


def file_url(repo: str, commit: str, name: str) -> str:
    """Where a file's bytes are asked for; the answer is often a redirect to another host."""
    return hf_hub_url(repo, name, revision=commit, endpoint=constants.ENDPOINT)


def request_headers() -> dict[str, str]:
    """Headers of a request for bytes: the token, if there is one, and no compression."""
    return build_hf_headers(
        library_name="dissect",
        library_version=__version__,
        headers={"Accept-Encoding": "identity"},
    )


def _read_json(repo: str, commit: str, file: RemoteFile) -> Any:
    url = file_url(repo, commit, file.name)

    def get() -> bytes:
        answer = get_session().get(
            url,
            headers=request_headers(),
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            follow_redirects=True,
        )
        hf_raise_for_status(answer)
        return answer.content

    for _ in range(3):
        with told(repo, commit):
            content = patiently(f"{place_of(repo, commit)}, {file.name}", get)
        digest = Digest(file)
        digest.update(content)
        if digest.right:
            try:
                return json.loads(content)
            except ValueError:
                raise DissectError(
                    f"{place_of(repo, commit)}: {file.name} is not valid JSON; ask its owner"
                ) from None
    raise DissectError(
        f"{place_of(repo, commit)}: {file.name} came damaged 3 times: {digest.difference}; "
        "try without the mirror or proxy in between"
    )


def _file(place: str, sibling: RepoSibling) -> RemoteFile:
    if sibling.size is None or sibling.blob_id is None:
        raise DissectError(
            f"{place}: {constants.ENDPOINT} does not tell sizes and hashes of files; "
            "use another mirror, or none (unset HF_ENDPOINT)"
        )
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    return RemoteFile(sibling.rfilename, sibling.size, sha256, sibling.blob_id)
