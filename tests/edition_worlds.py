"""A small world for protocol tests of a collection with editions: what the api does, who drives a
reindex to another encoder, workers of both editions, and a web whose pictures change.

Its pictures are those of `worlds`. What it should come to is told from what was said to the api.
"""

import contextlib
import copy
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import interleaving
import pytest
from edition_services import ENCODERS, EditionStore, Service
from planted import PlantedEncoder
from worlds import HASHES, OTHER_THRESHOLDS, PICTURES, REPLICATED, THRESHOLD

from facematch.errors import NotFound, Rejected, Unavailable
from facematch.failed_jobs import Retried
from facematch.memory_reencoding import MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.reencoding import Carried, Carry, Standing
from facematch.reindexing import Phase
from facematch.store import Erased, NewJob, State, Store
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
        service.store(0).create(PlantedEncoder.model, THRESHOLD, PlantedEncoder.calibration)
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
        collection = store.create(store.collection().model, THRESHOLD, PlantedEncoder.calibration)
        model = collection.model
        if (edition, index) not in self.indexes:
            kept = cast(Store, EditionStore(lambda: self.service.store(edition), stepped=False))
            self.indexes[edition, index] = ExactNeighbours(kept)
        return Parts(
            cast(Store, EditionStore(lambda: self.service.store(edition), stepped=True)),
            self.indexes[edition, index],
            lambda url: self._fetch(job, url),
            DirectLooker(ENCODERS[model], LIMITS),
            model,
            10**6,
            calibration=collection.calibration,
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

    def retry(self, number: int) -> None:
        """A job that has failed is tried again."""
        failed = self.service.failed
        jobs = [one for code in sorted(failed.codes()) for one in failed.failed(code, 0, 100)]
        if jobs:
            chosen = jobs[number % len(jobs)].job
            if failed.retry(chosen) is Retried.ACCEPTED and number % 2:
                self.jobs.append(chosen)  # it is published

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
