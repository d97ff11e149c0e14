"""`facematch status` and `facematch jobs` for a clustered service, with either broker."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from histories import MODEL, THRESHOLD, add
from indexes import FACE, ask, asking, serving
from rabbit_server import RabbitServer
from submitting import BACKLOG, upload
from waiting import eventually

from facematch import __version__
from facematch.broker import MemoryBroker
from facematch.brokers import open_broker
from facematch.cli import main
from facematch.commands import reindex_parts
from facematch.errors import Unavailable
from facematch.job import DEAD_LETTERS, QUEUE, REINDEX_QUEUE, Message, RangeMessage
from facematch.redis_connection import Redis, connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.redis_webhooks import RedisWebhooks
from facematch.store import NewJob, State

URL = "http://x/a.jpg"


@dataclass
class Place:
    """Where the commands look."""

    store: RedisStore
    client: Redis
    broker_url: str
    environment: dict[str, str]

    def run(self, *words: str) -> Result:
        result = CliRunner(env=self.environment).invoke(main, list(words))
        assert "Traceback" not in result.output
        return result

    def ask(self, *words: str) -> dict[str, Any]:
        return dict(json.loads(self.run(*words, "--json").stdout))

    def fail(self, job: str, code: str, name: str = URL) -> None:
        self.store.accept(NewJob(job, name, url=name), BACKLOG)
        self.store.fail(job, code, f"the detail of {job}")


def placed(client: Redis, redis_url: str, broker_url: str, index: str) -> Place:
    store = RedisStore(client)
    environment = {
        "FACEMATCH_REDIS_URL": redis_url,
        "FACEMATCH_BROKER_URL": broker_url,
        "FACEMATCH_INDEX_URL": index,
    }
    return Place(store, client, broker_url, environment)


@pytest.fixture(params=["redis", "rabbitmq"])
def place(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Place]:
    """With a collection, an index, and nothing else."""
    broker_url = request.getfixturevalue(f"{request.param}_url")
    if request.param == "rabbitmq":
        server: RabbitServer = request.getfixturevalue("rabbitmq_server")
        server.delete_queues(QUEUE, f"{QUEUE}~1", REINDEX_QUEUE, DEAD_LETTERS)
    socket = tmp_path / "index.sock"
    with connect(redis_url) as client:
        made = placed(client, redis_url, broker_url, f"unix:{socket}")
        made.store.create(MODEL, THRESHOLD)
        with serving(made.store, socket):
            settle(made)  # what it logs would be taken for what the commands print
            yield made


@pytest.fixture
def alone(redis_url: str, tmp_path: Path) -> Iterator[Place]:
    """With Redis and nothing else, which has not even a collection."""
    with connect(redis_url) as client:
        yield placed(client, redis_url, "amqp://127.0.0.1:1", f"unix:{tmp_path}/none.sock")


def settle(place: Place) -> None:
    with asking(Path(place.environment["FACEMATCH_INDEX_URL"].removeprefix("unix:"))) as sidecar:
        ask(sidecar, place.store)


def test_the_state_of_everything_is_told_at_a_glance(place: Place, redis_url: str) -> None:
    with connect(redis_url, part="api") as api, connect(redis_url, part="worker") as worker:
        api.ping()
        worker.ping()
        add(place.store, "a", FACE)
        upload(place.store, b"waits")
        in_hand = upload(place.store, b"is in hand")
        place.store.begin(in_hand)
        place.fail("lost", "unreachable")
        RedisWebhooks(place.client).add("w", "https://example.com/path", "whsec_AAAA", "0-0")
        broker = open_broker(place.broker_url)
        broker.publish(Message("a"))
        broker.publish(Message("b"))
        delivery = broker.receive(5)
        assert delivery is not None
        delivery.reject()
        broker.close()
        settle(place)

        def has_settled() -> bool:
            there = place.ask("status")["queues"]
            waiting = {QUEUE: 1, REINDEX_QUEUE: 0}
            return bool(there and (there["waiting"], there["dead_letters"]) == (waiting, 1))

        eventually(has_settled, "one waits, and one is a dead letter")
        told = place.ask("status")
        lines = place.run("status").stdout.splitlines()
    assert told["version"] == __version__
    assert [(one["part"], one["version"]) for one in told["processes"]] == [
        ("api", __version__),
        ("worker", __version__),
    ]
    (edition,) = told["vitals"]["editions"]
    assert (edition["jobs"], edition["in_hand"], edition["pending"]) == (2, 1, 1)
    assert 0 < edition["oldest_job"] < 60
    assert 0 < edition["oldest_pending"] < 60
    assert edition["upload_bytes"] == len(b"waits" + b"is in hand")
    assert (edition["images"], edition["erasures"]) == (1, 0)
    assert told["failed"] == {"unreachable": 1}
    assert told["queues"]["waiting"] == {QUEUE: 1, REINDEX_QUEUE: 0}
    assert told["queues"]["dead_letters"] == 1
    assert (told["index"]["ready"], told["index"]["behind"]) == (True, 0)
    assert told["collection"]["tail"]["position"] == 1
    assert (told["reindex"], told["problems"]) == (None, [])
    [webhook] = told["webhooks"]
    assert (webhook["id"], webhook["behind"], webhook["dead"]) == ("w", 1, False)
    assert "webhooks     1; up to 1 changes to be told of" in lines
    assert "whsec_" not in "".join(lines) + json.dumps(told)
    assert f"1 api {__version__}, 1 worker {__version__}" in lines[1]
    assert lines[2].startswith("jobs         2 accepted (1 in hand, the oldest for ")
    assert lines[3].startswith("images       1 with faces, 1 without all their matches (the oldest")
    assert lines[4] == "failed       1: unreachable 1"
    assert lines[5] == f"collection   edition 0 of {MODEL}, threshold 0.6, at position 1"
    assert lines[6] == f"queues       {QUEUE} 1, {REINDEX_QUEUE} 0; 1 dead letters"


def test_editions_and_a_reindex_are_told_of(place: Place) -> None:
    RedisReindexing(place.client).begin(0.4)
    assert place.ask("status")["reindex"]["threshold"] == 0.4
    RedisReindexing(place.client).cancel(place.ask("status")["reindex"]["id"])
    RedisReencoding(place.client).begin("another", 0.5, "an:Encoder", "hog")
    told = place.ask("status")
    assert told["editions"]["other"]["model"] == "another"
    assert told["reindex"]["phase"] == "building"
    assert told["queues"]["waiting"] == {QUEUE: 0, f"{QUEUE}~1": 0, REINDEX_QUEUE: 0}
    assert "edition 1 of another" in place.run("status").stdout


def test_an_index_that_is_not_there_does_not_keep_the_rest_from_being_told(alone: Place) -> None:
    result = alone.run("status")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "collection   none yet: the first worker makes it" in lines
    assert [line.split()[:3] for line in lines if "NOT THERE" in line] == [
        ["broker", "NOT", "THERE:"],
        ["index", "NOT", "THERE:"],
    ]
    told = alone.ask("status")
    assert [one["code"] for one in told["problems"]] == ["broker_unavailable", "index_unavailable"]
    assert (told["index"], told["queues"]) == (None, None)


def test_without_redis_one_line_says_so(alone: Place) -> None:
    alone.environment["FACEMATCH_REDIS_URL"] = "redis://:secret@127.0.0.1:1/0"
    for words in (("status",), ("jobs", "failed"), ("jobs", "retry", "--all")):
        result = alone.run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith(" (store_unavailable)\n")
        assert result.stderr.count("\n") == 1
        assert "secret" not in result.stderr


def test_jobs_that_failed_are_listed_by_code_the_last_first(place: Place) -> None:
    assert place.run("jobs", "failed").stdout == "No job has failed.\n"
    for number in range(3):
        place.fail(f"lost{number}", "unreachable", f"http://x/\x1b[2J{number}")
    place.fail("bad", "bad_image")
    told = place.ask("jobs", "failed")
    assert list(told["codes"].items()) == [("unreachable", 3), ("bad_image", 1)]
    assert [one["job"] for one in told["jobs"]] == ["bad", "lost2", "lost1", "lost0"]
    some = place.ask("jobs", "failed", "--code", "unreachable", "--limit", "2")
    assert [one["job"] for one in some["jobs"]] == ["lost2", "lost1"]
    assert some["left"] == 1
    assert place.ask("jobs", "failed", "--code", "bad_image")["left"] == 0
    result = place.run("jobs", "failed", "--limit", "1")
    lines = result.stdout.splitlines()
    assert lines[0] == "4 jobs have failed"
    assert lines[1].split(maxsplit=2) == ["3", "unreachable", "the URL's server cannot be reached"]
    assert lines[3].startswith("bad ")
    assert lines[4:] == [
        "  the detail of bad",
        "3 more: --limit 0 lists all, --code those with one code",
    ]
    assert "\x1b" not in place.run("jobs", "failed").stdout


def test_more_jobs_than_are_read_at_once_are_all_listed_and_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.commands.jobs._PORTION", 3)
    jobs = [f"lost{number}" for number in range(8)]
    for job in jobs:
        place.fail(job, "unreachable")
    told = place.ask("jobs", "failed", "--limit", "0")
    assert [one["job"] for one in told["jobs"]] == jobs[::-1]
    assert place.ask("jobs", "retry", "--code", "unreachable")["accepted"] == 8
    assert {place.store.job(job).state for job in jobs} == {State.ACCEPTED}
    broker = open_broker(place.broker_url)
    published: set[str] = set()
    while (delivery := broker.receive(1 if published >= set(jobs) else 20)) is not None:
        published.add(Message.decode(delivery.body).job)
        delivery.ack()
    broker.close()
    assert published == set(jobs)


def test_all_are_those_that_may_end_otherwise(place: Place) -> None:
    place.fail("away", "unreachable")
    place.fail("slow", "timed_out")
    place.fail("bad", "bad_image")
    lost = upload(place.store, b"a")
    place.store.fail(lost, "out_of_memory", "")
    result = place.run("jobs", "retry", "--all")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "2 tried again",
        "1 uploaded, and the bytes are not kept: submit them again",
        f"  {lost}",
    ]
    assert place.store.job("bad").state is State.FAILED
    assert place.ask("jobs", "failed")["codes"] == {"bad_image": 1, "out_of_memory": 1}


def test_jobs_that_are_named_are_tried_again_or_it_is_said_why_not(place: Place) -> None:
    place.fail("bad", "bad_image")
    assert place.run("jobs", "retry", "bad").exit_code == 0
    result = place.run("jobs", "retry", "--json", "bad", "unknown")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "accepted": 0,
        "no_source": [],
        "not_failed": ["bad"],
        "not_found": ["unknown"],
    }


@pytest.mark.parametrize(
    "words", [(), ("--code", "unreachible"), ("--data", "nowhere"), ("\udcff",)]
)
def test_a_retry_that_is_asked_for_wrongly_does_nothing(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, ["jobs", "retry", *words]).exit_code == 2


def test_jobs_are_tried_again_without_a_broker_too(alone: Place) -> None:
    alone.fail("lost", "unreachable")
    assert alone.run("jobs", "retry", "lost").exit_code == 0
    assert alone.store.due_jobs(10, age=-1) == ["lost"]


def test_a_broker_that_does_not_answer_is_asked_once(
    alone: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Silent(MemoryBroker):
        def publish(self, message: Message | RangeMessage) -> None:
            asked.append(message)
            raise Unavailable("broker_unavailable", "no answer in 5 s")

    monkeypatch.setattr(reindex_parts, "open_broker", lambda url, queue: Silent())
    for number in range(3):
        alone.fail(f"lost{number}", "unreachable")
    assert alone.ask("jobs", "retry", "--all")["accepted"] == 3
    assert len(asked) == 1
