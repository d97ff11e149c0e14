"""For `schemathesis` (SCHEMATHESIS_HOOKS): strings that the service tells from others and
no pattern does. Nothing goes out: there are no public addresses among the URLs."""

import schemathesis
from hypothesis import strategies as st

_URLS = ["http://127.0.0.1:1/a.jpg", "https://127.0.0.1:1/", "http://[::1]:1/a?b=c"]

schemathesis.openapi.format("cursor", st.just(""))
schemathesis.openapi.format("uri", st.sampled_from(_URLS))
