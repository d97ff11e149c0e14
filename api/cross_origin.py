"""Which pages of other origins a browser lets use the api (CORS). For `api.app`."""

from collections.abc import Callable

from flask import Response, request

from facematch.privacy import HEADERS

ANY = "*"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ASKED_WITH = ", ".join(
    (
        *("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"),
        *("X-Api-Key", *HEADERS.values()),
    )
)
_SHOWN = "ETag, Location, Retry-After"
_KEPT_SECONDS = "600"


def answering(origins: frozenset[str]) -> Callable[[Response], Response]:
    """What tells browsers that pages of these origins (`https://example.com`; or "*", all) may read
    an answer. Never with credentials that a browser has by itself: there are none here."""

    def told(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        if ANY not in origins:
            response.vary.add("Origin")
            if origin not in origins:
                return response
        headers = response.headers
        headers["Access-Control-Allow-Origin"] = ANY if ANY in origins else origin
        headers["Access-Control-Expose-Headers"] = _SHOWN
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            headers["Access-Control-Allow-Methods"] = _METHODS
            headers["Access-Control-Allow-Headers"] = _ASKED_WITH
            headers["Access-Control-Max-Age"] = _KEPT_SECONDS
        return response

    return told
