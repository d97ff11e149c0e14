"""What every answer tells a browser: to load nothing from elsewhere, to guess nothing, to be in no
frame, and to tell nobody where it was."""

from collections.abc import Iterator

import pytest
from api_parts import Api, running_api

EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: By status: pages, files, documents, and each way of being refused.
ANSWERS = [
    (200, "GET", "/"),
    (200, "GET", "/people"),
    (200, "GET", "/docs"),
    (200, "GET", "/openapi.json"),
    (200, "GET", "/healthz"),
    (200, "GET", "/static/page/upload.js"),
    (200, "GET", "/v1/people"),
    (400, "POST", "/v1/images"),
    (400, "GET", "/v1/images/none/matches"),
    (404, "GET", "/nowhere"),
    (404, "GET", "/static/nowhere"),
    (405, "PUT", "/v1/images"),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.mark.parametrize(("status", "method", "path"), ANSWERS)
def test_every_answer_has_them(api: Api, status: int, method: str, path: str) -> None:
    with api.app.test_client().open(path, method=method) as answer:
        assert answer.status_code == status
        headers = answer.headers
        assert {name: headers.get(name) for name in EXPECTED} == EXPECTED
        assert "camera=()" in headers["Permissions-Policy"]
        policy = policy_of(headers["Content-Security-Policy"])
        assert "Server" not in headers or "Python" not in headers["Server"]
        if not path.startswith("/static/"):
            assert headers["Cache-Control"] == "no-store"
    # Nothing but what is named, and what is named is here. Neither inline code nor eval.
    assert policy.pop("default-src") == ["'none'"]
    assert policy.pop("img-src") == ["'self'", "blob:"]
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy.pop(name) == ["'none'"]
    for name in ("script-src", "style-src", "connect-src"):
        assert policy.pop(name) == ["'self'"]
    assert policy == {}


def policy_of(text: str) -> dict[str, list[str]]:
    """What a Content-Security-Policy says, by directive."""
    return {name: values for name, *values in (part.split() for part in text.split(";"))}
