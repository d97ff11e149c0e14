"""Who is let in: every route there is × no key, a wrong one, one without the scope, and another
tenant's. The routes are those of the application: a new one is tested by itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from api_parts import Api, running_api
from apiflask import APIFlask
from flask import Flask
from werkzeug.test import TestResponse

from api import guard as guard_module
from api import problems
from api.caller import caller, own_collections
from api.collection_of import LONG, choose
from api.guard import Guard
from api.limiting import Limits
from api.problems import CHALLENGE
from api.scopes import OPEN, Needs, Of, declared, names_a_collection, needs, needs_of
from facematch.errors import Denied, Unavailable
from facematch.faces import image_hash
from facematch.keys import EVERY, ApiKey, Scope, new_key
from facematch.memory_keys import MemoryKeys
from facematch.policy import PolicyChange

PICTURE = b"a picture"


@dataclass(frozen=True)
class Route:
    """A route of the application, and what it takes."""

    endpoint: str
    pattern: str
    method: str
    arguments: frozenset[str]
    needed: Needs

    def __str__(self) -> str:
        return f"{self.method} {self.pattern}"


@dataclass
class Tenants:
    """A service with a finished image in the default collection."""

    api: Api
    image: str

    def key(self, *scopes: Scope, of: str = "default", **more: Any) -> str:
        """The text of a new key."""
        key, text = new_key("k", scopes or list(Scope), [of], 1.0, **more)
        self.api.keys.add(key)
        return text

    def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        client = self.api.app.test_client()
        return client.open(path, method=method, headers=headers, **more)

    def path_of(self, route: Route, collection: str = "default", **others: str) -> str:
        """One of an image that there is, where the route has an image."""
        known = {"collection": collection, "image": self.image, **others}
        values = {name: known.get(name, "nothing") for name in route.arguments}
        adapter = self.api.app.url_map.bind("localhost")
        return adapter.build(route.endpoint, values, method=route.method)


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    with running_api(tmp_path_factory.mktemp("api")) as api:
        tenants = Tenants(api, image_hash(PICTURE))
        assert tenants.ask("POST", "/v1/images", tenants.key(), data=PICTURE).status_code == 202
        api.finish(PICTURE)
        yield tenants


def _routes() -> list[Route]:
    """All routes of an application, which is made once more for their names."""
    with TemporaryDirectory() as folder, running_api(Path(folder)) as api:
        return [
            Route(
                rule.endpoint,
                rule.rule,
                method,
                frozenset(rule.arguments),
                needs_of(rule.endpoint, api.app.view_functions[rule.endpoint]),
            )
            for rule in api.app.url_map.iter_rules()
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        ]


ROUTES = _routes()
GUARDED = [route for route in ROUTES if route.needed != OPEN]
OF_A_COLLECTION = [route for route in GUARDED if route.needed.of is not Of.ANY]
each_route = pytest.mark.parametrize("route", ROUTES, ids=str)
each_guarded_route = pytest.mark.parametrize("route", GUARDED, ids=str)
each_route_of_a_collection = pytest.mark.parametrize("route", OF_A_COLLECTION, ids=str)


def is_problem(answer: TestResponse, status: int, code: str) -> bool:
    shown = answer.get_json(silent=True) or {}
    return answer.status_code == status and shown.get("code") == code


@each_route
def test_a_route_says_who_may_ask_it(tenants: Tenants, route: Route) -> None:
    function = tenants.api.app.view_functions[route.endpoint]
    assert declared(route.endpoint, function), f"{route.pattern} has no scope: see api/scopes.py"


@each_route
def test_without_a_key_only_an_open_route_answers(tenants: Tenants, route: Route) -> None:
    tenants.key()
    answer = tenants.ask(route.method, tenants.path_of(route))
    if route.needed == OPEN:
        assert answer.status_code not in (401, 403)
    else:
        assert is_problem(answer, 401, "no_key")
        assert answer.headers["WWW-Authenticate"] == CHALLENGE


@each_route
def test_a_key_that_is_none_is_refused(tenants: Tenants, route: Route) -> None:
    text = tenants.key()
    other = new_key("never added", list(Scope), [EVERY], 1.0)[1]
    mixed = text[:16] + other[16:]  # the id of one, the secret of another
    expired = tenants.key(expires=2.0)
    key, revoked = new_key("k", list(Scope), ["default"], 1.0)
    tenants.api.keys.add(key)
    tenants.api.keys.revoke(key.id, 2.0)
    for wrong in ("", "x", other, mixed, text + "x", text[:-1], expired, revoked):
        answer = tenants.ask(route.method, tenants.path_of(route), wrong)
        if route.needed == OPEN:
            assert answer.status_code not in (401, 403)
        else:
            assert is_problem(answer, 401, "bad_key"), wrong


@each_guarded_route
def test_a_key_without_the_scope_is_refused(tenants: Tenants, route: Route) -> None:
    needed = route.needed
    for missing in needed.scopes:
        others = [s for s in Scope if s not in (missing, needed.instead, Scope.ADMIN)]
        key = tenants.key(*others, of=EVERY)
        answer = tenants.ask(route.method, tenants.path_of(route), key)
        assert is_problem(answer, 403, "scope_missing"), missing


@each_guarded_route
def test_a_key_with_just_the_scopes_is_let_in(tenants: Tenants, route: Route) -> None:
    needed = route.needed
    ways = [needed.scopes, [Scope.ADMIN], *([[needed.instead]] if needed.instead else [])]
    for scopes in ways:
        # Of their own: what erases shall not erase what others look at.
        collection, image = "default", "f" * 64
        if (route.method, route.pattern) == ("DELETE", LONG):
            collection = f"spare-{uuid4()}"
            tenants.api.collections.create(collection, PolicyChange())
        key = tenants.key(*scopes, of=EVERY if needed.of is Of.SERVICE else collection)
        path = tenants.path_of(route, collection, image=image)
        answer = tenants.ask(route.method, path, key)
        assert answer.status_code not in (401, 403, 429), scopes
        assert not is_problem(answer, 404, "unknown_collection"), scopes


def told(answer: TestResponse) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.data, dict(answer.headers)


@each_route_of_a_collection
def test_of_another_tenant_nothing_is_there_and_nothing_tells_that_it_is(
    tenants: Tenants, route: Route
) -> None:
    key = tenants.key(of="theirs")
    method = route.method
    there = tenants.ask(method, tenants.path_of(route), key)
    assert is_problem(there, 404, "unknown_collection")
    nowhere = tenants.ask(method, tenants.path_of(route, image="e" * 64), key)
    assert told(nowhere) == told(there)
    if names_a_collection(route.pattern):
        never = tenants.ask(method, tenants.path_of(route, "never-made"), key)
        assert told(never) == told(there)
        own = tenants.ask(method, tenants.path_of(route, "theirs"), key)
        assert own.status_code not in (401, 403)
    # The image is where it was.
    owner = tenants.key()
    assert tenants.ask("GET", f"/v1/images/{tenants.image}", owner).json["state"] == "done"


@each_route
def test_a_browser_may_ask_without_a_key_whether_it_may_ask(tenants: Tenants, route: Route) -> None:
    tenants.key()
    answer = tenants.ask("OPTIONS", tenants.path_of(route))
    assert answer.status_code == 200
    assert answer.data == b""


@each_route
def test_the_openapi_document_says_who_may_ask(tenants: Tenants, route: Route) -> None:
    document = tenants.api.app.test_client().get("/openapi.json").json
    path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", route.pattern)
    operation = document["paths"].get(path, {}).get(route.method.lower())
    if operation is None:
        assert route.needed == OPEN  # the page, its parts, this document
        return
    needed = route.needed
    if needed == OPEN:
        assert operation["security"] == []
        return
    assert operation["security"] == [{"bearer": []}, {"key": []}, {}]
    assert operation["x-scopes"] == list(needed.scopes)
    assert {"401", "403", "404", "429"} <= operation["responses"].keys()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert (schemes["key"]["in"], schemes["key"]["name"]) == ("header", "X-Api-Key")


def test_where_there_never_was_a_key_nobody_is_asked_and_then_everybody(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        tenants = Tenants(api, "a" * 64)
        assert tenants.ask("GET", "/v1/people").status_code == 200
        key, _ = new_key("k", [Scope.READ], ["default"], 1.0)
        api.keys.add(key)
        guard = Guard(api.keys, Limits())
        assert guard.asks()
        api.keys.revoke(key.id, 2.0)
        assert Guard(api.keys, Limits()).asks(), "without a key that works it is not open to all"


def test_where_somebody_else_asks_nobody_is_asked(tmp_path: Path) -> None:
    with running_api(tmp_path, guarded_elsewhere=True) as api:
        tenants = Tenants(api, "a" * 64)
        tenants.key()
        assert tenants.ask("GET", "/v1/people").status_code == 200
        assert tenants.ask("GET", "/v1/people", "nonsense").status_code == 200


def test_either_header_takes_a_key_and_our_own_counts(tenants: Tenants) -> None:
    key, client = tenants.key(Scope.READ), tenants.api.app.test_client()

    def status(**headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get("/v1/people", headers=sent).status_code

    assert status(X_Api_Key=key) == 200
    assert status(Authorization=f"bearer  {key} ") == 200
    assert status(X_Api_Key=key, Authorization="Basic YTpi") == 200
    assert status(X_Api_Key=key, Authorization="Bearer of-a-proxy") == 200
    assert status(X_Api_Key="wrong", Authorization=f"Bearer {key}") == 401
    assert status(Authorization=f"Basic {key}") == 401


class CountingKeys(MemoryKeys):
    """Counts the questions, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.noted, self.away = 0, 0, False

    def key(self, id_: str) -> ApiKey | None:
        self._answer()
        return super().key(id_)

    def exist(self) -> bool:
        self._answer()
        return super().exist()

    def note_use(self, id_: str, at: float) -> None:
        self.noted += 1
        super().note_use(id_, at)

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("store_unavailable")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Both clocks of the guard."""
    now = [10_000.0]
    monkeypatch.setattr(guard_module.time, "monotonic", lambda: now[0])
    return now


def test_a_key_is_looked_up_once_in_two_seconds_and_a_revoked_one_works_no_longer(
    clock: list[float],
) -> None:
    keys = CountingKeys()
    guard = Guard(keys, Limits(), clock=lambda: clock[0])
    key, text = new_key("k", [Scope.READ], ["default"], 1.0)
    with pytest.raises(Denied, match="none of this service"):
        guard.key(text)
    keys.add(key)
    assert guard.key(text).id == key.id, "one that was unknown a moment ago works at once"
    asked = keys.asked
    assert guard.works(key)
    keys.revoke(key.id, 1.0)
    clock[0] += 1.9
    guard.key(text)
    assert keys.asked == asked
    clock[0] += 0.2
    with pytest.raises(Denied):
        guard.key(text)
    assert keys.asked == asked + 1
    assert not guard.works(key)
    assert not guard.works(None), "nobody without a key is let in any more"


def test_a_key_ends_when_it_expires_though_it_was_just_looked_up(clock: list[float]) -> None:
    keys = MemoryKeys()
    guard = Guard(keys, Limits(), clock=lambda: clock[0])
    key, text = new_key("k", [Scope.READ], ["default"], 1.0, expires=clock[0] + 1)
    keys.add(key)
    guard.key(text)
    clock[0] += 1
    with pytest.raises(Denied):
        guard.key(text)


def test_that_a_key_is_used_is_noted_now_and_then(clock: list[float]) -> None:
    keys = CountingKeys()
    guard = Guard(keys, Limits(), clock=lambda: clock[0])
    key, text = new_key("k", [Scope.READ], ["default"], 1.0)
    keys.add(key)
    for _ in range(100):
        guard.key(text)
        clock[0] += 1
    assert keys.noted == 1
    found = MemoryKeys.key(keys, key.id)
    assert found is not None
    assert found.used == 10_000.0
    # Another process knows it from the store.
    Guard(keys, Limits(), clock=lambda: clock[0]).key(text)
    assert keys.noted == 1
    clock[0] += 3600
    guard.key(text)
    assert keys.noted == 2


def test_a_store_that_is_away_lets_nobody_in_and_keeps_nobody_out_who_was_not_asked(
    clock: list[float],
) -> None:
    keys = CountingKeys()
    keys.away = True
    guard = Guard(keys, Limits(), clock=lambda: clock[0])
    with pytest.raises(Unavailable):
        guard.asks()
    keys.away = False
    assert not guard.asks()
    keys.away = True
    clock[0] += 60
    assert not guard.asks()
    keys.away = False
    key, text = new_key("k", [Scope.READ], ["default"], 1.0)
    keys.add(key)
    clock[0] += 2
    assert guard.asks()
    guard.key(text)
    keys.away = True
    clock[0] += 60
    assert guard.asks()
    with pytest.raises(Unavailable):
        guard.key(text)


@pytest.fixture
def small() -> tuple[Flask, MemoryKeys]:
    """Routes of all kinds, with collections in their paths, behind a guard."""
    app, keys = APIFlask("small"), MemoryKeys()
    problems.register(app)

    @app.url_value_preprocessor
    def take_out(endpoint: str | None, values: dict[str, Any] | None) -> None:
        choose(endpoint, values)
        (values or {}).pop("collection", None)

    @app.get("/v1/collections/<collection>/images/<image>")
    @needs(Scope.READ)
    def image(image: str) -> dict[str, str]:
        key = caller()
        return {"image": image, "by": key.name if key else ""}

    @app.get("/v1/collections")
    @needs(Scope.READ, of=Of.ANY)
    def collections() -> list[str]:
        own = own_collections()
        return ["all"] if own is None else sorted(own)

    @app.post("/v1/collections")
    @needs(Scope.ADMIN, of=Of.SERVICE)
    def create() -> dict[str, str]:
        return {}

    @app.get("/forgotten")
    def forgotten() -> dict[str, str]:
        return {}

    Guard(keys, Limits()).register(app)
    return app, keys


def test_a_key_is_for_the_collection_in_the_path(small: tuple[Flask, MemoryKeys]) -> None:
    app, keys = small
    key, text = new_key("anna", [Scope.READ], ["a"], 1.0)
    keys.add(key)
    client, headers = app.test_client(), {"X-Api-Key": text}
    found = client.get("/v1/collections/a/images/x", headers=headers)
    assert found.json == {"image": "x", "by": "anna"}
    other = client.get("/v1/collections/b/images/x", headers=headers)
    assert is_problem(other, 404, "unknown_collection")
    for odd in ("/v1/collections/a%2Fb/images/x", "/v1/collections//images/x"):
        assert client.get(odd, headers=headers).status_code == 404
    assert client.get("/v1/collections", headers=headers).json == ["a"]
    everywhere, its_text = new_key("bob", [Scope.READ], ["a", EVERY], 1.0)
    keys.add(everywhere)
    answer = client.get("/v1/collections", headers={"X-Api-Key": its_text})
    assert answer.json == ["all"]
    assert is_problem(client.post("/v1/collections", headers=headers), 404, "unknown_collection")


def test_a_route_that_says_nothing_is_for_who_may_do_everything_everywhere(
    small: tuple[Flask, MemoryKeys],
) -> None:
    app, keys = small
    statuses = {}
    for scopes, of in (
        (tuple(set(Scope) - {Scope.ADMIN}), EVERY),
        ((Scope.ADMIN,), "default"),
        ((Scope.ADMIN,), EVERY),
    ):
        key, text = new_key(str(uuid4()), scopes, [of], 1.0)
        keys.add(key)
        answer = app.test_client().get("/forgotten", headers={"X-Api-Key": text})
        statuses[Scope.ADMIN in scopes, of] = answer.status_code
    assert statuses == {(False, EVERY): 403, (True, "default"): 404, (True, EVERY): 200}
