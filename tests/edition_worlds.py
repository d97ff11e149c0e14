"""A small world for protocol tests of a collection with editions: what the api does, who drives a
reindex to another encoder, workers of both editions, and a web whose pictures change.

Its pictures are those of `worlds`. What it should come to is told from what was said to the api.
"""

import contextlib
import copy
import functools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import interleaving
import numpy as np
import pytest
from planted import PlantedEncoder
from worlds import HASHES, OTHER_THRESHOLDS, PICTURES, REPLICATED, THRESHOLD, true_matches

from facematch import fsck
from facematch.collection_name import edition_name, served_name
from facematch.errors import Misconfigured, NotFound, Rejected, Unavailable
from facematch.faces import Encodings
from facematch.memory_reencoding import MemoryFront, MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.redis_connection import Redis
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.reencoding import Carried, Carry, Reencoding, Standing
from facematch.reindexing import Phase
from facematch.store import Erased, Front, NewJob, State, Store
from worker.looking import DirectLooker, PictureLimits
from worker.pipeline import Parts, finish, process

URLS = ("http://a/1", "http://a/2")
#: The pictures, some of them oftener, so that more happens to one.
OFTEN = (0, 1, 2, 3, 4, 0, 0, 1)
ENOUGH = 10**9
#: There is room for one or two of the pictures.
LITTLE = 1200
#: Why an image is not in the edition that is not served.
OTHERS_CODES = ("changed", "unreachable", "backlog_full", "no_source")
LIVE = (State.INDEXED, State.DONE)
LIMITS = PictureLimits(max_pixels=10**6, max_side=0, max_faces=100)


class NegatedEncoder(PlantedEncoder):
    """Another model, of which no encoding is near one of the first; the distances are the same."""

    model = "negated"

    def encode(self, crops: Encodings) -> Encodings:
        """The opposite of what is planted."""
        return np.negative(crops)


ENCODERS = {encoder.model: encoder for encoder in (PlantedEncoder(), NegatedEncoder())}


@dataclass(frozen=True)
class Service:
    """A collection with all its parts; `store` gives an edition's, there or not."""

    front: Front
    reencoding: Reencoding
    store: Callable[[int], Store]
    client: Redis | None = None


def in_memory() -> Service:
    memory = MemoryReencoding(MemoryStore())
    nothing = MemoryStore()
    return Service(MemoryFront(memory), memory, lambda number: memory.stores.get(number, nothing))


def on_redis(client: Redis) -> Service:
    return Service(
        RedisStore(client, served_name("default")),
        RedisReencoding(client),
        functools.cache(lambda number: RedisStore(client, edition_name("default", number))),
        client,
    )


class _Edition:
    """The store of an edition, whichever it is at the time. Stepped workers stop at each call."""

    def __init__(self, store: Callable[[], Store], *, stepped: bool) -> None:
        self._store = store
        self._stepped = stepped

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if self._stepped:
                interleaving.pause_at_failpoints(name)
            return getattr(self._store(), name)(*args, **named)

        return call


@dataclass(frozen=True)
class Submission:
    """What was acknowledged: a picture or a URL. `editions`: those it was accepted in."""

    job: str
    name: str
    picture: int | None
    editions: frozenset[int]


@dataclass
class Told:
    """What was said, in its order: submissions, and pictures erased; and what follows from it."""

    events: list[Submission | int] = field(default_factory=list)
    #: Served by an edition that could not have them.
    missing: set[int] = field(default_factory=set)
    #: The later edition was built as it should be.
    complete: bool = False

    def submissions(self) -> list[Submission]:
        return [event for event in self.events if isinstance(event, Submission)]

    def since(self, picture: int) -> Iterator[Submission]:
        """The submissions after the picture's last erasure."""
        for event in reversed(self.events):
            if event == picture:
                return
            if isinstance(event, Submission):
                yield event

    def uploaded(self) -> set[int]:
        """Pictures that must be there: their bytes were submitted and not erased since."""
        everything = range(len(PICTURES))
        return {p for p in everything if any(new.picture == p for new in self.since(p))}


