"""How much each API key may ask for: requests, and submissions. Counted by flask-limiter, over a
window that slides, in Redis, so that all apis count together.

A key without limits costs nothing here. One with a limit costs a script in Redis for each request,
and that writes.
"""

import math
import time
from typing import Any

from apiflask import APIFlask
from flask import Response
from flask_limiter import ApplicationLimit, Limiter, RateLimitExceeded
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import RedisStorage

from api.caller import caller, is_submitting
from api.problems import problem
from facematch.errors import Denied, Rejected, Unavailable
from facematch.redis_functions import ServerScript
from facematch.redis_limits import LOOK, TAKE

_REQUESTS, _SUBMISSIONS = "requests", "submissions"
_CODES = {_REQUESTS: "rate_exceeded", _SUBMISSIONS: "quota_exceeded"}
#: The scheme of the storage below, for `Limits`.
SHARED = "facematch+redis"


class _Shared(RedisStorage):
    """In Redis, counted by functions where it takes no scripts."""

    STORAGE_SCHEME = [SHARED]  # noqa: RUF012 # as the class above has it

    def initialize_storage(self, _uri: str) -> None:
        """See RedisStorage."""
        super().initialize_storage(_uri)
        take = ServerScript(self.storage, TAKE)
        self.lua_sliding_window = ServerScript(self.storage, LOOK)  # type: ignore[assignment]
        self.lua_acquire_sliding_window = take  # type: ignore[assignment]


class Limits:
    """Of one process."""

    def __init__(
        self, rate: str = "", quota: str = "", uri: str = "memory://", **storage: Any
    ) -> None:
        """`rate`, `quota`: of keys that have none of their own. `uri`, `storage`: where it is
        counted, see `limits.storage`; in this process alone by default."""
        self._rate, self._quota = rate, quota
        self._limiter = Limiter(
            _caller_id,
            application_limits=[
                ApplicationLimit(self._requests, scope=_REQUESTS),
                ApplicationLimit(
                    self._submissions,
                    scope=_SUBMISSIONS,
                    exempt_when=lambda: not is_submitting(),
                ),
            ],
            strategy="sliding-window-counter",
            storage_uri=uri,
            storage_options={"wrap_exceptions": True, **storage},
        )

    def register(self, app: APIFlask) -> None:
        """Count the requests of an application, from now on, whose `caller` is known by then."""
        self._limiter.init_app(app)
        # Before it looks which limits there are, which takes longer than all of the guard.
        self._limiter.request_filter(lambda: not (self._requests() or self._submissions()))
        app.register_error_handler(RateLimitExceeded, self._exceeded)
        app.register_error_handler(StorageError, _away)

    def charge(self, count: int) -> None:
        """So many submissions more than the one that the request counts as: for who takes many at
        once, before any of them is accepted. Where one of the key's limits refuses them, none is
        charged. Raises Denied("quota_exceeded"), Unavailable; Rejected("larger_than_quota") for
        what no waiting helps."""
        if not count or not self._submissions():
            return
        limits = sorted(parse_many(self._submissions()))
        for limit in limits:
            if count + 1 > limit.amount:
                raise Rejected("larger_than_quota", f"{count + 1} at once, no more than {limit}")
        strategy, identifiers = self._limiter.limiter, (_caller_id(), _SUBMISSIONS)
        try:
            # All are asked before any is charged. One may be in vain all the same, where somebody
            # else with this key takes what is left of another one at this very moment.
            for charge in (strategy.test, strategy.hit):
                for limit in limits:
                    if not charge(limit, *identifiers, cost=count):
                        seconds = self._seconds(limit, *identifiers)
                        raise Denied("quota_exceeded", f"no more than {limit}", seconds)
        except StorageError as error:
            raise Unavailable("store_unavailable", str(error.storage_error)) from error

    def _requests(self) -> str:
        key = caller()
        if key is None:
            return ""
        return self._rate if key.rate is None else key.rate

    def _submissions(self) -> str:
        key = caller()
        if key is None:
            return ""
        return self._quota if key.quota is None else key.quota

    def _exceeded(self, error: RateLimitExceeded) -> Response:
        scope = str(error.limit.scope)
        seconds = self._seconds(error.limit.limit, _caller_id(), scope)
        return problem(
            _CODES[scope], f"no more than {error.limit.limit}", headers=_retry_after(seconds)
        )

    def _seconds(self, limit: RateLimitItem, *identifiers: str) -> int:
        """Until there is room again for one."""
        reset = self._limiter.limiter.get_window_stats(limit, *identifiers).reset_time
        return max(1, math.ceil(reset - time.time()))


def _caller_id() -> str:
    key = caller()
    return key.id if key else ""


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(math.ceil(seconds))}


def _away(error: StorageError) -> Response:
    del error
    return problem("store_unavailable")
