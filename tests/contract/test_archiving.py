"""A collection that was exported and imported is the one that it was: of stores in memory, in Redis
and in Valkey."""

import json
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import interleaving
import numpy as np
import pytest
from planted import PlantedEncoder
from submitting import commit, upload
from worlds import HASHES, PICTURES, World

from facematch import exporting, fsck, importing
from facematch.archive import ArchiveReader
from facematch.archiving import Archiving, Ticket
from facematch.errors import Conflict, NotFound, Rejected, Unavailable
from facematch.events import BEGINNING, Events, Kind
from facematch.exporting import export
from facematch.faces import image_hash
from facematch.importing import Imported, import_, pinned_of
from facematch.memory_archiving import MemoryArchiving
from facematch.memory_events import MemoryEvents
from facematch.memory_people import MemoryPeople
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.redis_archiving import RedisArchiving
from facematch.redis_connection import Redis, connect
from facematch.redis_events import RedisEvents
from facematch.redis_people import RedisPeople
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindexing import Reindexing
from facematch.store import Bounds, State, Store


@dataclass(frozen=True)
class Place:
    """Where a collection may be."""

    store: Store
    reindexing: Reindexing
    people: Any
    archiving: Archiving

    def world(self) -> World:
        return World(self.store, self.reindexing, self.people)


ROOT = Path(__file__).parents[2]

Make: TypeAlias = Callable[[str], Place]


def _in_memory(name: str = "") -> Place:
    del name
    store = MemoryStore()
    parts = (MemoryReindexing(store), MemoryPeople(store), MemoryArchiving(store))
    return Place(store, *parts)


