"""Webhooks are told: signed, in order, with nothing left out, and to public addresses only."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
from fetching import REFUSED, only_this_machine
from picture_server import Canary
from receiver import Receiver
from submitting import MODEL, commit, upload
from waiting import eventually
from written_addresses import urls_of

from facematch import memory_webhooks
from facematch.errors import Rejected, Unavailable
from facematch.faces import image_hash
from facematch.memory_events import MemoryEvents
from facematch.memory_store import MemoryStore
from facematch.memory_webhooks import MemoryWebhooks
from facematch.webhooks import check_signature, new_secret
from worker import delivering
from worker.delivering import Delivery, deliver, keep_delivering
from worker.posting import Poster
from worker.rounds import only


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


class World:
    def __init__(self, receiver: Receiver) -> None:
        self.store = MemoryStore()
        self.store.create(MODEL, 0.6)
        self.events = MemoryEvents(self.store)
        self.webhooks = MemoryWebhooks(self.store)
        self.receiver = receiver
        self.secret = new_secret()
        self.webhooks.add("w", receiver.url, self.secret, "0-0")

    def happen(self, *pictures: bytes) -> None:
        for data in pictures:
            commit(self.store, upload(self.store, data), data, faces=0)

    def deliver(self) -> bool:
        post = self.receiver.poster.post
        return deliver(self.webhooks, self.events, post, "default")


@pytest.fixture
def world(receiver: Receiver) -> World:
    return World(receiver)


def test_a_delivery_is_signed_and_says_what_happened(world: World) -> None:
    assert not world.deliver()
    world.happen(b"a", b"b")
    assert world.deliver()
    assert not world.deliver()
    [(headers, body)] = world.receiver.received
    told = json.loads(body)
    assert told["collection"] == "default"
    assert world.receiver.told() == [("done", image_hash(b"a")), ("done", image_hash(b"b"))]
    assert headers["content-type"] == "application/json"
    check_signature(world.secret, headers, body, time.time())
    wrong = (
        (new_secret(), headers, body, 0),
        (world.secret, headers, body + b" ", 0),
        (world.secret, headers | {"webhook-id": "other"}, body, 0),
        (world.secret, {}, body, 0),
        (world.secret, headers, body, 301),
    )
    for secret, its_headers, its_body, later in wrong:
        with pytest.raises(Rejected):
            check_signature(secret, its_headers, its_body, time.time() + later)


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_is_refused_is_sent_again_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(memory_webhooks, "pause_after", lambda failures: 0.0)
    world.happen(b"a")
    world.receiver.status = status
    assert world.deliver()
    known = world.webhooks.webhook("w")
    assert (known.failures, known.error, known.dead) == (1, f"status {status}", False)
    world.receiver.status = 200
    assert world.deliver()
    (first, body), (second, again) = world.receiver.received
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]
    assert not world.deliver()


def test_who_is_gone_is_tried_no_more(world: World) -> None:
    world.happen(b"a")
    world.receiver.status = 410
    assert world.deliver()
    assert world.webhooks.webhook("w").dead
    assert not world.deliver()


def test_many_events_go_out_in_portions_and_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "PORTION", 2)
    pictures = [b"%d" % number for number in range(5)]
    world.happen(*pictures)
    while world.deliver():
        pass
    assert world.receiver.told() == [("done", image_hash(data)) for data in pictures]
    assert len(world.receiver.received) == 3


def test_what_is_known_no_more_is_said(world: World) -> None:
    world.happen(b"a", b"b", b"c")
    world.store._happened.popleft()
    world.deliver()
    (event,) = json.loads(world.receiver.received[0][1])["events"]
    assert event["type"] == "reset"
    world.happen(b"d")
    world.deliver()
    assert world.receiver.told() == [("reset", None), ("done", image_hash(b"d"))]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:9/", "address_not_allowed"),
        ("http://169.254.169.254/latest", "address_not_allowed"),
        ("http://[::1]/", "address_not_allowed"),
        ("http://user:secret@127.0.0.1/", "bad_url"),
    ],
)
def test_only_public_addresses_are_posted_to(url: str, code: str) -> None:
    with pytest.raises(Rejected) as raised:
        Poster(3.0).post(url, b"{}", {})
    assert raised.value.code == code


def test_no_webhook_leads_to_this_machine_however_it_is_written(world: World) -> None:
    """What the api takes as a webhook, and what it does not, is told nothing here."""
    world.happen(b"a")
    with Canary() as canary, pytest.MonkeyPatch.context() as patched:
        only_this_machine(patched)
        urls = urls_of(canary.port)[::4]
        for number, url in enumerate(urls):
            world.webhooks.add(f"evil-{number}", url, new_secret(), "0-0")
        while deliver(world.webhooks, world.events, Poster(3.0).post, "default"):
            pass
        told = [world.webhooks.webhook(f"evil-{number}") for number in range(len(urls))]
        assert {one.error for one in told} <= REFUSED
        assert all(one.failures == 1 for one in told)
        assert canary.connections == 0
    assert len(urls) >= 90


def test_who_answers_slowly_is_left(world: World) -> None:
    world.happen(b"a")
    world.receiver.seconds = 1.0
    port = world.receiver.port
    hurried = Poster(0.3, frozenset({("127.0.0.1", port)}))
    assert deliver(world.webhooks, world.events, hurried.post, "default")
    assert world.webhooks.webhook("w").error == "fetch_timed_out"
    unreachable = Poster(3.0, frozenset({("127.0.0.1", 1)}))
    with pytest.raises(Rejected) as raised:
        unreachable.post("http://127.0.0.1:1/", b"{}", {})
    assert raised.value.code == "unreachable"


def test_a_worker_goes_on_when_the_store_was_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, away = world.webhooks.take, [Unavailable("store_unavailable"), RuntimeError("a bug")]

    def failing(token: str, seconds: float) -> object:
        if away:
            raise away.pop()
        return take(token, seconds)

    monkeypatch.setattr(world.webhooks, "take", failing)
    stop = threading.Event()
    thread = threading.Thread(
        target=keep_delivering,
        args=(
            only(Delivery("default", world.webhooks, world.events)),
            *(world.receiver.poster.post, stop),
        ),
        kwargs={"seconds": 0.02},
    )
    thread.start()
    world.happen(b"a")
    eventually(lambda: world.receiver.told() == [("done", image_hash(b"a"))], "it is told", 10)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("trouble", ["always due", "erasing", "a bug"])
def test_no_collection_keeps_another_one_from_being_told(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(delivering, "_TURN_SECONDS", 0.0)
    other = World(world.receiver)
    taken = threading.Event()

    def odd(webhook: str, token: str, place: str) -> None:
        taken.set()
        if trouble == "erasing":
            raise Unavailable("collection_erasing")
        if trouble == "a bug":
            raise RuntimeError

    monkeypatch.setattr(world.webhooks, "delivered", odd)
    monkeypatch.setattr(memory_webhooks, "pause_after", lambda failures: 0.0)
    monkeypatch.setattr(delivering, "_HAND_SECONDS", 0.0)
    world.happen(b"a")
    other.happen(b"b")
    parts = [
        Delivery(name, one.webhooks, one.events)
        for name, one in (("default", world), ("other", other))
    ]
    stop = threading.Event()
    thread = threading.Thread(
        target=keep_delivering,
        args=(lambda: parts, world.receiver.poster.post, stop),
        kwargs={"seconds": 0.02},
    )
    thread.start()
    try:
        eventually(lambda: other.webhooks.webhook("w").delivered is not None, "it is told", 10)
        assert taken.is_set()
    finally:
        stop.set()
        thread.join(5)
