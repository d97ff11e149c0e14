"""What the REST client hears of what happens: `facematch.client.Client.events`."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facematch.errors import Unavailable
from facematch.rest import Rest

#: So many times in a row nothing may be heard before that is an error.
_ATTEMPTS = 5
_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class EventAnswer:
    """What has happened. `type`: done, failed, matched or erased; ready: it begins here; reset:
    what happened before is not known any more, so look at what there is now.

    `hash`: the image, None where it was never known; of a match the older one. `job`: the
    submission, None for what is of the image alone. `match`, `distance`, `false_match_rate`: the
    newer image and how near it is. `id`: to go on behind it. `time`: seconds since 1970.
    """

    id: str
    type: str
    time: float | None = None
    hash: str | None = None
    job: str | None = None
    code: str | None = None
    match: str | None = None
    distance: float | None = None
    false_match_rate: float | None = None


def events_of(rest: Rest, after: str, silence: float) -> Iterator[EventAnswer]:
    """See `facematch.client.Client.events`."""
    failed = 0
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        try:
            with rest.stream("/v1/events", headers, silence) as lines:
                for event in _parsed(lines):
                    after, failed = event.id, 0
                    yield event
        except Unavailable:
            failed += 1
            if failed == _ATTEMPTS:
                raise
        # It may have ended because the service stops.
        time.sleep(min(_PAUSE * 2**failed, _LONGEST_PAUSE))


def _parsed(lines: Iterator[str]) -> Iterator[EventAnswer]:
    """Of the lines of a stream of server-sent events, those that this version knows the form of."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields and "id" in fields:
            yield _answer(fields["id"], fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


def _answer(place: str, kind: str, told: Mapping[str, Any]) -> EventAnswer:
    match = told.get("match") or {}
    return EventAnswer(
        place,
        kind,
        told.get("time"),
        told.get("hash"),
        told.get("job"),
        told.get("code"),
        match.get("hash"),
        match.get("distance"),
        match.get("false_match_rate"),
    )
