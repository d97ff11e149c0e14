"""What the api tells of its requests, of the store and of the queue."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, running_api
from flask.testing import FlaskClient
from told_metrics import VITALS
from waiting import eventually

from api.app import create_app
from api.listening import Listeners
from api.metrics import Metrics
from api.vitals import Watch
from facematch.broker import MemoryBroker, Queues
from facematch.errors import Unavailable
from facematch.job import Message
from facematch.memory_batches import MemoryBatches
from facematch.memory_events import MemoryEvents
from facematch.memory_people import MemoryPeople
from facematch.memory_webhooks import MemoryWebhooks
from facematch.metrics import Registry
from facematch.settings import Settings
from facematch.vitals import Vitals


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


@pytest.fixture
def client(api: Api, metrics: Metrics) -> FlaskClient:
    parts = (
        api.store,
        api.publisher,
        api.waiting,
        api.ledger,
        api.replayer,
        MemoryPeople(api.store),
        Listeners(MemoryEvents(api.store), 1),
        MemoryBatches(api.store),
        MemoryWebhooks(api.store),
    )
    return create_app(*parts, Settings(), metrics).test_client()


def told(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.value(f"facematch_{name}", **labels)


def test_what_is_accepted_counts_once_it_is_durable(
    api: Api, client: FlaskClient, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/v1/images", data=b"one")
    client.post("/scan/image/two.jpg", data=b"two")
    client.post("/v1/images", json={"url": "http://x/"})
    assert told(metrics, "accepted_total", by="bytes") == 2
    assert told(metrics, "accepted_total", by="url") == 1

    def full(*_: object) -> None:
        raise Unavailable("backlog_full")

    client.post("/v1/images", data=b"")
    monkeypatch.setattr(api.store, "accept", full)
    client.post("/v1/images", data=b"three")
    assert told(metrics, "accepted_total", by="bytes") == 2
    assert told(metrics, "api_problems_total", code="empty") == 1
    assert told(metrics, "api_problems_total", code="backlog_full") == 1


def test_requests_count_by_route_whatever_the_hash(client: FlaskClient, metrics: Metrics) -> None:
    for digit in "012":
        client.get(f"/v1/images/{digit * 64}")
        client.get(f"/match/{digit * 64}")
    route = "/v1/images/<image>"
    assert told(metrics, "api_requests_total", route=route, method="GET", status="404") == 3
    assert told(metrics, "api_request_seconds_count", route="/match/<image>") == 3
    assert told(metrics, "api_problems_total", code="not_found") == 3


def test_what_strangers_ask_for_makes_no_new_names(client: FlaskClient, metrics: Metrics) -> None:
    for number in range(5):
        client.get(f"/wp-admin/{number}.php")
        client.open("/v1/images", method="BREW")
    assert told(metrics, "api_requests_total", route="none", method="GET", status="404") == 5
    assert told(metrics, "api_requests_total", route="none", method="other", status="405") == 5
    text = metrics.registry.encode().decode()
    assert "wp-admin" not in text
    assert "BREW" not in text


def test_an_error_of_ours_counts(
    api: Api, client: FlaskClient, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(api.store, "image", broken)
    assert client.get(f"/v1/images/{'0' * 64}").status_code == 500
    assert told(metrics, "api_problems_total", code="internal_error") == 1


def test_who_waits_is_counted_while_they_wait(api: Api, client: FlaskClient) -> None:
    assert api.waiting.waiting == 0
    thread = threading.Thread(target=lambda: client.post("/v1/images?wait=30", data=b"picture"))
    thread.start()
    eventually(lambda: api.waiting.waiting == 1)
    api.finish(b"picture", faces=0)
    thread.join()
    assert api.waiting.waiting == 0


# -- the store and the queue -------------------------------------------------------------------


class Looked:
    """A registry with what a Watch has seen."""

    def __init__(self, watch: Watch) -> None:
        self._registry = Registry("api")
        self._registry.watch(watch.gauges)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._registry.value(f"facematch_{name}", **labels)


def test_the_store_and_the_queue_are_told_as_they_were_seen_last() -> None:
    broker = MemoryBroker()
    broker.publish(Message("job"))
    watch = Watch(lambda: VITALS, Queues(lambda edition: broker), 1000, 1.0)
    told = Looked(watch)
    assert told("store_up") == told("broker_up") == 0
    watch.look()
    assert told("store_up") == told("broker_up") == 1
    assert told("jobs_waiting", edition="1") == 5
    assert told("jobs_oldest_seconds", edition="1") == 7.5
    assert told("images_pending", edition="0") == 0
    assert told("edition_served", edition="1") == 1
    assert told("edition_served", edition="0") == 0
    assert told("reindex_phase", edition="1", phase="building") == 1
    assert told("reindex_phase", edition="1", phase="paused") == 0
    assert told("reindex_phase", edition="0", phase="building") == 0
    assert told("queue_depth", edition="1") == told("queue_depth", edition="0") == 1
    assert told("upload_limit_bytes") == 1000


def test_what_an_approximate_index_missed_is_no_finding_that_wakes_anybody() -> None:
    watch = Watch(lambda: VITALS, Queues(lambda edition: MemoryBroker()), 1, 1.0)
    watch.look()
    told = Looked(watch)
    assert told("fsck_findings") == 3
    assert told("fsck_approximate_findings") == 40
    assert told("fsck_age_seconds") == 60


def test_before_any_fsck_nothing_is_said_of_one() -> None:
    watch = Watch(lambda: Vitals(VITALS.editions), Queues(lambda edition: MemoryBroker()), 1, 1.0)
    watch.look()
    assert Looked(watch)("fsck_findings") is None


def test_of_a_store_that_is_away_no_old_number_is_told() -> None:
    answers: list[Vitals | None] = [VITALS, None, VITALS]

    def read() -> Vitals:
        if (answer := answers.pop(0)) is None:
            raise Unavailable("store_unavailable")
        return answer

    watch = Watch(read, Queues(lambda edition: MemoryBroker()), 1, 1.0)
    told = Looked(watch)
    watch.look()
    watch.look()
    assert (told("store_up"), told("broker_up")) == (0, 1)
    assert told("jobs_waiting", edition="1") is told("store_memory_bytes") is None
    watch.look()
    assert (told("store_up"), told("jobs_waiting", edition="1")) == (1, 5)


def test_a_broker_that_is_away_is_told_and_the_store_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = MemoryBroker()

    def away() -> int:
        raise Unavailable("broker_unavailable")

    monkeypatch.setattr(broker, "depth", away)
    watch = Watch(lambda: VITALS, Queues(lambda edition: broker), 1, 1.0)
    watch.look()
    told = Looked(watch)
    assert (told("store_up"), told("broker_up")) == (1, 0)
    assert told("queue_depth", edition="1") is None


def test_it_goes_on_looking_after_an_error_of_ours() -> None:
    answers: list[Vitals | None] = [VITALS, None, VITALS]
    looked = threading.Event()

    def read() -> Vitals:
        if not answers:
            looked.set()
            return VITALS
        if (answer := answers.pop(0)) is None:
            raise ZeroDivisionError
        return answer

    watch = Watch(read, Queues(lambda edition: MemoryBroker()), 1, 0.01)
    watch.start()
    assert looked.wait(10)
    eventually(lambda: Looked(watch)("store_up") == 1)
    watch.stop()
