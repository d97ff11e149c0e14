"""Posting to URLs that strangers chose, for webhooks: addresses checked, time and bytes bounded, as
when pictures are fetched. Of the answer the status counts; nothing else is looked at.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from urllib.parse import urlsplit

from facematch import __version__
from facematch.errors import Rejected
from worker.fetch import as_asked_for, request_to, translated_for
from worker.outbound import Budget, GuardedAdapter

#: Of the head of an answer.
_MOST_BYTES = 64 * 1024
_HEADERS = {
    "User-Agent": f"facematch/{__version__}",
    "Content-Type": "application/json",
    "Connection": "close",
}


class Poster:
    """Posts JSON. Safe to use from several threads; keeps nothing between two of them."""

    def __init__(self, timeout: float, allowed: frozenset[tuple[str, int]] = frozenset()) -> None:
        """`timeout`: seconds, all in all. `allowed`: private servers that may be posted to."""
        self._timeout = timeout
        self._allowed = as_asked_for(allowed)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Redirects are not followed.

        Raises Rejected: bad_url, address_not_allowed, unreachable, fetch_timed_out, too_large,
        fetch_failed.
        """
        # As in a fetch: a name lookup cannot be given up, but left alone.
        outcome: Future[int] = Future()
        errand = (url, body, headers, outcome)
        threading.Thread(target=self._run, args=errand, name="post", daemon=True).start()
        try:
            return outcome.result(self._timeout)
        except TimeoutError:
            raise Rejected("fetch_timed_out") from None

    def _run(self, url: str, body: bytes, headers: Mapping[str, str], outcome: Future[int]) -> None:
        budget = Budget(self._timeout, _MOST_BYTES)
        try:
            outcome.set_result(self._send(url, body, headers, budget))
        except Exception as error:  # noqa: BLE001  handed on to the caller
            outcome.set_exception(error)

    def _send(self, url: str, body: bytes, headers: Mapping[str, str], budget: Budget) -> int:
        request = request_to(url, "the URL", "POST", {**_HEADERS, **headers}, body)
        is_https = urlsplit(str(request.url)).scheme == "https"
        with (
            translated_for(request, budget),
            closing(GuardedAdapter(is_https, self._allowed, budget)) as adapter,
        ):
            seconds = budget.seconds()
            with adapter.send(request, stream=True, timeout=(seconds, seconds)) as response:
                return int(response.status_code)
