"""Redis's append-only file is cut, as by a disk that lost what was not yet on it.

Redis is a process; api, workers and indexes are their own code in threads of this one, so that a
cut takes a second. The indexes have followed the log to its end before each cut, and live on.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from answers import is_ready
from indexes import asking, serving
from planted import PlantedEncoder, people, pictures_of, planted_picture
from servers import RedisServer
from waiting import eventually

from api.ledger import Ledger, erase, replay
from benchmarks.servers import redis_binary
from facematch import fsck
from facematch.errors import NotFound, Unavailable
from facematch.faces import distances, image_hash
from facematch.job import new_job_id
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.sidecar import Sidecar
from facematch.store import NewJob, State, Store
from faults.book import Outcome
from worker.looking import DirectLooker, PictureLimits
from worker.pipeline import Parts, finish, process

THRESHOLD = 0.6
PERSONS, IMAGES = 4, 30
_BACKLOG = 10**9


@dataclass
class _World:
    server: RedisServer
    store: RedisStore
    collections: RedisCollections
    indexes: list[Sidecar]
    parts: list[Parts]
    ledger: Ledger
    faces: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    def join(self) -> None:
        """As every worker does, again and again."""
        self.store.create(PlantedEncoder.model, THRESHOLD, PlantedEncoder.calibration)

    def submit(self, image: str, worker: int = 0) -> None:
        """Have a worker bring it to its end."""
        job = new_job_id()
        picture = self.pictures[image]
        self.store.accept(NewJob(job, "a.png", "", image, picture), _BACKLOG)
        _patiently(lambda: process(job, self.parts[worker]))


def run(seed: int, cuts: int) -> Outcome:
    """So many places to cut at, which the seed decides."""
    outcome = Outcome("cuts", f"{cuts} cuts", seed)
    rng = np.random.default_rng(seed)
    with _world() as world:
        _make_history(world, rng)
        world.server.kill()
        whole = {one.name: one.read_bytes() for one in _folder(world).iterdir()}
        name = next(name for name in whole if name.endswith(".incr.aof"))
        for at in _places(whole[name], rng, cuts):
            try:
                _cut(world, whole, name, at, outcome)
            except (AssertionError, Unavailable, NotFound) as error:
                outcome.violations.append(f"cut at {at}: {type(error).__name__}: {error}")
    return outcome


@contextmanager
def _world() -> Iterator[_World]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fm-")))
        # What a kill leaves is what the cut decides: the disk need not be waited for.
        server = RedisServer(redis_binary(), folder / "redis", "--appendfsync", "no")
        server.start()
        stack.callback(server.kill)
        client = connect(server.url)
        stack.callback(client.close)
        store = RedisStore(client)
        store.create(PlantedEncoder.model, THRESHOLD, PlantedEncoder.calibration)
        looker = DirectLooker(PlantedEncoder(), PictureLimits(10**6, 0, 100))
        indexes, parts = [], []
        for number in range(2):
            path = folder / f"index-{number}.sock"
            own = connect(server.url)
            stack.callback(own.close)
            stack.enter_context(serving(RedisStore(own), path))
            indexes.append(stack.enter_context(asking(path)))
            parts.append(
                Parts(
                    *(store, indexes[-1], lambda url: b"", looker, PlantedEncoder.model, 10**6),
                    calibration=PlantedEncoder.calibration,
                )
            )
        (folder / "ledger").mkdir()
        ledger = Ledger(folder / "ledger")
        yield _World(server, store, RedisCollections(client), indexes, parts, ledger)


def _folder(world: _World) -> Path:
    return world.server.folder / "appendonlydir"


def _make_history(world: _World, rng: np.random.Generator) -> None:
    persons = people(rng, PERSONS)
    for number in range(IMAGES):
        owners = rng.choice(PERSONS, size=int(rng.integers(1, 3)), replace=False)
        faces = np.concatenate([pictures_of(rng, persons[owner], 1) for owner in owners])
        picture = planted_picture(faces)
        image = image_hash(picture)
        world.faces[image], world.pictures[image] = faces, picture
        world.submit(image, number % 2)
        if rng.random() < 0.25:
            live = sorted(world.faces.keys() - world.erased)
            gone = live[int(rng.integers(len(live)))]
            erase(world.store, world.ledger, gone)
            world.erased.add(gone)


def _places(file: bytes, rng: np.random.Generator, count: int) -> list[int]:
    """Half of them anywhere, half inside of what goes together."""
    inside = [
        (begin.start(), end.start())
        for begin, end in zip(
            re.finditer(rb"\$5\r\nMULTI\r\n", file),
            re.finditer(rb"\$4\r\nEXEC\r\n", file),
            strict=True,
        )
    ]
    places = []
    for number in range(count):
        begin, end = inside[int(rng.integers(len(inside)))] if number % 2 else (0, len(file))
        places.append(int(rng.integers(begin, end)))
    return places


def _cut(world: _World, whole: dict[str, bytes], name: str, at: int, outcome: Outcome) -> None:
    _start_with(world, whole)
    _wait_for_indexes(world)
    before = world.store.collection().tail
    _start_with(world, {**whole, name: whole[name][:at]})
    outcome.counts["cuts"] += 1
    lost = _recover(world)
    after = world.store.collection().tail
    outcome.counts["images lost by cuts, and submitted again"] += lost
    outcome.counts["cuts that changed the log"] += after != before
    _wait_for_indexes(world)
    _check(world)
    outcome.counts["cuts healed"] += 1


def _start_with(world: _World, files: dict[str, bytes]) -> None:
    world.server.kill()
    for file in _folder(world).iterdir():
        file.unlink()
    for name, data in files.items():
        (_folder(world) / name).write_bytes(data)
    world.server.start()


def _recover(world: _World) -> int:
    """What api, workers and whoever submits do; how many images had been forgotten."""
    _patiently(world.join)
    replay(lambda name: world.store, world.collections, world.ledger)
    # Those that a worker had in hand, too: it is dead.
    for job in world.store.due_jobs(1000, -3600):
        _patiently(lambda: process(job, world.parts[0]))  # noqa: B023
    for image in world.store.due_images(1000, -3600):
        _patiently(lambda: finish(image, world.parts[1]))  # noqa: B023
    for position in world.store.erasing():
        while not world.store.unlink(position):
            pass
    lost = [image for image in world.faces.keys() - world.erased if not _known(world.store, image)]
    for number, image in enumerate(sorted(lost)):
        world.submit(image, number % 2)
    return len(lost)


def _known(store: Store, image: str) -> bool:
    try:
        return store.image(image).state is State.DONE
    except NotFound:
        return False


def _check(world: _World) -> None:
    report = fsck.run(world.store)
    assert report.findings == (), report.findings
    assert report.unfinished == 0, f"{report.unfinished} are under way"
    live = world.faces.keys() - world.erased
    for image in live:
        shown = {match.hash for match in world.store.matches(image, 1000).matches}
        near = {
            other
            for other in live - {image}
            if distances(world.faces[image], world.faces[other]).min() <= THRESHOLD
        }
        assert shown == near, f"{image}: {len(shown)} matches, not {len(near)}"
    for image in world.erased:
        with suppress(NotFound):
            assert world.store.image(image).state is State.ERASED, f"{image} is back"
    stored = world.store.faces(sorted(world.store.snapshot().positions))
    assert len(stored) == len(live), f"{len(stored)} images, not {len(live)}"


def _wait_for_indexes(world: _World) -> None:
    for number, index in enumerate(world.indexes):
        eventually(lambda: is_ready(index, world.store), f"index {number} is right", 30)  # noqa: B023


def _patiently(act: Callable[[], object]) -> None:
    """Until it is not unavailable any more: an index may be loading."""

    def done() -> bool:
        try:
            act()
        except Unavailable:
            return False
        return True

    eventually(done, "it can be done", 30)