class World:
    """What a test does to it takes a number, so that hypothesis can choose among what there is."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.front, self.reencoding = service.front, service.reencoding
        service.store(0).create(PlantedEncoder.model, THRESHOLD)
        self.told = Told()
        self.jobs: list[str] = []
        self.web: dict[str, int | None] = dict.fromkeys(URLS, 0)
        #: The pictures that were fetched for a job.
        self.fetched: dict[str, set[int]] = {}
        self.ledger: list[Erased] = []
        self.workers: list[interleaving.SteppedWorker] = []
        self.indexes: dict[tuple[int, int], ExactNeighbours] = {}
        self.standings: list[Standing] = []
        #: Every edition that there ever was.
        self.known = {0}
        self.swapped = self.lost = False
        #: One of these two since the other edition was begun: it may have followed what is not.
        self.apart = False
        self.remembered: tuple[dict[int, dict[str, Any]], dict[str, Any], int, Told] | None = None
        self.objects: dict[int, MemoryStore] = {}

    # -- the api

    def submit(self, number: int) -> None:
        picture = OFTEN[number % len(OFTEN)]
        backlog = LITTLE if number % 7 == 0 else ENOUGH
        if self._accept(picture, "", HASHES[picture], PICTURES[picture], backlog):
            self.told.missing.discard(picture)

    def submit_url(self, number: int) -> None:
        self._accept(None, URLS[number % len(URLS)], "", b"", ENOUGH)

    def _accept(self, picture: int | None, url: str, image: str, data: bytes, room: int) -> bool:
        job = secrets.token_hex(8)
        name = f"{len(self.jobs)}.png"
        try:
            self.front.accept(NewJob(job, name, url, image, data), room)
        except Unavailable:
            assert room == LITTLE
            with pytest.raises(NotFound):  # in neither edition
                self.front.job(job)
            return False
        self.jobs.append(job)
        numbers = self.reencoding.editions().numbers
        self.told.events.append(Submission(job, name, picture, numbers))
        return True

    def erase(self, number: int) -> None:
        picture = OFTEN[number % len(OFTEN)]
        try:
            erased = self.front.erase(HASHES[picture])
        except NotFound:
            return
        self.told.events.append(picture)
        self.ledger.append(erased)
        page = self.front.matches(HASHES[picture], 10)
        assert page.image.state is State.ERASED
        assert page.matches == ()
        self.look(number)

    def unlink(self, number: int) -> None:
        """The api goes on with an erasure, whichever edition is served by now."""
        if self.ledger:
            erased = self.ledger[-1 - number % min(len(self.ledger), 3)]
            self.front.unlink(erased.position)

    def replay(self) -> None:
        """What the api does whenever the store was away: as api.ledger does."""
        for record in self.ledger:
            erased = self.front.erase(record.image, record.upto)
            while erased.position and not self.front.unlink(erased.position):
                pass

    def look(self, number: int) -> None:
        """Nobody sees of an erased picture more than that it was erased."""
        del number
        hidden = set(range(len(PICTURES))) - self.possible()
        for picture in hidden:
            with contextlib.suppress(NotFound):
                page = self.front.matches(HASHES[picture], 100)
                assert page.image.state is State.ERASED
                assert (page.matches, page.image.names) == ((), ())
        for picture in self.possible():
            with contextlib.suppress(NotFound):
                page = self.front.matches(HASHES[picture], 100)
                assert not {HASHES[p] for p in hidden} & {match.hash for match in page.matches}

    # -- the web

    def change(self, number: int) -> None:
        """Another picture, or none any more, is behind a URL."""
        shown = (*OFTEN, None)
        self.web[URLS[number % len(URLS)]] = shown[number // len(URLS) % len(shown)]

    def _fetch(self, job: str, url: str) -> bytes:
        interleaving.pause_at_failpoints("fetch")
        picture = self.web[url]
        if picture is None:
            raise Rejected("unreachable")
        self.fetched.setdefault(job, set()).add(picture)
        return PICTURES[picture]

    # -- the workers

    def edition(self, number: int) -> int:
        """One of those there are, now and then one there was."""
        numbers = self.known if number % 11 == 0 else self.reencoding.editions().numbers
        return sorted(numbers)[number % len(numbers)]

    def parts(self, edition: int, job: str, index: int) -> Parts:
        """Of a worker of an edition. Raises Unavailable when there is none any more."""
        store = self.service.store(edition)
        model = store.collection().model
        if (edition, index) not in self.indexes:
            kept = cast(Store, _Edition(lambda: self.service.store(edition), stepped=False))
            self.indexes[edition, index] = ExactNeighbours(kept)
        return Parts(
            cast(Store, _Edition(lambda: self.service.store(edition), stepped=True)),
            self.indexes[edition, index],
            lambda url: self._fetch(job, url),
            DirectLooker(ENCODERS[model], LIMITS),
            model,
            10**6,
        )

    def deliver(self, number: int) -> None:
        if not self.jobs:
            return
        # Mostly fresh jobs, now and then an old one again.
        job = self.jobs[-1 - number % min(len(self.jobs), 3 if number % 4 else 100)]
        with contextlib.suppress(Unavailable):
            parts = self.parts(self.edition(number // 3), job, number % 2)
            self.start(lambda: process(job, parts), number % 12)

    def sweep(self, number: int) -> None:
        edition = self.edition(number)
        store = self.service.store(edition)
        for position in store.erasing()[:1]:
            store.unlink(position)
        if due := store.due_images(1, age=-1):
            with contextlib.suppress(Unavailable):
                parts = self.parts(edition, "", number % 2)
                self.start(lambda: finish(due[0], parts), number % 8)

    def catch_up(self, number: int) -> None:
        """The workers of an edition have had the time for what came last."""
        edition = self.edition(number)
        for job in self.jobs[-10:]:
            with contextlib.suppress(NotFound, Unavailable):
                process(job, self.parts(edition, job, 0))

    def start(self, work: Callable[[], object], steps: int) -> None:
        self.workers.append(interleaving.SteppedWorker(work))
        self.work(len(self.alive()) - 1, steps)

    def work(self, number: int, steps: int = 0) -> None:
        if alive := self.alive():
            worker = alive[number % len(alive)]
            for _ in range(steps or 1 + number % 5):
                if worker.alive:
                    worker.step()

    def crash(self, number: int) -> None:
        if alive := self.alive():
            alive[number % len(alive)].crash()

    def freeze(self, number: int) -> None:
        if self.indexes:
            index = list(self.indexes.values())[number % len(self.indexes)]
            index.limit = None if number % 3 == 0 else number % 8

    def alive(self) -> list[interleaving.SteppedWorker]:
        return [worker for worker in self.workers if worker.alive]

    # -- who drives the reindex

    def reencode(self, number: int) -> None:
        """Begin one, or do with the one there is what can be done with it in its phase."""
        there = self.reencoding.editions()
        later = there.later.number
        if there.phase is None:
            self.begin(number)
        elif number % 17 == 0:
            switched = there.phase is Phase.SWITCHED
            (self.reencoding.drop if switched else self.reencoding.cancel)(later)
        elif there.phase is Phase.BUILDING:
            self.build(number)
        elif there.phase is Phase.SWITCHED or number % 3 == 0:
            self.swap()

    def begin(self, number: int) -> None:
        served = self.reencoding.editions().served.model
        [model] = ENCODERS.keys() - {served}
        threshold = OTHER_THRESHOLDS[number % len(OTHER_THRESHOLDS)]
        there = self.reencoding.begin(model, threshold, "", "")
        self.known |= there.numbers
        self.told.complete = self.apart = False
        if isinstance(self.reencoding, MemoryReencoding):
            self.objects.update(self.reencoding.stores)

    def drop_some(self, number: int) -> None:
        del number
        self.reencoding.drop_some()

    def stand(self, number: int) -> None:
        """How the images stand, which may be otherwise by the time that one is carried over."""
        if other := self.reencoding.editions().other:
            portions = list(self.reencoding.images())
            some = portions[number % len(portions)]
            self.standings = self.reencoding.standing(other.number, some)

    def carry(self, number: int) -> None:
        other = self.reencoding.editions().other
        if self.standings and other:
            lacking = [one for one in self.standings if one.other not in LIVE] or self.standings
            stood = lacking[number % len(lacking)]
            with contextlib.suppress(Unavailable):
                self.carry_one(other.number, stood, number, LITTLE if number % 3 else ENOUGH)

    def carry_one(self, edition: int, stood: Standing, number: int, backlog: int) -> None:
        picture = HASHES.index(stood.image)
        url = next((url for url, shown in self.web.items() if shown == picture), URLS[0])
        name = stood.names[0] if stood.names else ""
        job = secrets.token_hex(8)
        carry = (
            Carry(stood.image, job, name, data=PICTURES[picture]),
            Carry(stood.image, job, name, data=PICTURES[picture]),
            Carry(stood.image, job, name, url=url),
            Carry(stood.image, job, name, code="no_source"),
        )[number % 4]
        carried = self.reencoding.carry(edition, carry, backlog)
        if carried is Carried.ACCEPTED:
            self.jobs.append(job)
        if carried is not Carried.NONE:
            names = self.service.store(edition).image(stood.image).names
            assert set(names) >= set(self.front.image(stood.image).names)

    def carry_all(self, number: int, *, again: bool) -> None:
        """All images of the edition that is served that are not in the other one, or failed."""
        other = self.reencoding.editions().other
        assert other is not None
        for portion in self.reencoding.images():
            for stood in self.reencoding.standing(other.number, portion):
                lacking = stood.state in LIVE and stood.other in (None, State.ERASED)
                failed = again and stood.other is State.FAILED
                if lacking or failed or stood.other is None:
                    how = 0 if failed else number
                    self.carry_one(other.number, stood, how, ENOUGH)

    def build(self, number: int) -> None:
        """As it should be, when all jobs that came before the edition have ended; or too early."""
        other = self.reencoding.editions().other
        assert other is not None
        if self.reencoding.lag(other.number).before == 0:
            self.carry_all(number, again=False)
            self.told.complete = True
            self.reencoding.built(other.number)
        elif number % 4 == 0:
            self.reencoding.built(other.number)

    def swap(self) -> None:
        there = self.reencoding.editions()
        switched = there.phase is Phase.SWITCHED
        (self.reencoding.rollback if switched else self.reencoding.switch)(there.later.number)
        assert there.other is not None
        store, missing = self.service.store(there.other.number), set[int]()
        for picture in self.told.uploaded():
            state, code = None, ""
            with contextlib.suppress(NotFound):
                shown = store.image(HASHES[picture])
                state, code = shown.state, shown.code
            if state in (None, State.ERASED):
                assert not self.told.complete or picture in self.told.missing
            assert (state is State.FAILED) == (code in OTHERS_CODES)
            if state not in LIVE and store.uploaded(HASHES[picture]) is None:
                missing.add(picture)
        self.told.missing, self.swapped, self.apart = missing, True, True

    # -- the store that loses its tail

    def remember(self, number: int) -> None:
        """From here on, what the store takes is not on its replica yet."""
        del number
        if isinstance(self.reencoding, MemoryReencoding):
            self.objects.update(self.reencoding.stores)
            stores = {
                number: {name: vars(store)[name] for name in REPLICATED - {"_numbers"}}
                for number, store in self.reencoding.stores.items()
            }
            last = self.reencoding.served()._numbers[0]
            # What was said, and not `fetched`: that is of pictures alone.
            own = {
                name: vars(self.reencoding)[name]
                for name in ("_about", "_last", "_ended", "_dropped")
            }
            self.remembered = copy.deepcopy((stores, own, last, self.told))

    def lose_the_tail(self, number: int) -> None:
        """The replica takes over, workers and indexes being where they are; the api repeats the
        erasures, which others do not wait for."""
        if self.remembered is None or not isinstance(self.reencoding, MemoryReencoding):
            return
        stores, own, last, told = self.remembered
        self.remembered = None
        erased = self.told.events
        vars(self.reencoding).update(own)
        self.reencoding.stores.clear()
        for edition, state in stores.items():
            vars(self.objects[edition]).update(state)
            self.reencoding.stores[edition] = self.objects[edition]
        self.reencoding.served()._numbers[0] = last
        told.events += [event for event in erased[len(told.events) :] if isinstance(event, int)]
        self.told, self.lost, self.apart = told, True, True
        for between in range(number % 4):
            (World.stand, World.carry, World.deliver)[between](self, number // 4)
        self.replay()

    # -- what it should come to

    def possible(self) -> set[int]:
        """Pictures that may be there: one was submitted, or fetched for a URL that was, and not
        erased since."""
        return {p for p in range(len(PICTURES)) if self.names(p)}

    def names(self, picture: int) -> set[str]:
        return {
            new.name
            for new in self.told.since(picture)
            if picture == new.picture or picture in self.fetched.get(new.job, ())
        }

    def settle(self) -> None:
        """Everything ends: deliveries, redeliveries, sweeps, what was given up."""
        for worker in self.workers:
            worker.finish()
            expected = (Unavailable, NotFound, *([Misconfigured] if self.lost else []))
            if worker.error is not None and not isinstance(worker.error, expected):
                raise worker.error
        for index in self.indexes.values():
            index.limit = None
        while not self.reencoding.drop_some():
            pass
        there = self.reencoding.editions()
        self.end_all(there.served.number)
        if there.other is not None:
            self.end_all(there.other.number)

    def end_all(self, edition: int) -> None:
        for job in self.jobs:
            with contextlib.suppress(NotFound):  # lost with the tail, or not in this edition
                process(job, self.parts(edition, job, 0))
        store = self.service.store(edition)
        for image in store.due_images(100, age=-1):
            finish(image, self.parts(edition, "", 1))
        for position in store.erasing():
            while not store.unlink(position):
                pass

    def check(self) -> None:
        self.look(0)
        there = self.reencoding.editions()
        served = self.live(there.served.number)
        assert self.told.uploaded() - self.told.missing <= served
        self.check_jobs()
        self.check_edition(there.served.number, served)
        if there.other is not None:
            self.check_other(there.other.number, served)
        assert self.leftovers(there.numbers) == []

    def check_jobs(self) -> None:
        """Every job that was acknowledged and not lost has ended as it should."""
        numbers = self.reencoding.editions().numbers
        for new in self.told.submissions():
            try:
                job = self.front.job(new.job)
            except NotFound:
                assert not new.editions & numbers
                continue
            assert job.state in (State.DONE, State.FAILED, State.ERASED)
            pictures = (
                {new.picture} if new.picture is not None else self.fetched.get(new.job, set())
            )
            if job.state is State.DONE:
                assert HASHES.index(job.image) in pictures
            elif job.state is State.ERASED:
                erased = [event for event in self.after(new) if isinstance(event, int)]
                assert HASHES.index(job.image) in erased if job.image else set(erased) & pictures
            else:
                refused = ("unreachable",) if new.picture is None else ()
                assert job.code in (*refused, *(self.codes(new) if self.swapped else ()))

    def codes(self, new: Submission) -> tuple[str, ...]:
        """Why a job may have failed in the edition that was not served."""
        return ("changed", "unreachable") if new.picture is None else ("backlog_full",)

    def after(self, new: Submission) -> list[Submission | int]:
        return self.told.events[self.told.events.index(new) + 1 :]

    def check_edition(self, edition: int, live: set[int]) -> None:
        """It holds what a plain reading of the submissions and erasures says of these pictures."""
        store = self.service.store(edition)
        assert live <= self.possible()
        for picture in live:
            page = store.matches(HASHES[picture], 100)
            assert page.image.state is State.DONE
            assert set(page.image.names) <= self.names(picture)
            found = [(match.hash, match.distance) for match in page.matches]
            threshold = store.collection().threshold
            assert sorted(found) == sorted(true_matches(picture, live, threshold))
        report = fsck.run(store)
        assert report.findings == ()
        assert report.unfinished == 0
        assert self.waiting(edition) == 0

    def check_other(self, edition: int, served: set[int]) -> None:
        self.check_other_jobs(edition)
        if not self.apart:
            assert self.live(edition) <= served
        lag = self.reencoding.lag(edition)
        assert (lag.before, lag.jobs, lag.images) == (0, 0, 0)
        store = self.service.store(edition)
        if self.told.complete and not self.apart:
            for picture in served - self.live(edition):
                assert store.image(HASHES[picture]).code in OTHERS_CODES
        for again in (False, True):
            self.carry_all(3 if again else len(self.jobs), again=again)
            self.end_all(edition)
            live = self.live(edition)
            self.check_edition(edition, live)
            for picture in served - live:
                shown = store.image(HASHES[picture])
                assert shown.state is State.FAILED
                assert shown.code in OTHERS_CODES
        # The bytes of all of them were there to be had.
        assert served <= live

    def check_other_jobs(self, edition: int) -> None:
        """Of a URL, no other picture is there than in the edition that is served."""
        if self.apart:
            return
        for new in self.told.submissions():
            if edition in new.editions:
                own, led = self.service.store(edition).job(new.job), self.front.job(new.job)
                if own.state is State.DONE:
                    assert (own.state, own.image) == (led.state, led.image)
                elif own.state is State.FAILED:
                    assert own.code == led.code or own.code in self.codes(new)
                else:
                    assert (own.state, led.state) == (State.ERASED, State.ERASED)

    def live(self, edition: int) -> set[int]:
        store = self.service.store(edition)
        found = set()
        for picture, image in enumerate(HASHES):
            with contextlib.suppress(NotFound):
                if store.image(image).state in LIVE:
                    found.add(picture)
        return found

    def waiting(self, edition: int) -> int:
        """Bytes that count as waiting for workers."""
        if self.service.client is None:
            store = self.service.store(edition)
            return sum(map(len, cast(MemoryStore, store)._blobs.values()))
        prefix = f"fm:{{default}}:{f'~{edition}:' if edition else ''}"
        blobs = self.service.client.keys(f"{prefix}blob:*")
        return int(self.service.client.hget(f"{prefix}meta", "backlog") or 0) + len(blobs)

    def leftovers(self, numbers: frozenset[int]) -> list[str]:
        """What is left of editions that were given up."""
        gone = self.known - numbers
        if self.service.client is None:
            return []
        keys = [key.decode().removeprefix("fm:{default}:") for key in self.service.client.keys("*")]
        shared = ("editions", "submissions")
        found = [key for key in keys if key.startswith(tuple(f"~{number}:" for number in gone))]
        if 0 in gone:
            found += [key for key in keys if not key.startswith("~") and key not in shared]
        return found
