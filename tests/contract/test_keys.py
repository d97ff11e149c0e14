"""One contract for API keys: in memory, in Redis, in Valkey."""

import json
from collections.abc import Iterator

import pytest

from facematch.errors import NotFound
from facematch.keys import EVERY, UNLIMITED, ApiKey, Keys, Scope, new_key, parsed
from facematch.memory_keys import MemoryKeys
from facematch.redis_connection import connect
from facematch.redis_keys import RedisKeys


@pytest.fixture(params=["memory", "redis", "valkey"])
def keys(request: pytest.FixtureRequest) -> Iterator[Keys]:
    if request.param == "memory":
        yield MemoryKeys()
        return
    with connect(request.getfixturevalue(f"{request.param}_url")) as client:
        yield RedisKeys(client)


def made(name: str = "anna", now: float = 1000.5) -> ApiKey:
    return new_key(name, [Scope.READ, Scope.SUBMIT], ["a", "b"], now)[0]


def test_at_first_there_is_none(keys: Keys) -> None:
    assert not keys.exist()
    assert keys.keys() == []
    assert keys.key("0" * 12) is None


def test_a_key_comes_back_as_it_was_made(keys: Keys) -> None:
    key, _ = new_key(
        "Änna\n", list(Scope), [EVERY], 1.25, expires=7.5, rate="5/second", quota=UNLIMITED
    )
    plain = made()
    keys.add(key)
    keys.add(plain)
    assert keys.exist()
    assert keys.key(key.id) == key
    assert keys.key(plain.id) == plain
    assert keys.keys() == [key, plain]


def test_a_revoked_key_is_still_there_and_was_revoked_the_first_time(keys: Keys) -> None:
    key = made()
    keys.add(key)
    assert keys.revoke(key.id, 2000.0).revoked == 2000.0
    assert keys.revoke(key.id, 3000.0).revoked == 2000.0
    [listed] = keys.keys()
    assert listed == keys.key(key.id)
    assert listed.revoked == 2000.0
    assert not listed.is_alive(1000.6)
    assert keys.exist()


def test_one_that_is_not_there_cannot_be_revoked(keys: Keys) -> None:
    with pytest.raises(NotFound) as raised:
        keys.revoke("0" * 12, 1.0)
    assert raised.value.code == "no_key_here"
    assert not keys.exist()


def test_when_it_was_used_last_is_told(keys: Keys) -> None:
    key = made()
    keys.add(key)
    keys.note_use(key.id, 1500.0)
    keys.note_use(key.id, 5000.25)
    found = keys.key(key.id)
    assert found is not None
    assert found.used == 5000.25
    assert keys.keys() == [found]


def test_nothing_that_is_kept_gives_the_secret_away(redis_url: str) -> None:
    key, text = new_key("anna", [Scope.READ], ["a"], 1.0)
    named = parsed(text)
    assert named is not None
    with connect(redis_url) as client:
        RedisKeys(client).add(key)
        kept = [value for name in client.keys("*") for value in client.hgetall(name).values()]
    assert len(kept) == 1
    assert named[1].encode() not in kept[0]
    assert named[1] not in repr(key)
    assert key.digest not in repr(key)


def test_a_scope_of_a_later_version_is_good_for_nothing_here(redis_url: str) -> None:
    key = made()
    with connect(redis_url) as client:
        keys = RedisKeys(client)
        keys.add(key)
        kept = json.loads(client.hget("fm:{~keys}:keys", key.id))
        kept |= {"scopes": ["read", "fly"], "wings": 2}
        client.hset("fm:{~keys}:keys", key.id, json.dumps(kept))
        found = keys.key(key.id)
    assert found is not None
    assert found.scopes == {Scope.READ}


def test_two_keys_share_neither_id_nor_secret() -> None:
    texts = [new_key("a", [Scope.READ], ["a"], 1.0)[1] for _ in range(100)]
    both = [found for found in map(parsed, texts) if found]
    assert len({id_ for id_, _ in both}) == len({secret for _, secret in both}) == 100


@pytest.mark.parametrize("text", ["", "fm_", "fm_0_a", "fm_" + "0" * 12 + "_" + "a" * 42, "é" * 60])
def test_what_is_no_key_is_told_by_its_form(text: str) -> None:
    assert parsed(text) is None
