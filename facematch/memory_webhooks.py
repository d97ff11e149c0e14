"""Webhooks in memory: the contract of `facematch.webhooks`, for tests."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from facematch.errors import Conflict, NotFound
from facematch.events import parse_place
from facematch.memory_store import MemoryStore
from facematch.webhooks import DEAD_SECONDS, MOST_WEBHOOKS, Webhook, pause_after


class MemoryWebhooks:
    """See facematch.webhooks.Webhooks."""

    def __init__(self, store: MemoryStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._lock = store._lock
        self._clock = clock
        self._webhooks: dict[str, Webhook] = {}
        self._due: dict[str, float] = {}
        self._tokens: dict[str, str] = {}

    def add(self, webhook: str, url: str, secret: str, place: str) -> Webhook:
        """See Webhooks."""
        with self._lock:
            if len(self._webhooks) >= MOST_WEBHOOKS:
                raise Conflict("too_many_webhooks")
            self._due[webhook] = self._clock()
            return self._webhooks.setdefault(
                webhook, Webhook(webhook, url, secret, place, self._clock())
            )

    def webhooks(self) -> Sequence[Webhook]:
        """See Webhooks."""
        with self._lock:
            return list(self._webhooks.values())

    def webhook(self, webhook: str) -> Webhook:
        """See Webhooks."""
        with self._lock:
            if webhook not in self._webhooks:
                raise NotFound("not_found", f"no webhook {webhook}")
            return self._webhooks[webhook]

    def behind(self, webhook: Webhook, most: int) -> int:
        """See Webhooks."""
        entry, within, _ = parse_place(webhook.place)
        with self._lock:
            kept = self._store._happened
            first = (_number(entry), not within)
            return min(most, sum((_number(one.id), False) >= first for one in kept))

    def remove(self, webhook: str) -> None:
        """See Webhooks."""
        with self._lock:
            self.webhook(webhook)
            del self._webhooks[webhook]
            self._tokens.pop(webhook, None)

    def redeliver(self, webhook: str, place: str = "") -> Webhook:
        """See Webhooks."""
        with self._lock:
            known = self.webhook(webhook)
            self._tokens.pop(webhook, None)
            self._due[webhook] = self._clock()
            return self._keep(_well(known, place or known.place))

    def take(self, token: str, seconds: float) -> Webhook | None:
        """See Webhooks."""
        with self._lock:
            kept = self._store._happened
            tail = kept[-1].id if kept else "0-0"
            for one in self._webhooks.values():
                due = not one.dead and self._due[one.id] <= self._clock()
                if due and one.place != tail:
                    self._due[one.id] = self._clock() + seconds
                    self._tokens[one.id] = token
                    return one
            return None

    def delivered(self, webhook: str, token: str, place: str) -> None:
        """See Webhooks."""
        with self._lock:
            if self._tokens.get(webhook) == token:
                del self._tokens[webhook]
                self._due[webhook] = self._clock()
                well = _well(self._webhooks[webhook], place)
                self._keep(replace(well, delivered=self._clock()))

    def refused(self, webhook: str, token: str, error: str, *, for_good: bool = False) -> None:
        """See Webhooks."""
        with self._lock:
            if self._tokens.get(webhook) != token:
                return
            del self._tokens[webhook]
            known, now = self._webhooks[webhook], self._clock()
            since = now if known.since is None else known.since
            self._due[webhook] = now + pause_after(known.failures + 1)
            self._keep(
                replace(
                    known,
                    failures=known.failures + 1,
                    since=since,
                    error=error,
                    dead=for_good or now - since >= DEAD_SECONDS,
                )
            )

    def _keep(self, webhook: Webhook) -> Webhook:
        self._webhooks[webhook.id] = webhook
        return webhook


def _well(webhook: Webhook, place: str) -> Webhook:
    return replace(webhook, place=place, failures=0, since=None, error="", dead=False)


def _number(entry: str) -> tuple[int, ...]:
    return tuple(map(int, entry.split("-")))
