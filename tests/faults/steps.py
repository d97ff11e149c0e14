"""Every failpoint: whoever reaches it dies there, or stops there and is told to end."""

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil
from coming_and_going import Client, Ledger
from histories import running
from waiting import eventually

from facematch.errors import Conflict
from facematch.grouping import FALSE_PAIRS
from facematch.redis_people import RedisPeople
from facematch.redis_reindexing import RedisReindexing
from facematch.regrouping import way_of
from facematch.reindexing import Phase
from facematch.store import LINK_CHUNK
from faults.book import Outcome
from faults.service import Service, service

#: Who reaches which.
STEPS = {
    "worker": (
        *("fetched", "encoded", "before_commit", "after_commit", "after_query", "mid_link"),
        *("after_link", "after_ack", "people_begun", "people_read", "people_grouped"),
        *("people_written", "range_found", "mid_range", "range_done"),
    ),
    "api": ("after_accept", "after_publish", "after_erase", "after_ledger", "mid_unlink"),
    "index": ("mid_load", "before_apply", "after_apply", "mid_pairs"),
}
#: The others, of who feeds a Milvus and who imports, have tests of their own.
ELSEWHERE = {
    *("after_faces", "before_place", "after_place", "after_removal"),
    *("imported_images", "imported_matches", "imported_part", "imported_people"),
}
#: Reached only while match sets are made anew.
_REINDEXING = {"range_found", "mid_range", "range_done", "mid_pairs"}
#: Reached only where one image has more matches than go into one call.
_CROWDED = {"mid_link", "mid_unlink"}
CROWD = LINK_CHUNK + 10
STOP_SECONDS = 30.0
_REACH_SECONDS = 150.0


@dataclass
class _World:
    service: Service
    ledger: Ledger
    rng: np.random.Generator
    outcome: Outcome
    crowd: bool = False


def run(
    part: str, seed: int, steps: tuple[str, ...] = (), actions: tuple[str, ...] = ("kill", "stop")
) -> Outcome:
    """All failpoints of a part, each by a kill and by a stop with SIGTERM; `steps`: only these."""
    outcome = Outcome("steps", part, seed)
    with service() as running_service:
        rng = np.random.default_rng([seed, len(part)])
        world = _World(running_service, Ledger(), rng, outcome)
        client = Client(running_service.url, world.ledger, rng)
        for _ in range(10):
            client.submit()
        eventually(running_service.is_idle, "there is something", 60)
        # Those that need a crowd come last: every check takes longer from then on.
        for name in sorted(steps or STEPS[part], key=lambda name: name in _CROWDED):
            for action in actions:
                try:
                    _one(world, part, name, action)
                except Exception as error:
                    outcome.violations.append(f"{name}:{action}: {type(error).__name__}: {error}")
                    return outcome
        running_service.judge(world.ledger, outcome)
    return outcome


def _one(world: _World, part: str, name: str, action: str) -> None:
    made = world.service
    victims = {"worker": made.workers, "api": ["api"], "index": made.indexes}[part]
    if name in _CROWDED and not world.crowd:
        _make_crowd(world)
    # In the middle of few images it would never come to the third.
    nth = 1 if name in _CROWDED | _REINDEXING | {"mid_load"} else int(world.rng.integers(1, 4))
    for victim in victims:
        made.cluster.kill(victim)
        world.outcome.counts["kills"] += 1
        made.cluster.start(victim, failpoint=f"{name}:{action}:{nth}")
    what = f"{name}:{action}:{nth} (seed {world.outcome.seed})"
    reached = False
    falling = _Victims(made, victims)
    with running(lambda stop: _work(world, name, stop), seconds=180):
        until = time.monotonic() + _REACH_SECONDS
        while not reached and time.monotonic() < until:
            reached = falling.one_fell(action)
            time.sleep(0.02)
        assert reached, f"{what} was never reached"
        time.sleep(float(world.rng.random()))
        for victim in victims:
            if action == "stop":
                # Who has only just begun would die of it.
                begun = partial(falling.has_begun_or_fallen, victim)
                eventually(begun, f"{victim} has begun", 60)
            _end(world, victim, action, what, falling)
            made.cluster.start(victim)
    made.cluster.wait_ready()
    if name in _REINDEXING:
        _end_reindex(world)
    world.outcome.counts["failpoints"] += 1
    eventually(lambda: all(made.cluster.alive(one) for one in victims), "all live", 10)
    made.check(world.outcome)


