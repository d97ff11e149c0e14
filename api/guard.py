"""Lets in who may come in: before each request, the key that came with it is looked up, and held
against what the route takes.

What a key is not for is not there: the answer is that of a collection that does not exist,
whether it does or not, and nothing has been looked up by then. So there is nothing to tell the two
apart by.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from apiflask import APIFlask
from flask import Request, current_app, request

from api.caller import recognise
from api.limiting import Limits
from api.scopes import OPEN, Needs, may_use, needs_of
from facematch.errors import Denied, NotFound, Unavailable
from facematch.keys import ApiKey, Keys, parsed

KEY_HEADER = "X-Api-Key"
#: For so long a key goes on working after it was revoked.
CACHE_SECONDS = 2.0
#: How often it is noted that a key is in use.
_NOTE_SECONDS = 3600.0
_MOST_CACHED = 10_000


@dataclass(frozen=True)
class _Cached:
    key: ApiKey
    until: float  # by time.monotonic
    noted: float  # when its use was last noted


class Guard:
    """Knows which keys there are. Safe to share between threads."""

    def __init__(
        self,
        keys: Keys,
        limits: Limits,
        *,
        asks: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`asks`: False where somebody else guards the service. `clock`: seconds since 1970, for
        when keys expire."""
        self._keys = keys
        self.limits = limits
        self._asks = asks
        self._clock = clock
        self._cached: dict[str, _Cached] = {}
        #: Whether there are keys, as of when. Once there were any, there always are.
        self._exist: bool | None = None
        self._looked = 0.0
        self._looking = threading.Lock()

    def register(self, app: APIFlask) -> None:
        """Stand before every route of the application."""
        app.before_request(self._check)
        # Behind, so that it knows whose requests it counts.
        self.limits.register(app)

    def asks(self) -> bool:
        """Whether callers are asked for a key: where there ever was one. Raises Unavailable."""
        if not self._asks:
            return False
        if self._exist:
            return True
        if self._exist is None or time.monotonic() - self._looked >= CACHE_SECONDS:
            self._look()
        return bool(self._exist)

    def key(self, text: str) -> ApiKey:
        """The key with this text. Raises Denied("bad_key"), Unavailable."""
        found = parsed(text)
        if found is None:
            raise Denied("bad_key")
        id_, secret = found
        cached = self._current(id_)
        key, now = cached.key, self._clock()
        if not key.is_of(secret) or not key.is_alive(now):
            raise Denied("bad_key")
        if now - cached.noted >= _NOTE_SECONDS:
            self._cached[id_] = _Cached(key, cached.until, now)
            with suppress(Unavailable):
                self._keys.note_use(id_, now)
        return key

    def works(self, key: ApiKey | None) -> bool:
        """Whether who was let in with this key still would be: for answers that take long, such as
        a stream. Raises Unavailable."""
        if key is None:
            return not self.asks()
        try:
            return self._current(key.id).key.is_alive(self._clock())
        except Denied:
            return False

    def _check(self) -> None:
        if request.routing_exception is not None or request.url_rule is None:
            return  # it is answered with 404 or 405, whoever asks
        endpoint = request.url_rule.endpoint
        needed = needs_of(endpoint, current_app.view_functions[endpoint])
        if needed == OPEN or _is_preflight(request):
            return
        if not self.asks():
            recognise(None, needed)
            return
        text = sent_key(request)
        if text is None:
            raise Denied("no_key")
        key = self.key(text)
        # From here on: what it does counts, and is logged, as that of this key.
        structlog.contextvars.bind_contextvars(key=key.id)
        recognise(key, needed)
        _let_in(key, needed)

    def _current(self, id_: str) -> _Cached:
        """As it was two seconds ago at the most. Raises Denied("bad_key"), Unavailable."""
        cached = self._cached.get(id_)
        if cached is None or time.monotonic() >= cached.until:
            cached = self._fetch(id_, cached)
        return cached

    def _fetch(self, id_: str, before: _Cached | None) -> _Cached:
        key = self._keys.key(id_)
        if key is None:
            # Not kept: one that is made in a moment works at once.
            self._cached.pop(id_, None)
            raise Denied("bad_key")
        if len(self._cached) >= _MOST_CACHED:
            self._cached.clear()
        noted = max(key.used or 0.0, before.noted if before else 0.0)
        cached = _Cached(key, time.monotonic() + CACHE_SECONDS, noted)
        self._cached[id_] = cached
        return cached

    def _look(self) -> None:
        """Whether there are keys; by one thread at a time, the others go by what was known."""
        if not self._looking.acquire(blocking=self._exist is None):
            return
        try:
            self._exist = self._keys.exist()
        except Unavailable:
            if self._exist is None:
                raise
        finally:
            self._looked = time.monotonic()
            self._looking.release()


def sent_key(request: Request) -> str | None:
    """The text of the key that came with a request; None when none did. The header of our own
    first: something before the service may want the other one for itself."""
    own = request.headers.get(KEY_HEADER)
    if own is not None:
        return own.strip()
    kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if kind.lower() == "bearer" else None


def _let_in(key: ApiKey, needed: Needs) -> None:
    if not may_use(key, needed):
        raise NotFound("unknown_collection")
    if not needed.met_by(key):
        raise Denied("scope_missing", f"the API key is not good for that: it takes {needed}")


def _is_preflight(request: Request) -> bool:
    """A browser asks whether it may ask, without its key; the answer says nothing else."""
    answered_by_flask = getattr(request.url_rule, "provide_automatic_options", False)
    return request.method == "OPTIONS" and bool(answered_by_flask)