def _in_redis(client: Redis, name: str) -> Place:
    parts = (RedisReindexing, RedisPeople, RedisArchiving)
    return Place(RedisStore(client, name), *(part(client, name) for part in parts))


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes places for collections, by name."""
    if request.param == "memory":
        yield _in_memory
        return
    client = connect(request.getfixturevalue("redis_url"))
    yield partial(_in_redis, client)
    client.close()


def filled(place: Place, seed: int, bounds: Bounds | None = None) -> World:
    """A collection with a past: images that came, went and came again, people, corrections."""
    if bounds is not None:
        place.store.create(PlantedEncoder.model, 0.6, PlantedEncoder.calibration, bounds)
    world, choose = place.world(), random.Random(seed)
    for _ in range(12):
        act = choose.choice([world.submit, world.submit, world.deliver, world.erase, world.correct])
        act(choose.randrange(1000))
        if choose.random() < 0.3:
            world.settle()
            world.finish_groups()
    for picture in (0, 1, 4):
        world.submit(picture)
    world.settle()
    world.finish_groups()
    world.correct(0)
    world.correct(2)
    world.finish_groups()
    return world


def exported(place: Place, path: Path) -> Path:
    export(place.store, place.people, place.archiving, path)
    return path


def imported(place: Place, path: Path) -> Imported:
    with ArchiveReader(path) as archive:
        return import_(place.store, place.people, place.archiving, archive)


def told(place: Place) -> dict[str, Any]:
    """All that a reader sees."""
    store, people = place.store, place.people
    pages = []
    for image in HASHES:
        try:
            page = store.matches(image, 100)
        except NotFound:
            continue
        if page.image.state is not State.ERASED:
            pages.append(page)
    collection = store.collection()
    policies = [(one.threshold, one.bounds, one.scored) for one in collection.generations]
    listed = people.people(1000)
    return {
        "collection": (collection.model, collection.calibration, collection.size, policies),
        "live": collection.live_faces,
        "matches": pages,
        "people": listed,
        "faces": [people.person(person.id, 100) for person in listed.people],
        "said": people.said(),
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_import_is_what_was_exported(make: Make, tmp_path: Path, seed: int) -> None:
    bounds = [None, Bounds(max_matches=1), Bounds(max_false_matches=1.2, max_matches=2)]
    there, here = make("there"), make("here")
    world = filled(there, seed, bounds[seed])
    path = exported(there, tmp_path / "a.zip")
    told_there = told(there)
    assert told_there["matches"]
    result = imported(here, path)
    assert told(here) == told_there
    assert result.images == len(told_there["matches"])
    report = fsck.run(here.store)
    assert (report.findings, report.unfinished) == ((), 0)
    # It goes on as a collection does.
    copy = here.world()
    copy.live = set(world.live)
    copy.check_groups()
    copy.submit(2)
    copy.submit(3)
    copy.erase(1)
    copy.settle()
    copy.finish_groups()
    copy.check()
    copy.check_groups()
    assert here.store.collection().tail.position > there.store.collection().tail.position


def test_it_goes_from_one_kind_of_store_to_another_and_back(
    valkey_url: str, tmp_path: Path
) -> None:
    there, back = _in_memory(), _in_memory()
    filled(there, 3)
    expected = told(there)
    with closing(connect(valkey_url)) as client:
        here = _in_redis(client, "here")
        imported(here, exported(there, tmp_path / "a.zip"))
        assert told(here) == expected
        assert fsck.run(here.store).findings == ()
        imported(back, exported(here, tmp_path / "b.zip"))
    assert told(back) == expected


def test_what_is_exported_again_is_the_same(make: Make, tmp_path: Path) -> None:
    there, here = make("there"), make("here")
    filled(there, 1)
    first = exported(there, tmp_path / "first.zip")
    imported(here, first)
    second = exported(here, tmp_path / "second.zip")
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
        assert one.namelist() == other.namelist()
        for name in set(one.namelist()) - {"manifest.json"}:
            assert one.read(name) == other.read(name), name
        manifests = [json.loads(each.read("manifest.json")) for each in (one, other)]
    for manifest in manifests:
        for name in ("id", "created", "last_number"):
            del manifest[name]
    assert manifests[0] == manifests[1]


@pytest.fixture
def _by_small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exporting, "_PORTION", 2)
    for name in ("_IMAGES", "_MATCHES", "_FACES"):
        monkeypatch.setattr(importing, name, 2)
    interleaving.install()
    yield
    interleaving.remove()


@pytest.mark.usefixtures("_by_small_steps")
def test_an_import_that_broke_off_anywhere_goes_on(make: Make, tmp_path: Path) -> None:
    there = make("there")
    filled(there, 1)
    path = exported(there, tmp_path / "a.zip")
    expected, broken = told(there), 0
    for steps in range(1, 100):
        here = make(f"here-{steps}")
        stepped = interleaving.SteppedWorker(lambda here=here: imported(here, path))
        for _ in range(steps):
            if stepped.alive:
                stepped.step()
        if not stepped.alive:
            break
        stepped.crash()
        broken += 1
        report = fsck.run(here.store)
        assert report.findings == ()
        # Its holder is dead, and its leases run out.
        _let_go(here)
        # A worker may do what it finds undone.
        other = here.world()
        other.settle()
        imported(here, path)
        other.finish_groups()
        assert told(here) == expected
        assert fsck.run(here.store).findings == ()
        assert imported(here, path).ended_before
    assert broken > 5


def _let_go(place: Place) -> None:
    if isinstance(place.store, MemoryStore):
        place.store._leases.clear()
        return
    assert isinstance(place.store, RedisStore)
    store = place.store
    store._redis.delete(store._key("lease", "import"), store._key("lease", "people"))


def test_nothing_is_committed_meanwhile_and_all_that_waits_is_afterwards(
    make: Make, tmp_path: Path
) -> None:
    there, here = make("there"), make("here")
    filled(there, 0)
    path = exported(there, tmp_path / "a.zip")
    copy = here.world()
    with ArchiveReader(path) as archive:
        pinned = pinned_of(archive.manifest)
        ticket = Ticket(archive.manifest.id, "me")
        here.archiving.begin(ticket, pinned)
        job = upload(here.store, PICTURES[3])
        with pytest.raises(Unavailable):
            commit(here.store, job, PICTURES[3], model=PlantedEncoder.model)
        with pytest.raises(Conflict) as caught:
            import_(here.store, here.people, here.archiving, archive)
        assert caught.value.code == "overtaken"
    _let_go(here)
    imported(here, path)
    copy.jobs.append(job)
    copy.settle()
    assert here.store.image(HASHES[3]).state is State.DONE
    assert fsck.run(here.store).findings == ()


def test_who_submits_what_is_just_imported_is_told_that_it_is_done(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = make("there"), make("here")
    filled(there, 0)
    path = exported(there, tmp_path / "a.zip")
    settle, jobs = here.archiving.settle, set[str]()

    def submitted_first(ticket: Ticket, images: Sequence[str]) -> None:
        jobs.add(upload(here.store, PICTURES[HASHES.index(images[0])]))
        settle(ticket, images)

    monkeypatch.setattr(here.archiving, "settle", submitted_first)
    imported(here, path)
    assert jobs
    assert {here.store.job(job).state for job in jobs} == {State.DONE}
    events: Events
    if isinstance(here.store, MemoryStore):
        events = MemoryEvents(here.store)
    else:
        assert isinstance(here.store, RedisStore)
        events = RedisEvents(here.store._redis, "here")
        assert not here.store._redis.keys("fm:{here}:jobs:*")
    told_of = [(event.kind, event.job) for event in events.since(BEGINNING, 1000).events]
    assert sorted(told_of) == sorted((Kind.DONE, job) for job in jobs)


def test_a_collection_must_be_empty_of_the_model_and_without_another_generation(
    make: Make, tmp_path: Path
) -> None:
    there = make("there")
    filled(there, 0)
    path = exported(there, tmp_path / "a.zip")
    full, other, busy = make("full"), make("other"), make("busy")
    filled(full, 2)
    other.store.create("another", 0.6)
    busy.world()
    busy.reindexing.begin(0.5, span=10, bounds=Bounds())
    for place, code in ((full, "not_empty"), (other, "other_model"), (busy, "reindex_exists")):
        before = told(place)
        with pytest.raises(Conflict) as caught:
            imported(place, path)
        assert caught.value.code == code
        assert told(place) == before


def test_what_comes_between_is_noticed(make: Make, tmp_path: Path) -> None:
    there, here = make("there"), make("here")
    filled(there, 0)
    path = exported(there, tmp_path / "a.zip")
    with ArchiveReader(path) as archive:
        pinned, ticket = pinned_of(archive.manifest), Ticket(archive.manifest.id, "me")
        here.world()
        here.archiving.begin(ticket, pinned)
    _let_go(here)
    commit(here.store, upload(here.store, PICTURES[3]), PICTURES[3], model=PlantedEncoder.model)
    with pytest.raises(Conflict) as caught:
        imported(here, path)
    assert caught.value.code == "overtaken"


def test_what_was_erased_here_since_stays_erased(make: Make, tmp_path: Path) -> None:
    there, here = make("there"), make("here")
    filled(there, 1)
    number = there.archiving.last_number()
    path = exported(there, tmp_path / "a.zip")
    here.world()
    here.store.erase(HASHES[4], upto=number + 1)  # the ledger is played back
    result = imported(here, path)
    assert result.refused == (HASHES[4],)
    assert here.store.image(HASHES[4]).state is State.ERASED
    report = fsck.run(here.store)
    assert (report.findings, report.unfinished) == ((), 0)
    for image in set(HASHES) - {HASHES[4]}:
        try:
            page = here.store.matches(image, 100)
        except NotFound:
            continue
        assert HASHES[4] not in {match.hash for match in page.matches}
    again, live = here.world(), _live(here.store)
    again.live = {number for number, image in enumerate(HASHES) if image in live}
    again.finish_groups()
    again.check_groups()


def _live(store: Store) -> set[str]:
    positions = [position for portion in store.live() for position in portion]
    return set(store.images_at(positions).values())


def test_an_erasure_while_it_is_exported_leaves_the_image_out(make: Make, tmp_path: Path) -> None:
    there, here = make("there"), make("here")
    filled(there, 1)
    path = tmp_path / "a.zip"
    erased: list[str] = []

    def erase_once(done: int, total: int) -> None:
        del done, total
        if not erased:
            there.store.erase(HASHES[0])
            erased.append(HASHES[0])

    export(there.store, there.people, there.archiving, path, erase_once)
    position = there.store.image(HASHES[0]).position
    with ArchiveReader(path) as archive:
        assert archive.manifest.gone == (position,)
    imported(here, path)
    assert HASHES[0] not in _live(here.store)
    assert HASHES[4] in _live(here.store)
    report = fsck.run(here.store)
    assert (report.findings, report.unfinished) == ((), 0)


def test_images_without_faces_and_those_still_to_be_linked_are_in_it(
    make: Make, tmp_path: Path
) -> None:
    there, here = make("there"), make("here")
    filled(there, 1)
    store = there.store
    commit(store, upload(store, b"nobody", "sky.jpg"), b"nobody", 0, PlantedEncoder.model)
    commit(store, upload(store, b"new", "new.jpg"), b"new", 1, PlantedEncoder.model)
    imported(here, exported(there, tmp_path / "a.zip"))
    nobody = here.store.image(image_hash(b"nobody"))
    assert (nobody.state, nobody.names, nobody.position) == (State.DONE, ("sky.jpg",), 0)
    assert here.store.image(image_hash(b"new")).state is State.INDEXED
    assert here.store.due_images(10, age=-1) == [image_hash(b"new")]


def spoiled(path: Path, out: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The same export with one member changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            new.writestr(member, change(data) if member == name else data)
    return out


def _with(**told: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        first, _, rest = data.decode().partition("\n")
        if first == "{":  # the manifest, over several lines
            return json.dumps(json.loads(data) | told).encode()
        return f"{json.dumps(json.loads(first) | told)}\n{rest}".encode()

    return change


def test_the_documented_format_is_read_as_the_document_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = _in_memory()
    filled(there, 1)
    exported(there, tmp_path / "faces.zip")
    code = (ROOT / "docs" / "export.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    read: dict[str, Any] = {}
    exec(code, read)
    listed = {
        (page.image.hash, match.hash, match.distance, match.false_match_rate)
        for page in told(there)["matches"]
        for match in page.matches
        if match.position < page.image.position
    }
    assert listed
    assert {(*row[:2], float(row[2]), float(row[3])) for row in read["matches"]} == listed


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export as it should be."""
    there = _in_memory()
    filled(there, 1)
    return exported(there, tmp_path_factory.mktemp("sound") / "a.zip")


