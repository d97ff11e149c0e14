"""Webhooks in Redis or Valkey: the only home of their keys, beside `facematch.redis_store`.

Of a collection as a whole, under its prefix:

    webhooks           zset    webhook, by the time when it is to be tried; never: one that is dead
    webhook:<id>       hash    url, secret, place, created; delivered; failures, since, error and
                               dead while it refuses; token of who delivers to it just now
"""

from collections.abc import Sequence
from typing import Any

from facematch.collection_name import DEFAULT, served_name
from facematch.errors import Conflict, NotFound
from facematch.events import parse_place
from facematch.redis_connection import Redis, translated
from facematch.redis_scripts import Scripted
from facematch.webhooks import (
    DEAD_SECONDS,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_WEBHOOKS,
    Webhook,
)


class RedisWebhooks(Scripted):
    """See facematch.webhooks.Webhooks. Safe to share between threads."""

    def __init__(self, client: Redis, collection: str = DEFAULT) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))

    @translated()
    def add(self, webhook: str, url: str, secret: str, place: str) -> Webhook:
        """See Webhooks."""
        told = self._run("webhook_add", webhook, url, secret, place, MOST_WEBHOOKS)
        if told is None:
            raise Conflict("too_many_webhooks")
        return _webhook(told)

    @translated()
    def webhooks(self) -> Sequence[Webhook]:
        """See Webhooks."""
        found = [_webhook(told) for told in self._run("webhooks", "")]
        return sorted(found, key=lambda one: (one.created, one.id))

    @translated()
    def webhook(self, webhook: str) -> Webhook:
        """See Webhooks."""
        return _found(webhook, self._run("webhooks", webhook))

    @translated()
    def behind(self, webhook: Webhook, most: int) -> int:
        """See Webhooks."""
        entry, within, _ = parse_place(webhook.place)
        first = entry if within else f"({entry}"
        return len(self._redis.xrange(f"{self._base}happened", min=first, count=most) or ())

    @translated()
    def remove(self, webhook: str) -> None:
        """See Webhooks."""
        if not self._run("webhook_remove", webhook):
            raise _unknown(webhook)

    @translated()
    def redeliver(self, webhook: str, place: str = "") -> Webhook:
        """See Webhooks."""
        return _found(webhook, self._run("webhook_redeliver", webhook, place))

    @translated()
    def take(self, token: str, seconds: float) -> Webhook | None:
        """See Webhooks."""
        told = self._run("webhook_take", token, seconds)
        return None if told is None else _webhook(told)

    @translated()
    def delivered(self, webhook: str, token: str, place: str) -> None:
        """See Webhooks."""
        self._run("webhook_delivered", webhook, token, place)

    @translated()
    def refused(self, webhook: str, token: str, error: str, *, for_good: bool = False) -> None:
        """See Webhooks."""
        dead_after = 0 if for_good else DEAD_SECONDS
        pauses = (FIRST_PAUSE, LONGEST_PAUSE)
        self._run("webhook_refused", webhook, token, error, dead_after, *pauses)


def _found(webhook: str, told: Any) -> Webhook:
    if not told:
        raise _unknown(webhook)
    return _webhook(told[0])


def _unknown(webhook: str) -> NotFound:
    return NotFound("not_found", f"no webhook {webhook}")


def _webhook(told: Any) -> Webhook:
    """Of `webhook_view` in prelude.lua."""
    id_, url, secret, place, created, *more = (value.decode() if value else "" for value in told)
    delivered, failures, since, error, dead = more
    return Webhook(
        *(id_, url, secret, place, float(created)),
        delivered=float(delivered) if delivered else None,
        failures=int(failures or 0),
        since=float(since) if since else None,
        error=error,
        dead=bool(dead),
    )
