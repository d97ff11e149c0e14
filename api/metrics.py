"""What the api tells a monitoring system, in the names of `facematch.metrics`: of its requests,
and, because it is there as long as anything is, of the store and the queue (`api.vitals`).

Put into the application by `api.app`, served by `api.wsgi`.
"""

import time
from collections.abc import Callable, Iterator

from apiflask import APIFlask
from flask import Response, g, request

from api.problems import CONTENT_TYPE
from facematch.metrics import Gauge, Registry, gauge

#: A request that asks to wait may take as long as that.
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}


class Metrics:
    """Of one process. Safe to share between threads."""

    def __init__(self) -> None:
        self.registry = Registry("api")
        self._accepted = self.registry.counter(
            "accepted", "Submissions that were made durable, by bytes or url", "by"
        )
        for by in ("bytes", "url"):
            self._accepted.labels(by)  # so that the first one is seen as one more
        self._requests = self.registry.counter(
            "api_requests", "Requests that were answered", "route", "method", "status"
        )
        self._seconds = self.registry.histogram(
            "api_request_seconds",
            "How long they took, with what they waited for a result",
            "route",
            buckets=_BUCKETS,
        )
        self._problems = self.registry.counter(
            "api_problems", "Requests that were answered with a problem", "code"
        )

    def accepted(self, by: str) -> None:
        """A submission is durable."""
        self._accepted.labels(by).inc()

    def count_requests(self, app: APIFlask) -> None:
        """From now on."""
        app.before_request(_begin)
        app.after_request(self._end)

    def _end(self, response: Response) -> Response:
        # A path that is no route's may be anything, and so may a method.
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(route, method, str(response.status_code)).inc()
        self._seconds.labels(route).observe(time.perf_counter() - g.begun)
        if response.content_type == CONTENT_TYPE:
            told = response.get_json(silent=True) or {}
            self._problems.labels(str(told.get("code", ""))).inc()
        return response


def _begin() -> None:
    g.begun = time.perf_counter()


def gauges_of(
    waiting: Callable[[], int], places: int, queued: Callable[[], int], replayed: Callable[[], bool]
) -> Callable[[], Iterator[Gauge]]:
    """What is so now in this process."""

    def gauges() -> Iterator[Gauge]:
        yield gauge("api_waiters", "Requests that wait for a result", waiting())
        yield gauge("api_waiters_limit", "How many may wait at once", places)
        yield gauge("api_unpublished", "Jobs of which no worker was told yet", queued())
        yield gauge(
            "api_ledger_replayed",
            "1 when the store has heard of every erasure since it was last away",
            replayed(),
        )

    return gauges
