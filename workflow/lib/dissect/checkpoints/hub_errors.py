"""Why the hub does not give what was asked for: in one line each, never with the token in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from dissect.checkpoints.patience import HTTPError, in_words, may_pass, status_of
from dissect.errors import DissectError

WITHHELD = "withheld"  # a part of a repository that is there; to callers it is gone


class HubError(DissectError):
    """Why a checkpoint cannot be had from the hub.

    Attributes:
        status: gated | bad_token | gone | revision_gone | unreachable | no_safetensors | busy
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


def place_of(repo: str, revision: str) -> str:
    """A repository's name in messages."""
    return f"hub:{repo}" + (f" at {revision}" if revision else "")


@contextmanager
def told(repo: str, revision: str) -> Iterator[None]:
    """Turn what the client raises into one line.

    Its own exceptions are cut off, not chained: they hold the request, with the token in it.
    """
    try:
        token = get_token()
        if token and not (token.isascii() and token.isprintable()):
            raise HubError("bad_token", message("bad_token", repo, revision))
        yield
    except (HTTPError, OfflineModeIsEnabled) as error:
        offline = isinstance(error, OfflineModeIsEnabled)
        reason = "HF_HUB_OFFLINE is set" if offline else in_words(error)
        status = _status(error)
        line = message(status, repo, revision, reason)
        raise HubError("gone" if status == WITHHELD else status, line) from None


def _status(error: Exception) -> str:
    if isinstance(error, GatedRepoError):
        return "gated"
    if isinstance(error, RevisionNotFoundError):
        return "revision_gone"
    if isinstance(error, RepositoryNotFoundError | DisabledRepoError):
        return "gone"
    status = status_of(error)
    if status in (401, 403):
        return "bad_token"
    if status is not None:
        return "busy" if may_pass(error) else WITHHELD
    return "unreachable"


def message(status: str, repo: str, revision: str, reason: str = "") -> str:
    """The line for a status: what was seen, and what to do."""
    place = place_of(repo, revision)
    has = "the token at hand does not open it" if get_token() else "there is no token"
    messages = {
        "gated": f"{place}: gated, and {has}; accept its terms on its page "
        f"({constants.ENDPOINT}/{repo}) and set HF_TOKEN to a token of that account",
        "bad_token": f"{place}: the hub refuses the token at hand; set HF_TOKEN to a valid one "
        "that may read, or remove it (HF_TOKEN, or `hf auth logout`) for what is public",
        "gone": f"{place}: private or gone: the hub does not say which; check the name, "
        "or set HF_TOKEN to a token that may read it",
        WITHHELD: f"{place}: {reason} where a file was announced; "
        f"look at its page ({constants.ENDPOINT}/{repo}), or try without a mirror",
        "revision_gone": f"hub:{repo}: no revision {revision} there; "
        f"choose one on its page ({constants.ENDPOINT}/{repo}/commits/main)",
        "unreachable": f"{place}: the hub at {constants.ENDPOINT} cannot be reached ({reason}); "
        "check the network, its proxy and HF_ENDPOINT, then run again: "
        "a download goes on where it stopped",
        "busy": f"{place}: the hub is busy ({reason}, even after waiting); run again later",
    }
    return messages[status]