MANIFEST, IMAGES, FACES = "manifest.json", "images/00001.jsonl", "faces/00001.npz"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (MANIFEST, lambda data: b"no JSON"),
        (MANIFEST, _with(format="another")),
        (MANIFEST, _with(version=2)),
        (MANIFEST, _with(parts=-1)),
        (MANIFEST, _with(parts=2)),
        (MANIFEST, _with(max_matches=0)),
        (MANIFEST, _with(threshold="near")),
        (MANIFEST, _with(threshold=float("nan"))),
        (MANIFEST, _with(position=1)),
        (IMAGES, _with(hash="../../etc/passwd")),
        (IMAGES, _with(position=-1)),
        (IMAGES, _with(boxes=[])),
        (IMAGES, _with(state="erased")),
        (IMAGES, lambda data: data[:50]),
        (FACES, lambda data: data[:100]),
        (FACES, lambda data: b""),
    ],
)
def test_what_is_no_export_is_refused(
    tmp_path: Path, sound: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    path = spoiled(sound, tmp_path / "b.zip", name, change)
    with pytest.raises(Rejected) as caught:
        imported(_in_memory(), path)
    assert caught.value.code == "bad_export"


def test_a_file_of_objects_is_not_unpickled(tmp_path: Path, sound: Path) -> None:
    planted = tmp_path / "planted.npz"
    np.savez(planted, counts=np.array([print], dtype=object))
    data = planted.read_bytes()
    path = spoiled(sound, tmp_path / "b.zip", FACES, lambda _: data)
    with pytest.raises(Rejected):
        imported(_in_memory(), path)


def test_an_export_that_broke_off_leaves_no_file(make: Make, tmp_path: Path) -> None:
    there = make("there")
    filled(there, 1)

    def fail(done: int, total: int) -> None:
        raise RuntimeError("full")

    with pytest.raises(RuntimeError):
        export(there.store, there.people, there.archiving, tmp_path / "a.zip", fail)
    assert list(tmp_path.iterdir()) == []
