"""Every error is application/problem+json with a stable code, and tells nothing about us."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from api_parts import Api, running_api
from flask.testing import FlaskClient
from werkzeug.exceptions import ImATeapot

from api.problems import STATUS
from facematch import failpoints
from facematch.errors import CODES, Rejected, Unavailable


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def test_every_code_has_a_status() -> None:
    assert set(STATUS) == set(CODES)
    assert set(STATUS.values()) <= {400, 401, 403, 404, 405, 409, 410, 413, 422, 429, 500, 503}


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_error_of_ours_is_a_problem(api: Api, code: str) -> None:
    @api.app.get("/fail")
    def fail() -> str:
        raise Rejected(code)

    answer = api.app.test_client().get("/fail")
    assert answer.content_type == "application/problem+json"
    assert answer.status_code == answer.json["status"] == STATUS[code]
    assert answer.json["code"] == code
    assert answer.json["detail"] == CODES[code]
    assert answer.json["type"] == "about:blank"
    assert answer.json["title"]
    assert ("Retry-After" in answer.headers) == (STATUS[code] == 503)


def test_what_a_driver_says_about_our_hosts_is_not_shown(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise Unavailable("store_unavailable", "connecting to secret-host:6379")

    monkeypatch.setattr(api.store, "job", away)
    answer = client.get("/v1/jobs/x")
    assert (answer.status_code, answer.json["detail"]) == (503, CODES["store_unavailable"])


def test_an_unknown_route_is_not_found(client: FlaskClient) -> None:
    answer = client.get("/v2/images")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/images"), ("PUT", "/v1/images/x"), ("POST", "/match/x"), ("GET", "/scan/url")],
)
def test_a_method_that_a_route_does_not_take_is_said(
    client: FlaskClient, method: str, path: str
) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"]


def test_other_http_errors_keep_their_status(api: Api) -> None:
    @api.app.get("/teapot")
    def teapot() -> str:
        raise ImATeapot

    answer = api.app.test_client().get("/teapot")
    assert (answer.status_code, answer.json["code"]) == (418, "bad_request")


def test_a_redirect_is_no_problem(api: Api) -> None:
    api.app.add_url_rule("/folder/", view_func=lambda: "here")
    answer = api.app.test_client().get("/folder")
    assert answer.status_code == 308
    assert answer.headers["Location"].endswith("/folder/")


def test_an_error_nobody_planned_for_is_logged_and_not_shown(api: Api, client: FlaskClient) -> None:
    failpoints.arm("after_accept:raise")
    try:
        with structlog.testing.capture_logs() as logged:
            answer = client.post("/v1/images", data=b"x")
    finally:
        failpoints.set_hook(None)
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert answer.json["detail"] == CODES["internal_error"]
    assert "after_accept" not in answer.text
    [line] = [line for line in logged if line["log_level"] == "error"]
    assert isinstance(line["exc_info"], failpoints.FailpointError)
    assert line["route"] == "/v1/images"


def test_every_answer_has_the_headers_that_keep_browsers_safe(client: FlaskClient) -> None:
    for path in ("/", "/v1/jobs/x", "/match/x", "/nothing", "/healthz"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"


def test_the_openapi_document_has_every_route_and_resolves(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    of_collection = {
        "/batches/{batch}",
        "/events",
        "/faces/{face}/matches",
        "/images:batch",
        "/images:erase",
        "/privacy",
        "/search",
        "/failed",
        "/images/{image}/thumbnail",
        "/jobs/{job}/retry",
        "/status",
        "/webhooks",
        "/webhooks/{webhook}",
        "/webhooks/{webhook}/redeliver",
        "/images",
        "/images/{image}",
        "/images/{image}/matches",
        "/images/{image}/people",
        "/jobs/{job}",
        "/people",
        "/people/{person}",
        "/people/{person}/exclude",
        "/people/{person}/merge",
        "/people/{person}/split",
    }
    long = "/v1/collections/{collection}"
    assert set(document["paths"]) == {
        "/healthz",
        "/readyz",
        "/match/{image}",
        "/scan/image/{filename}",
        "/scan/url",
        "/v1/collections",
        long,
        *(f"/v1{path}" for path in of_collection),
        *(f"{long}{path}" for path in of_collection),
    }
    for path in of_collection:
        short, its_own = document["paths"][f"/v1{path}"], document["paths"][f"{long}{path}"]
        assert short.keys() == its_own.keys()
        for method, operation in its_own.items():
            assert operation.get("requestBody") == short[method].get("requestBody")
            assert operation["responses"].keys() == short[method]["responses"].keys() | {"404"}
            assert operation["parameters"][0]["schema"]["pattern"]
    assert len(document["paths"]["/v1/images"]["post"]["requestBody"]["content"]) == 3

    def references(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(document))
    assert "#/components/schemas/Problem" in found
    for reference in found:
        name = reference.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"], reference
