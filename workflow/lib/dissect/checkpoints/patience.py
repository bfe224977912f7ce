"""When a request to the hub is tried again, and after how long. Used from the first call on."""

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

# The base class of all that the hub client's HTTP library raises (httpx, in some versions httpx2).
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.errors import HTTPError as HTTPError
from huggingface_hub.utils import parse_ratelimit_headers

log = logging.getLogger("dissect")

T = TypeVar("T")

TRIES = 6
LONGEST_WAIT = 60.0  # seconds, of our own backoff
LONGEST_ASKED = 300.0  # seconds, of what a server may ask for


class CutShortError(Exception):
    """The answer ended, in good order, before the file did."""


class Patience:
    """The tries that are left for one request. Who got further has all of them again.

    Args:
        what: the request's name in the log.
        sleep: waits so many seconds; a download hands in one that can be woken.
    """

    def __init__(
        self, what: str, tries: int = TRIES, sleep: Callable[[float], Any] = time.sleep
    ) -> None:
        self.what, self.tries, self.sleep = what, tries, sleep
        self.failures = 0

    def got_further(self) -> None:
        self.failures = 0

    def wait_after(self, error: Exception) -> None:
        """Wait until the next try; raise the error again if waiting is no use, or was in vain."""
        self.failures += 1
        if not may_pass(error) or self.failures >= self.tries:
            raise error
        seconds = wait_seconds(self.failures, asked_seconds(error))
        log.warning(
            "%s: %s; try %d of %d in %.0f s",
            self.what,
            in_words(error),
            self.failures + 1,
            self.tries,
            seconds,
        )
        self.sleep(seconds)


def patiently(what: str, call: Callable[[], T], tries: int = TRIES) -> T:
    """The call's value, tried again for as long as its failure may pass."""
    patience = Patience(what, tries)
    while True:
        try:
            return call()
        except HTTPError as error:
            patience.wait_after(error)


def wait_seconds(failures: int, asked: float | None) -> float:
    """How long to wait: what the server asked for, else twice as long each time, with jitter."""
    if asked is not None:
        return min(asked, LONGEST_ASKED)
    return min(float(2**failures), LONGEST_WAIT) * random.uniform(0.5, 1.0)


def asked_seconds(error: Exception) -> float | None:
    """What Retry-After asks for (seconds or a date), or the hub's own header for its limits."""
    if not isinstance(error, HfHubHTTPError):
        return None
    headers = error.response.headers
    asked = headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    if asked:
        try:
            until = parsedate_to_datetime(asked) - datetime.now(UTC)
        except (ValueError, TypeError):  # no date, or one without a time zone
            return None
        return max(until.total_seconds(), 0.0)
    limits = parse_ratelimit_headers(headers)
    return float(limits.reset_in_seconds) if limits and limits.remaining == 0 else None


def status_of(error: Exception) -> int | None:
    """The HTTP status of an answer that was an error; None where there was no answer."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: busy hubs, and all failures to get an answer."""
    status = status_of(error)
    if status is not None:
        return status in (408, 429) or status >= 500
    return not_sent(error) is None


def not_sent(error: Exception) -> str | None:
    """Why a request never left this machine, if it did not."""
    kind = type(error).__name__
    if kind == "LocalProtocolError":
        return "the request cannot be sent: is there a stray character in the token?"
    if kind == "UnsupportedProtocol":
        return "HF_ENDPOINT is no http address"
    return None


def in_words(error: Exception) -> str:
    """A failure in a few words.

    Never the library's own: they can hold a signed address, or a header with the token in it.
    """
    if isinstance(error, CutShortError):
        return str(error)
    status = status_of(error)
    if status is not None:
        return f"the hub answers {status}"
    if reason := not_sent(error):
        return reason
    kind = type(error).__name__
    known = {
        "ConnectError": "no connection",
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "nothing has come for too long",
        "ReadError": "the connection was cut",
        "RemoteProtocolError": "the connection was cut",
    }
    return known.get(kind, kind)
