"""One contract for webhooks: in memory, in Redis, in Valkey."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from submitting import MODEL, commit, upload
from waiting import eventually

from facematch import memory_webhooks, redis_webhooks
from facematch.errors import Conflict, NotFound
from facematch.events import Events
from facematch.memory_events import MemoryEvents
from facematch.memory_store import MemoryStore
from facematch.memory_webhooks import MemoryWebhooks
from facematch.redis_connection import connect
from facematch.redis_events import RedisEvents
from facematch.redis_store import RedisStore
from facematch.redis_webhooks import RedisWebhooks
from facematch.store import Store
from facematch.webhooks import MOST_WEBHOOKS, Webhook, Webhooks, pause_after


@dataclass
class Parts:
    store: Store
    events: Events
    webhooks: Webhooks

    def happen(self, data: bytes) -> str:
        """Something; where events end then."""
        commit(self.store, upload(self.store, data), data, faces=0)
        return self.events.since("", 1).place

    def add(self, name: str = "one") -> Webhook:
        place = self.events.since("", 1).place
        return self.webhooks.add(name, f"http://{name}/", "whsec_AAAA", place)


@pytest.fixture(params=["memory", "redis", "valkey"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """A collection; pauses are short."""
    monkeypatch.setattr(redis_webhooks, "FIRST_PAUSE", 3.0)
    monkeypatch.setattr(memory_webhooks, "pause_after", lambda failures: 3.0 * 2 ** (failures - 1))
    if request.param == "memory":
        store = MemoryStore()
        store.create(MODEL, 0.6)
        yield Parts(store, MemoryEvents(store), MemoryWebhooks(store))
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    RedisStore(client).create(MODEL, 0.6)
    yield Parts(RedisStore(client), RedisEvents(client), RedisWebhooks(client))
    client.close()


def test_webhooks_are_listed_shown_and_removed(parts: Parts) -> None:
    assert parts.webhooks.webhooks() == []
    one, two = parts.add("one"), parts.add("two")
    assert (one.url, one.secret, one.place) == ("http://one/", "whsec_AAAA", "0-0")
    assert (one.failures, one.error, one.dead, one.delivered) == (0, "", False, None)
    assert parts.add("one") == one
    assert parts.webhooks.webhooks() == [one, two]
    assert parts.webhooks.webhook("two") == two
    parts.webhooks.remove("one")
    assert parts.webhooks.webhooks() == [two]
    for call in (parts.webhooks.webhook, parts.webhooks.remove, parts.webhooks.redeliver):
        with pytest.raises(NotFound):
            call("one")


def test_it_is_told_how_far_one_is_behind(parts: Parts) -> None:
    webhook = parts.add()
    assert parts.webhooks.behind(webhook, 10) == 0
    places = [parts.happen(b"%d" % number) for number in range(3)]
    assert parts.webhooks.behind(webhook, 10) == 3
    assert parts.webhooks.behind(webhook, 2) == 2
    assert parts.webhooks.behind(replace(webhook, place=places[1]), 10) == 1
    # In the middle of what the last but one tells.
    assert parts.webhooks.behind(replace(webhook, place=f"{places[1]}_1_1"), 10) == 2
    assert parts.webhooks.behind(replace(webhook, place=places[2]), 10) == 0


def test_there_are_only_so_many(parts: Parts) -> None:
    for number in range(MOST_WEBHOOKS):
        parts.add(str(number))
    with pytest.raises(Conflict) as raised:
        parts.add("more")
    assert raised.value.code == "too_many_webhooks"
    parts.webhooks.remove("7")
    parts.add("more")


def test_only_who_has_not_been_told_of_all_is_taken(parts: Parts) -> None:
    parts.happen(b"before")
    parts.add()
    assert parts.webhooks.take("token", 60) is None
    place = parts.happen(b"a")
    taken = parts.webhooks.take("token", 60)
    assert taken is not None
    assert taken.id == "one"
    assert parts.webhooks.take("other", 60) is None  # it is in hand
    parts.webhooks.delivered("one", "other", "1-0")  # not by who has it not
    parts.webhooks.delivered("one", "token", place)
    told = parts.webhooks.webhook("one")
    assert (told.place, told.delivered is not None) == (place, True)
    assert parts.webhooks.take("token", 60) is None
    parts.happen(b"b")
    assert parts.webhooks.take("token", 60) is not None


def test_who_dies_over_it_leaves_it_to_another(parts: Parts) -> None:
    parts.add()
    place = parts.happen(b"a")
    assert parts.webhooks.take("dead", 3) is not None
    assert parts.webhooks.take("alive", 60) is None
    eventually(lambda: parts.webhooks.take("alive", 60), "it is due again")
    parts.webhooks.refused("one", "dead", "too late")
    parts.webhooks.delivered("one", "dead", "1-0")
    assert parts.webhooks.webhook("one").failures == 0
    parts.webhooks.delivered("one", "alive", place)
    assert parts.webhooks.webhook("one").place == place


def test_who_refuses_is_tried_again_after_a_pause(parts: Parts) -> None:
    parts.add()
    place = parts.happen(b"a")
    for failures in (1, 2):
        eventually(lambda: parts.webhooks.take("token", 60), "it is due")
        parts.webhooks.refused("one", "token", "status 500")
        assert parts.webhooks.take("token", 60) is None
        known = parts.webhooks.webhook("one")
        assert (known.failures, known.error, known.dead) == (failures, "status 500", False)
        assert known.since is not None
    eventually(lambda: parts.webhooks.take("token", 60), "it is due")
    parts.webhooks.delivered("one", "token", place)
    well = parts.webhooks.webhook("one")
    assert (well.failures, well.since, well.error) == (0, None, "")


@pytest.mark.parametrize("for_good", [True, False])
def test_who_has_refused_for_long_is_dead_until_it_is_redelivered(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, for_good: bool
) -> None:
    if not for_good:
        for module in (redis_webhooks, memory_webhooks):
            monkeypatch.setattr(module, "DEAD_SECONDS", 0)
    parts.add()
    parts.happen(b"a")
    assert parts.webhooks.take("token", 60) is not None
    parts.webhooks.refused("one", "token", "status 410", for_good=for_good)
    dead = parts.webhooks.webhook("one")
    assert (dead.dead, dead.error) == (True, "status 410")
    assert parts.webhooks.take("token", 0) is None
    again = parts.webhooks.redeliver("one")
    assert (again.dead, again.failures, again.place) == (False, 0, "0-0")
    assert parts.webhooks.take("token", 60) is not None


def test_what_was_taken_is_told_again_where_that_is_asked_for(parts: Parts) -> None:
    parts.add()
    first, last = parts.happen(b"a"), parts.happen(b"b")
    assert parts.webhooks.take("token", 60) is not None
    assert parts.webhooks.redeliver("one", last).place == last
    parts.webhooks.delivered("one", "token", "9-0")  # whoever had it has it no more
    assert parts.webhooks.take("token", 60) is None
    assert parts.webhooks.redeliver("one", first).place == first
    taken = parts.webhooks.take("token", 60)
    assert taken is not None
    assert taken.place == first


def test_pauses_grow_up_to_an_hour() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 10, 11, 1000)] == [
        *(5.0, 10.0, 20.0, 2560.0, 3600.0, 3600.0)
    ]
