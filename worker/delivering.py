"""A worker's part in telling webhooks: it posts what has happened to those that are due.

A webhook is in one worker's hands at a time, for a while: who dies over it, or takes too long, has
it told again. So events may come twice; each has its id.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog

from facematch.errors import NotFound, Rejected, Unavailable
from facematch.events import Events, document_of
from facematch.webhooks import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    Webhook,
    Webhooks,
    signature_of,
)

#: How often to look for webhooks that are due.
SECONDS = 1.0
#: Events in one delivery.
PORTION = 100
#: Longer than a delivery takes.
_HAND_SECONDS = 60.0
#: Those of a collection are told for so long before it is another one's turn.
_TURN_SECONDS = 1.0

#: Posts a body with headers to a URL: the status of the answer. Raises Rejected.
Post = Callable[[str, bytes, Mapping[str, str]], int]

_log = structlog.get_logger()


@dataclass(frozen=True)
class Delivery:
    """The webhooks of a collection, and what they are told."""

    collection: str
    webhooks: Webhooks
    events: Events


def deliver(webhooks: Webhooks, events: Events, post: Post, collection: str) -> bool:
    """Tell one webhook that is due what it has not heard of; whether there was one.

    Raises Unavailable when the store is not there.
    """
    token = secrets.token_hex(8)
    webhook = webhooks.take(token, _HAND_SECONDS)
    if webhook is None:
        return False
    page = events.since(webhook.place, PORTION)
    told = [document_of(event) for event in page.events]
    if page.gone:
        told = [{"id": page.place, "type": "reset", "time": time.time()}]
    if told:
        error, for_good = _posted(webhook, {"collection": collection, "events": told}, post)
        if error:
            _log.warning("a webhook was not told", webhook=webhook.id, why=error)
            webhooks.refused(webhook.id, token, error, for_good=for_good)
            return True
    webhooks.delivered(webhook.id, token, page.place)
    return True


def _posted(webhook: Webhook, document: Mapping[str, Any], post: Post) -> tuple[str, bool]:
    """Why it was not taken, "" if it was; and whether it never will be."""
    body = json.dumps(document, separators=(",", ":")).encode()
    # The same for the same events, however often they are sent.
    message = f"{webhook.id}_{document['events'][0]['id']}_{document['events'][-1]['id']}"
    timestamp = int(time.time())
    headers = {
        ID_HEADER: message,
        TIME_HEADER: str(timestamp),
        SIGNATURE_HEADER: signature_of(webhook.secret, message, timestamp, body),
    }
    try:
        status = post(webhook.url, body, headers)
    except Rejected as error:
        return error.code, False
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return "", False
    return f"status {status}", status == HTTPStatus.GONE


def keep_delivering(
    look: Callable[[], Iterable[Delivery]],
    post: Post,
    stop: threading.Event,
    *,
    seconds: float = SECONDS,
) -> None:
    """Tell webhooks until `stop` is set; for a thread of its own. `look`: of the collections whose
    webhooks may be due."""
    pause = seconds
    while not stop.wait(pause):
        pause = seconds
        try:
            for one in look():
                if _turn(one, post, stop):
                    pause = 0.0
        except Unavailable as error:
            _log.warning("webhooks put off", code=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - the next delivery may do better, a dead thread cannot
            _log.exception("webhooks failed")


def _turn(one: Delivery, post: Post, stop: threading.Event) -> bool:
    """Tell those of one collection, for a moment; whether some may be due still. One whose URLs are
    slow, or about which something is wrong, does not keep the others waiting."""
    until = time.monotonic() + _TURN_SECONDS
    try:
        while not stop.is_set() and deliver(one.webhooks, one.events, post, one.collection):
            if time.monotonic() >= until:
                return True
    except NotFound:  # erased meanwhile
        pass
    except Unavailable as error:
        if error.code == "store_unavailable":
            raise
        about = {"collection": one.collection, "code": error.code, "detail": str(error)}
        _log.warning("webhooks put off", **about)
    except Exception:  # noqa: BLE001 - it is not the others' fault
        _log.exception("webhooks failed", collection=one.collection)
    return False
