"""Only indexes are killed, while they load, follow and answer, and Redis loses its tail once;
every answer meanwhile, and every match set in the end, is what brute force finds.

CHAOS_SECONDS makes it longer, CHAOS_SEED repeats a run.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
from answers import Truth, asking_all_the_time, assert_equal_to_brute_force
from cluster import Cluster
from histories import THRESHOLD, running
from indexes import FOREVER, asking, up
from patience import patient
from planted import PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from servers import RedisServer
from waiting import eventually
from worlds import told

from facematch.faces import distances
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.wire import Query

SECONDS = float(os.environ.get("CHAOS_SECONDS", "10"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
PEOPLE = 10
INDEXES = ("index-1", "index-2")
#: Where an index dies by itself, besides being killed at any moment.
PLACES = ("", "mid_load:kill", "before_apply:kill:5", "after_apply:kill:5")
#: Each picture is looked at in the end: a long run has only so many, about.
PICTURES = 4000
PAUSE = max(0.03, 2 * SECONDS / PICTURES)

pytestmark = pytest.mark.timeout(SECONDS + 300)


class Client:
    """Submits and erases pictures, and keeps what the service has acknowledged."""

    def __init__(self, url: str, truth: Truth) -> None:
        self.url, self._truth = url, truth
        self._rng = np.random.default_rng(SEED + 1)
        self._persons = people(np.random.default_rng(0), PEOPLE)
        self._faces: dict[str, np.ndarray] = {}
        self.pictures: dict[str, bytes] = {}
        self.jobs: dict[str, str] = {}
        self.erased: set[str] = set()

    def come_and_go(self) -> None:
        """Submit a picture; now and then erase one."""
        owners = self._rng.choice(PEOPLE, size=int(self._rng.integers(1, 3)), replace=False)
        faces = np.concatenate([pictures_of(self._rng, self._persons[o], 1) for o in owners])
        picture = planted_picture(faces)
        image = hashlib.sha256(picture).hexdigest()
        self._truth.know(image, faces)
        self._faces[image], self.pictures[image] = faces, picture
        self.submit(image)
        if self._rng.random() < 0.15:
            live = sorted(self.live)
            gone = live[int(self._rng.integers(len(live)))]
            answer = self.ask("DELETE", f"images/{gone}")
            assert answer.status_code == 204, answer.text
            self.erased.add(gone)

    def submit(self, image: str) -> None:
        """Submit a picture, perhaps again."""
        answer = self.ask("POST", "images", data=self.pictures[image])
        assert answer.status_code in (200, 202), answer.text
        self.jobs[image] = answer.json()["job"]

    def ask(self, method: str, path: str, **options: object) -> requests.Response:
        """A request repeated until the service answers it."""
        return patient(method, f"{self.url}/v1/{path}", **options)

    @property
    def live(self) -> set[str]:
        return self.pictures.keys() - self.erased

    def submit_what_was_lost(self, since: set[str]) -> int:
        """Submit again what the store has forgotten, which must be since these; how many."""
        lost = [image for image in self.live if self._job(image) == "lost"]
        assert since.isdisjoint(lost)
        for image in lost:
            self.submit(image)
        return len(lost)

    def wait(self) -> None:
        """Until every live picture is done."""
        for image in self.live:
            eventually(lambda: self._job(image) == "done", f"{image} is done", seconds=120)  # noqa: B023

    def assert_matches(self) -> None:
        """AssertionError unless every match set is what brute force says."""
        live = sorted(self.live)
        faces = np.concatenate([self._faces[image] for image in live])
        firsts = np.cumsum([0, *(len(self._faces[image]) for image in live)])[:-1]
        for image in live:
            near = distances(self._faces[image], faces).min(axis=0)
            nearest = np.minimum.reduceat(near, firsts)
            expected = {
                other: told(float(distance))
                for other, distance in zip(live, nearest, strict=True)
                if other != image and distance <= THRESHOLD
            }
            path = f"images/{image}/matches"
            shown = self.ask("GET", path, params={"limit": 10_000}).json()["matches"]
            assert {match["hash"]: match["distance"] for match in shown} == expected

    def _job(self, image: str) -> str:
        answer = self.ask("GET", f"jobs/{self.jobs[image]}")
        if answer.status_code == 404:
            return "lost"
        state = str(answer.json()["state"])
        assert state != "failed", answer.text
        return state


@contextmanager
def at_work(client: Client) -> Iterator[Callable[[], None]]:
    """The client works all the time, in a thread; call what is given to hear of its errors."""
    errors: list[BaseException] = []

    def work(stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                client.come_and_go()
                time.sleep(PAUSE)
        except BaseException as error:
            errors.append(error)

    def look() -> None:
        assert not errors, errors[0]

    with running(work, seconds=120):
        yield look
    look()


def kill_indexes(
    cluster: Cluster, rng: np.random.Generator, seconds: float, look: Callable[[], None]
) -> int:
    """For so long; how many died."""
    until, kills = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        look()
        name = str(rng.choice(INDEXES))
        cluster.kill(name)
        cluster.start(name, failpoint=str(rng.choice(PLACES)))
        kills += 1
        # A start takes a second or two: some die while they load, some after a while.
        time.sleep(float(rng.random()) * 3)
        for other in INDEXES:
            if not cluster.alive(other):
                cluster.kill(other)  # it says whether it died at its failpoint
                cluster.start(other)
                kills += 1
    return kills


def start_both(cluster: Cluster) -> None:
    """Kill both indexes, and start them to live."""
    for name in INDEXES:
        cluster.kill(name)
        cluster.start(name)


def wait_until_it_follows(path: Path, position: int) -> None:
    """Until this index is ready, and as far as this."""

    def follows() -> bool:
        status = sidecar.status()
        return status.ready and status.position >= position

    with asking(path) as sidecar:
        up(sidecar)
        eventually(follows, f"it has followed the log up to {position}", seconds=60)


def test_indexes_are_killed_and_nothing_is_wrong(
    tmp_path: Path, redis_server: RedisServer, rabbitmq_server: RabbitServer
) -> None:
    print(f"CHAOS_SEED={SEED}")
    rng = np.random.default_rng(SEED)
    with ExitStack() as stack:
        cluster = stack.enter_context(
            Cluster(tmp_path, redis_server.url, rabbitmq_server.url, encoder=PLANTED)
        )
        store = RedisStore(stack.enter_context(connect(redis_server.url)))
        truth = Truth(store)
        client = Client(cluster.url, truth)
        queries = [
            Query(pictures_of(rng, person, 1), THRESHOLD, FOREVER)
            for person in people(np.random.default_rng(0), PEOPLE)
        ]
        sockets = [tmp_path / f"{name}.sock" for name in INDEXES]
        with ExitStack() as asked:
            heard = [
                asked.enter_context(asking_all_the_time(path, truth, queries, pause=0.02))
                for path in sockets
            ]
            with at_work(client) as look:
                kills = kill_indexes(cluster, rng, SECONDS / 2, look)
                start_both(cluster)
                for path in sockets:
                    wait_until_it_follows(path, 0)
                kept = set(client.jobs)
                redis_server.remember()
                time.sleep(1)
            past = store.collection().tail.position
            redis_server.lose_the_tail()
            cluster.wait_ready()
            lost = client.submit_what_was_lost(kept)
            with at_work(client) as look:
                # By themselves, and so far that the log is longer than the one they had.
                for path in sockets:
                    wait_until_it_follows(path, past + 10)
                kills += kill_indexes(cluster, rng, SECONDS / 2, look)
            start_both(cluster)
            client.wait()
            for path in sockets:
                with asking(path) as sidecar:
                    up(sidecar)
                    assert_equal_to_brute_force(sidecar, store, queries)
        client.assert_matches()
        cluster.fsck()
        assert all(each.right for each in heard)
        right = sum(each.right for each in heard)
        pictures, erased = len(client.pictures), len(client.erased)
        print(f"{pictures} pictures, {lost} of them lost once, {erased} erased")
        print(f"{kills} kills, {right} right answers")
