"""For `schemathesis` (SCHEMATHESIS_HOOKS): strings that the service tells from others and
no pattern does. Nothing goes out: there are no public addresses among the URLs."""

from typing import Any
from urllib.parse import urlencode

import schemathesis
from hypothesis import strategies as st

_URLS = ["http://127.0.0.1:1/a.jpg", "https://127.0.0.1:1/", "http://[::1]:1/a?b=c"]
#: No worker runs, so that whoever waits does so for as long as asked.
_MOST_WAIT = 0.1
_MOST_QUERY = 7000

schemathesis.openapi.format("cursor", st.just(""))
schemathesis.openapi.format("uri", st.sampled_from(_URLS))


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Wait for a moment where it would be half a minute."""
    wait = query.get("wait") if isinstance(query, dict) else None
    if isinstance(wait, int | float) and _MOST_WAIT < wait <= 30:
        return query | {"wait": _MOST_WAIT}
    return query


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """No strict collection: what is right elsewhere is refused there."""
    rules = context.operation.path.endswith("/privacy") and isinstance(body, dict)
    return body | {"strict": False} if rules and body.get("strict") is True else body


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """No bytes that are called JSON: as a picture they are taken for what they are. No URL so long
    that the server refuses the request before there is a route."""
    if len(urlencode(case.query or {}, doseq=True)) > _MOST_QUERY:
        return False
    takes_pictures = case.path.endswith(("/images", "/search"))
    return not (takes_pictures and "json" in (case.media_type or "") and type(case.body) is bytes)
