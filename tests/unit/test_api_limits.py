"""How much a key may ask for: counted for each key, by all apis together, and said in 429."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from api_parts import Api, running_api
from apiflask import APIFlask
from servers import RedisServer
from unprivileged import url_of
from waiting import eventually
from werkzeug.test import TestResponse

from api import problems
from api.guard import Guard
from api.limiting import SHARED, Limits
from api.scopes import needs
from facematch.errors import NotFound
from facematch.faces import image_hash
from facematch.keys import EVERY, UNLIMITED, Keys, Scope, new_key
from facematch.memory_keys import MemoryKeys
from facematch.redis_connection import connect
from facematch.redis_keys import LIMITS_PREFIX


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, key_rate="6/hour", key_quota="2/day") as api:
        yield api


def key_of(keys: Keys, rate: str | None = None, quota: str | None = None) -> dict[str, str]:
    """The header of a new key."""
    key, text = new_key("k", list(Scope), [EVERY], 1.0, rate=rate, quota=quota)
    keys.add(key)
    return {"X-Api-Key": text}


def is_over(answer: TestResponse, code: str, seconds: int) -> bool:
    """Whether it says that there were too many, and when there will be room."""
    assert answer.status_code == 429
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    return answer.json["code"] == code and 0 < int(answer.headers["Retry-After"]) <= seconds


def test_requests_are_counted_for_each_key_whatever_the_route(api: Api) -> None:
    client, one, other = api.app.test_client(), key_of(api.keys), key_of(api.keys)
    paths = ["/v1/people", "/v1/jobs/x", "/match/x", "/v1/images/x", "/nothing", "/v1/people"]
    statuses = [client.get(path, headers=one).status_code for path in paths]
    assert statuses == [200, 404, 200, 400, 404, 200]
    # One that is no route's is not counted.
    assert client.get("/v1/people", headers=one).status_code == 200
    assert is_over(client.get("/v1/people", headers=one), "rate_exceeded", 3600)
    assert client.get("/healthz", headers=one).status_code == 200
    assert client.get("/v1/people", headers=other).status_code == 200


def test_submissions_are_counted_and_nothing_over_the_quota_is_accepted(api: Api) -> None:
    client, key = api.app.test_client(), key_of(api.keys, rate=UNLIMITED)
    assert client.post("/v1/images", data=b"a", headers=key).status_code == 202
    assert client.post("/scan/image/b", data=b"b", headers=key).status_code == 200
    over = client.post("/v1/images", data=b"c", headers=key)
    assert is_over(over, "quota_exceeded", 86_400)
    assert client.get("/v1/people", headers=key).status_code == 200
    eventually(lambda: api.broker.depth() == 2)
    with pytest.raises(NotFound):
        api.store.image(image_hash(b"c"))


def test_a_key_has_limits_of_its_own_or_none(api: Api) -> None:
    client = api.app.test_client()
    few, any_ = key_of(api.keys, rate="1/hour"), key_of(api.keys, UNLIMITED, UNLIMITED)
    assert client.get("/v1/people", headers=few).status_code == 200
    assert is_over(client.get("/v1/people", headers=few), "rate_exceeded", 3600)
    answers = {client.post("/v1/images", data=b"a", headers=any_).status_code for _ in range(10)}
    assert answers == {202}
    two = key_of(api.keys, rate="100/day,1/second")
    eventually(lambda: time.time() % 1 < 0.2, "a second has just begun: two are in one")
    assert client.get("/v1/people", headers=two).status_code == 200
    assert is_over(client.get("/v1/people", headers=two), "rate_exceeded", 1)


def test_where_nobody_is_asked_for_a_key_nobody_is_counted(api: Api) -> None:
    client = api.app.test_client()
    answers = {client.post("/v1/images", data=b"a").status_code for _ in range(10)}
    assert answers == {202}


@contextmanager
def taking_many(
    limits: Limits, *, quota: str
) -> Iterator[tuple[Callable[[int], TestResponse], APIFlask]]:
    """Who submits so many at once, with a key of this quota."""
    app, keys = APIFlask("small"), MemoryKeys()
    problems.register(app)

    @app.post("/many/<int:count>")
    @needs(Scope.SUBMIT)
    def many(count: int) -> dict[str, str]:
        limits.charge(count - 1)
        return {}

    Guard(keys, limits).register(app)
    client, key = app.test_client(), key_of(keys, quota=quota)
    yield lambda count: client.post(f"/many/{count}", headers=key), app


def test_many_submissions_at_once_are_charged_before_they_are_taken() -> None:
    limits = Limits()
    with taking_many(limits, quota="10/day") as (send, app):
        assert send(6).status_code == 200
        assert is_over(send(5), "quota_exceeded", 86_400)
        # The one that it counted as is gone, the four others are not.
        assert send(3).status_code == 200
        assert send(1).status_code == 429
        with app.test_request_context():
            limits.charge(100)


@pytest.mark.parametrize("quota", ["10/day", "1000/minute,10/day"])
def test_more_at_once_than_a_quota_ever_allows_is_told_so_and_not_to_wait(quota: str) -> None:
    with taking_many(Limits(), quota=quota) as (send, _):
        answer = send(11)
        assert (answer.status_code, answer.json["code"]) == (413, "larger_than_quota")
        assert answer.json["detail"] == "11 at once, no more than 10 per 1 day"
        assert "Retry-After" not in answer.headers
        assert send(9).status_code == 200


def test_what_one_limit_refuses_is_not_charged_to_another(redis_server: RedisServer) -> None:
    with connect(redis_server.url) as client:
        pool = client.connection_pool
        in_redis = Limits(uri="redis://", connection_pool=pool, key_prefix=LIMITS_PREFIX)
        for limits in (Limits(), in_redis):
            with taking_many(limits, quota="7/day,8/minute") as (send, _):
                assert send(5).status_code == 200
                over = send(3)
                assert is_over(over, "quota_exceeded", 86_400)
                assert over.json["detail"] == "no more than 7 per 1 day"
                # Of both limits one is left for it, had the minute not been charged with those two.
                assert send(1).status_code == 200


def of_redis(url: str, keys: MemoryKeys) -> tuple[APIFlask, object]:
    """An api of its own, that counts in Redis."""
    app, client = APIFlask("small"), connect(url)
    problems.register(app)
    pool, uri = client.connection_pool, f"{SHARED}://"
    limits = Limits("3/hour", "", uri, connection_pool=pool, key_prefix=LIMITS_PREFIX)

    @app.get("/one")
    @needs(Scope.READ)
    def one() -> dict[str, str]:
        return {}

    Guard(keys, limits).register(app)
    return app, client


@pytest.mark.parametrize("by", ["scripts", "functions"])
def test_two_apis_count_together_and_say_so_when_redis_is_away(
    redis_server: RedisServer, by: str
) -> None:
    keys = MemoryKeys()
    key = key_of(keys)
    url = redis_server.url if by == "scripts" else url_of(redis_server.port, "facematch")
    (one, one_client), (other, other_client) = (of_redis(url, keys) for _ in range(2))
    try:
        answers = [app.test_client().get("/one", headers=key) for app in (one, other, one, other)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert is_over(answers[3], "rate_exceeded", 3600)
        with connect(redis_server.url) as client:
            kept = client.keys("*")
            assert kept
            assert all(name.startswith(b"fm:{~keys}:limits:") for name in kept)
            assert all(client.ttl(name) > 0 for name in kept)
        redis_server.kill()
        away = one.test_client().get("/one", headers=key)
        assert away.status_code == 503
        assert away.json["code"] == "store_unavailable"
        assert "Retry-After" in away.headers
    finally:
        for client in (one_client, other_client):
            client.close()  # type: ignore[attr-defined]


def test_a_backlog_that_is_full_says_when_to_come_again_and_loses_nothing(tmp_path: Path) -> None:
    with running_api(tmp_path, backlog_bytes=10) as api:
        client, key = api.app.test_client(), key_of(api.keys)
        first = client.post("/v1/images", data=b"12345678", headers=key)
        full = client.post("/v1/images", data=b"abcdefgh", headers=key)
        assert first.status_code == 202
        assert (full.status_code, full.json["code"]) == (503, "backlog_full")
        assert int(full.headers["Retry-After"]) > 0
        api.finish(b"12345678")
        assert client.get(first.headers["Location"], headers=key).json["state"] == "done"
        assert client.post("/v1/images", data=b"abcdefgh", headers=key).status_code == 202
