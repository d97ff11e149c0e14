"""The port to webhooks: URLs that are told of events, each from the place it has come to.

A webhook needs no outbox but its place among the events, which moves on when its URL has taken
what came before. Events may come twice, never out of order. A URL that refuses is tried again,
after ever longer pauses, and given up when it has for DEAD_SECONDS.

The real one is `facematch.redis_webhooks.RedisWebhooks`, the one for tests
`facematch.memory_webhooks.MemoryWebhooks`; one contract test runs against both. Every method raises
Unavailable("store_unavailable") when the store does not answer.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from facematch.errors import Rejected

#: Of a collection.
MOST_WEBHOOKS = 100
#: A URL that has taken nothing for so long, though there was something, is given up.
DEAD_SECONDS = 24 * 3600.0
#: Between two tries: twice as long each time.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0

#: As https://www.standardwebhooks.com has them.
ID_HEADER, TIME_HEADER, SIGNATURE_HEADER = (
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)
_SECRET_PREFIX, _SECRET_BYTES = "whsec_", 24
_VERSION = "v1"


@dataclass(frozen=True)
class Webhook:
    """A URL that is told of events, from `place` on. Times are seconds since 1970, None for never.

    `failures`: how often in a row it has not taken what there was, `since` when, last because of
    `error`; `dead`: it is tried no more.
    """

    id: str
    url: str
    secret: str
    place: str
    created: float
    delivered: float | None = None
    failures: int = 0
    since: float | None = None
    error: str = ""
    dead: bool = False


class Webhooks(Protocol):
    """What api and workers need of the store for webhooks."""

    def add(self, webhook: str, url: str, secret: str, place: str) -> Webhook:
        """Tell this URL of what happens behind a place. Raises Conflict("too_many_webhooks")."""

    def webhooks(self) -> Sequence[Webhook]:
        """All, the oldest first."""

    def webhook(self, webhook: str) -> Webhook:
        """Raises NotFound."""

    def behind(self, webhook: Webhook, most: int) -> int:
        """How many changes it has not been told of, or `most`."""

    def remove(self, webhook: str) -> None:
        """Raises NotFound."""

    def redeliver(self, webhook: str, place: str = "") -> Webhook:
        """Try it at once, also if it is dead; from this place on, "": from where it was. Raises
        NotFound."""

    def take(self, token: str, seconds: float) -> Webhook | None:
        """One that is due and has not been told of all, for this token alone for so long."""

    def delivered(self, webhook: str, token: str, place: str) -> None:
        """It has taken what came before this place. No-op for who has it no more."""

    def refused(self, webhook: str, token: str, error: str, *, for_good: bool = False) -> None:
        """It has not. `for_good`: it is not to be tried again. No-op for who has it no more."""


def new_secret() -> str:
    """What deliveries are signed with: `whsec_` and 24 bytes in base64."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature_of(secret: str, message: str, timestamp: int, body: bytes) -> str:
    """That of a delivery: HMAC-SHA256 of its id, its time and its body."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signed = f"{message}.{timestamp}.".encode() + body
    return f"{_VERSION}," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def check_signature(
    secret: str, headers: Mapping[str, str], body: bytes, now: float, tolerance: float = 300.0
) -> None:
    """For who receives: raise Rejected unless the delivery is signed with this secret, and no
    older or newer than `tolerance` seconds. `headers`: with names in lower case."""
    try:
        message, timestamp = headers[ID_HEADER], int(headers[TIME_HEADER])
        expected = signature_of(secret, message, timestamp, body)
        given = headers[SIGNATURE_HEADER].split()
    except (KeyError, ValueError, binascii.Error) as error:
        raise Rejected("bad_request", "the delivery is not signed") from error
    if not any(hmac.compare_digest(expected.encode(), one.encode()) for one in given):
        raise Rejected("bad_request", "the delivery is signed with another secret")
    if abs(now - timestamp) > tolerance:
        raise Rejected("bad_request", "the delivery is too old")


def pause_after(failures: int) -> float:
    """Seconds until the next try after so many that have failed, at least one."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 20)))
