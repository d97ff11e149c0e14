"""What counts as a Redis that may lose what was acknowledged, asked of a real one."""

from collections.abc import Iterator

import pytest

from facematch.errors import Misconfigured, Unavailable
from facematch.redis_connection import Redis, connect
from facematch.redis_durability import check_durable

KEEPS = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
}


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as client:
        before = {name: client.config_get(name)[name] for name in KEEPS}
        for name, value in KEEPS.items():
            client.config_set(name, value)
        yield client
        for name, value in before.items():
            client.config_set(name, value)


def test_nothing_is_wrong_with_a_redis_that_keeps_every_write(client: Redis) -> None:
    assert check_durable(client, False) == []
    client.config_set("maxmemory", "100mb")
    assert check_durable(client, False) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"appendonly": "no"}, "append-only"),
        ({"appendfsync": "everysec"}, "everysec"),
        ({"no-appendfsync-on-rewrite": "yes"}, "no-appendfsync-on-rewrite"),
        ({"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, "allkeys-lru"),
    ],
)
def test_each_way_to_lose_writes_is_refused_unless_it_is_accepted(
    client: Redis, settings: dict[str, str], said: str
) -> None:
    for name, value in settings.items():
        client.config_set(name, value)
    with pytest.raises(Misconfigured, match=said):
        check_durable(client, False)
    [weakness] = check_durable(client, True)
    assert said in weakness


def test_a_redis_that_refuses_the_question_counts_as_one_that_may_lose_writes(
    client: Redis, redis_url: str
) -> None:
    client.acl_setuser(
        "limited", enabled=True, passwords=["+word"], keys=["*"], commands=["+@all", "-config"]
    )
    try:
        with connect(redis_url.replace("://", "://limited:word@")) as limited:
            with pytest.raises(Misconfigured, match="CONFIG GET is refused"):
                check_durable(limited, False)
            [weakness] = check_durable(limited, True)
            assert "CONFIG GET is refused" in weakness
    finally:
        client.acl_deluser("limited")


def test_a_redis_that_is_away_is_not_taken_for_a_wrong_one() -> None:
    with connect("redis://127.0.0.1:1/0") as away, pytest.raises(Unavailable):
        check_durable(away, False)
