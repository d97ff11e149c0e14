"""The port to what has happened in a collection: events, in one order, that whoever listens can
take up again where it was.

An event is told of the edition that is served, and becomes one in the same step that makes the
change: none is lost or made up when a process dies. The last 100,000 changes are kept. A match
is no change that is kept: which older images a new one matches is looked up when the events are
read, so that nothing of an erased image is among them.

The real one is `facematch.redis_events.RedisEvents`, the one for tests
`facematch.memory_events.MemoryEvents`; one contract test runs against both. Every method raises
Unavailable("store_unavailable") when the store does not answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from facematch.errors import Rejected

#: Changes that are kept.
EVENTS_KEPT = 100_000
#: Before the first event there ever was.
BEGINNING = "0-0"
#: Of a place: an entry of the stream, and in it the score and the position of a match.
PLACE_PATTERN = (
    "([0-9]{1,19})-([0-9]{1,19})"
    r"(?:_([0-9]{1,17}(?:\.[0-9]{1,20})?(?:e[+-][0-9]{1,3})?)_([0-9]{1,15}))?"
)
_PLACE = re.compile(PLACE_PATTERN)


class Kind(StrEnum):
    """What has happened."""

    DONE = "done"  # an image is done, or a submission has come to one that is
    FAILED = "failed"  # a submission has failed
    MATCHED = "matched"  # an image has a match with one that came after it
    ERASED = "erased"  # an image was erased, or a submission of one that had been


@dataclass(frozen=True)
class Event:
    """What has happened, at `time` (seconds since 1970). `id`: its place among the others.

    `image`: "" where it was never known. `job`: the submission, "" for what is of the image
    alone. `code`: why it failed. Of a match, `image` is the older one, `match` the newer,
    `distance` the smallest of their faces, and `false_match_rate` the lowest, None where there
    are no rates.
    """

    id: str
    kind: Kind
    time: float
    image: str = ""
    job: str = ""
    code: str = ""
    match: str = ""
    distance: float | None = None
    false_match_rate: float | None = None


@dataclass(frozen=True)
class EventPage:
    """Some events. `place`: where to go on. `more`: there may be more behind it by now. `gone`:
    what came behind the place that was asked for is not known any more; `place` is then where
    the events end now."""

    events: Sequence[Event]
    place: str
    more: bool = False
    gone: bool = False


class Events(Protocol):
    """What the api and the webhooks need of the store. The ids of events are places, too."""

    def since(self, place: str, limit: int) -> EventPage:
        """Up to `limit` events behind a place; "": none, and where they end now. Raises
        Rejected("bad_cursor") for what is no place."""

    def wait(self, place: str, seconds: float) -> None:
        """Come back when something has happened behind this place, or after so many seconds, at
        most 5 of them."""


def parse_place(place: str) -> tuple[str, str, str]:
    """Of a place the entry, and the score and position of a match in it ("" for none). Raises
    Rejected("bad_cursor") for what is none."""
    found = _PLACE.fullmatch(place)
    if found is None:
        raise Rejected("bad_cursor", "the id is not that of an event")
    return f"{found[1]}-{found[2]}", found[3] or "", found[4] or ""


def place_of(entry: str, score: str = "", position: str = "") -> str:
    """The inverse of `parse_place`."""
    return f"{entry}_{score}_{position}" if position else entry


def document_of(event: Event) -> dict[str, Any]:
    """The event as JSON has it, in streams and webhooks alike."""
    document: dict[str, Any] = {
        "id": event.id,
        "type": str(event.kind),
        "time": event.time,
        "hash": event.image or None,
        "job": event.job or None,
    }
    if event.kind is Kind.FAILED:
        document["code"] = event.code
    if event.kind is Kind.MATCHED:
        document["match"] = {
            "hash": event.match,
            "distance": event.distance,
            "false_match_rate": event.false_match_rate,
        }
    return document
