"""gzip for answers that are long and that a client takes so. For `api.app`."""

import gzip

from flask import Response, request

#: Shorter than that, it is one packet either way.
_LEAST_BYTES = 1400
#: Hashes are most of what there is, and higher levels find no more in them.
_LEVEL = 1
_TYPES = ("application/json", "text/", "image/svg+xml")


def compressed(response: Response) -> Response:
    """The same response, made shorter if that pays. Streams, files and parts are left alone."""
    kind = response.mimetype or ""
    if not kind.startswith(_TYPES) or kind == "text/event-stream":
        return response
    response.vary.add("Accept-Encoding")
    if (
        response.status_code != 200
        or response.is_streamed
        or response.direct_passthrough
        or "Content-Encoding" in response.headers
        or not request.accept_encodings["gzip"]
    ):
        return response
    data = response.get_data()
    if len(data) >= _LEAST_BYTES:
        # The same bytes for the same answer, whenever.
        response.set_data(gzip.compress(data, _LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response