class _Victims:
    """Those that may reach a failpoint: processes of the cluster, of the api its one child."""

    def __init__(self, made: Service, names: list[str]) -> None:
        self._made, self._names = made, names
        self._pids: dict[str, int] = {}

    def one_fell(self, action: str) -> bool:
        """Whether any of them died, or stands still."""
        return any(self.fell(name, action) for name in self._names)

    def fell(self, name: str, action: str) -> bool:
        """Whether this one did, and at its failpoint."""
        if name not in self._pids:
            found = self._found(name)
            if found is None:
                return False
            self._pids[name] = found
        try:
            status = psutil.Process(self._pids[name]).status()
        except psutil.NoSuchProcess:
            status = psutil.STATUS_ZOMBIE
        wanted = psutil.STATUS_ZOMBIE if action == "kill" else psutil.STATUS_STOPPED
        return bool(status == wanted) and self._made.cluster.reached_failpoint(name)

    def has_begun_or_fallen(self, name: str) -> bool:
        """Whether it can be told to end."""
        return self.fell(name, "stop") or (name != "api" and self._made.cluster.has_begun(name))

    def go_on(self, name: str) -> None:
        """Let it go on where it stands."""
        with suppress(psutil.NoSuchProcess):
            psutil.Process(self._pids[name]).resume()

    def _found(self, name: str) -> int | None:
        if name != "api":
            return self._made.cluster.pid(name)
        children = psutil.Process(self._made.cluster.pid(name)).children()
        return children[0].pid if children else None


def _end(world: _World, victim: str, action: str, what: str, falling: _Victims) -> None:
    cluster, counts = world.service.cluster, world.outcome.counts
    if action == "kill":
        cluster.kill(victim)
        counts["kills"] += 1
        return
    # One that stands at the failpoint, or one that did not come there and is at work.
    began = time.monotonic()
    try:
        if victim == "api":  # its parent tells it
            os.kill(cluster.pid(victim), signal.SIGTERM)
            time.sleep(0.3)
            falling.go_on(victim)
        cluster.stop(victim)
    except Exception as error:
        counts["stops over 30 s"] += 1
        world.outcome.violations.append(f"SIGTERM at {what}: {victim}: {error}")
        with suppress(AssertionError):  # it has ended, and not well
            cluster.kill(victim)
    took = time.monotonic() - began
    counts["stops" if cluster.reached_failpoint(victim) else "stops elsewhere"] += 1
    counts["longest stop, ms"] = max(counts["longest stop, ms"], int(1000 * took))


def _work(world: _World, name: str, stop: threading.Event) -> None:
    """Submit, read and erase until it is enough."""
    # Its own chance: whoever kills draws meanwhile.
    rng = np.random.default_rng([world.outcome.seed, 1000 + world.outcome.counts["failpoints"]])
    client = Client(world.service.url, world.ledger, rng)
    owner = 0 if name in _CROWDED else None
    store, redis = world.service.store, world.service.client
    reindexing, people = RedisReindexing(redis), RedisPeople(redis)
    try:
        while not stop.is_set():
            if name == "people_begun" and not people.due(0).marking:
                # By itself only when there are twice as many images.
                people.begin(way_of(store.collection(), FALSE_PAIRS), FALSE_PAIRS)
            if name in _REINDEXING and reindexing.current() is None:
                reindexing.begin(0.25 + 0.3 * rng.random(), 1.0, 5)
            image = client.submit(owner)
            client.look(image)
            if name == "mid_unlink" or rng.random() < 0.2:
                client.erase(owner)
            time.sleep(0.02)
    except Exception as error:
        world.outcome.violations.append(f"a client at {name}: {type(error).__name__}: {error}")


def _make_crowd(world: _World) -> None:
    client = Client(world.service.url, world.ledger, world.rng)
    with world.service.redis.hurried():
        while len(world.ledger.live_of(0)) < CROWD:
            client.submit(0)
        eventually(world.service.is_idle, "it is there", 180)
    world.crowd = True


def _end_reindex(world: _World) -> None:
    """Let it come to its end, compare, and give it up."""
    reindexing = RedisReindexing(world.service.client)
    about = reindexing.current()
    if about is None:
        return

    def built() -> bool:
        there = reindexing.current()
        return there is not None and there.phase is Phase.BUILT

    eventually(built, "the match sets are made anew", 120)
    world.service.check(world.outcome)
    try:
        reindexing.cancel(about.id)
    except Conflict as error:
        world.outcome.violations.append(f"a reindex that was built: {error}")
    eventually(lambda: reindexing.current() is None, "it is given up", 60)
