"""A small world for protocol tests: a store, two workers' indexes, deliveries in hand.

Its pictures are few and match each other, so that whatever can collide does.
"""

import contextlib
import copy
import secrets
from typing import Any

import interleaving
import numpy as np
from planted import PlantedEncoder, pictures_of, planted_picture
from turning import turn

from facematch import fsck, people_check
from facematch.calibration import calibration
from facematch.encoding_model import encoding_model
from facematch.errors import Conflict, NotFound, Unavailable
from facematch.faces import distances, image_hash
from facematch.job import RangeMessage
from facematch.match_scores import UNRATED, codes_of, scores_of, split
from facematch.memory_people import MemoryPeople
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.people import place_of
from facematch.redis_people import RedisPeople
from facematch.regrouping import regroup
from facematch.reindexing import Phase, Reindex, Reindexing
from facematch.store import Bounds, NewJob, State, Store
from worker.looking import DirectLooker, PictureLimits
from worker.pipeline import Parts, finish, process
from worker.ranges import RangeParts, rebuild

THRESHOLD = 0.6
#: What else a policy may say: two of these leave out strangers once there are some faces.
OTHER_BOUNDS = (
    Bounds(),
    Bounds(max_false_matches=1.0),
    Bounds(max_matches=1),
    Bounds(max_false_matches=1.2, max_matches=2),
)
#: Some pairs are within each of them that are not within the one before.
OTHER_THRESHOLDS = (0.08, 0.15, THRESHOLD, 2.5)
CALIBRATION = calibration("dlib-1")
_rng = np.random.default_rng(7)
# Three pictures of one person, one of another, one of both: few, so that they meet often.
_one, _other = encoding_model().draw(2, _rng)
_encodings = [encoding[None] for encoding in pictures_of(_rng, _one, 3)]
_encodings.append(_other[None])
_encodings.append(np.stack([_one, _other]) + np.float32(0.001))
PICTURES = [planted_picture(encodings) for encodings in _encodings]
HASHES = [image_hash(picture) for picture in PICTURES]


_norms = [calibration("dlib-1").norms(encodings) for encodings in _encodings]


def true_matches(
    picture: int, live: set[int], threshold: float, highest: int = UNRATED
) -> list[tuple[str, float]]:
    """Those with codes up to the highest, and their distances to a millionth, as match sets have
    them."""
    found = [
        (HASHES[other], distance_of(picture, other))
        for other in live - {picture}
        if code_of(picture, other) <= highest
    ]
    return sorted((image, told(apart)) for image, apart in found if apart <= threshold)


def distance_of(picture: int, other: int) -> float:
    """The smallest of their faces."""
    return float(distances(_encodings[picture], _encodings[other]).min())


def code_of(picture: int, other: int) -> int:
    """How sure it is that two pictures show somebody: 0 to 15,344."""
    apart = distances(_encodings[picture], _encodings[other])
    rates = calibration("dlib-1").rates(apart, _norms[picture][:, None], _norms[other][None])
    return int(codes_of(rates.min()))


def told(distance: float) -> float:
    """A distance as it is told of a match."""
    return split(float(scores_of(0, distance)))[1]


REPLICATED = {
    *("_calibration", "_size", "_live_faces", "_limits"),
    *("_pinned", "_entries", "_first", "_numbers", "_jobs", "_images", "_blobs"),
    *(
        "_positions",
        "_faces",
        "_links",
        "_pending",
        "_erasing",
        "_generations",
        "_reindex",
        "_last_generation",
        "_dropped",
        "_served",
        "_people",
        "_marks",
        "_last_mark",
        "_person_of",
        "_revision",
        "_happened",
        "_happenings",
    ),
}


class World:
    """What a test does to it takes a number, so that hypothesis can choose among what there is."""

    def __init__(
        self,
        store: Store,
        reindexing: Reindexing | None = None,
        people: RedisPeople | MemoryPeople | None = None,
    ) -> None:
        self.store = store
        if isinstance(store, MemoryStore):
            reindexing, people = MemoryReindexing(store), MemoryPeople(store)
        assert reindexing is not None
        self.reindexing, self.people = reindexing, people
        store.create(PlantedEncoder.model, THRESHOLD, PlantedEncoder.calibration)
        limits = PictureLimits(max_pixels=10**6, max_side=0, max_faces=100)
        looker = DirectLooker(PlantedEncoder(), limits)
        self.indexes = [ExactNeighbours(store) for _ in range(2)]
        self.parts = [
            Parts(
                *(store, index, lambda url: b"", looker, PlantedEncoder.model, 10**6),
                calibration=PlantedEncoder.calibration,
            )
            for index in self.indexes
        ]
        self.jobs: list[str] = []
        self.workers: list[interleaving.SteppedWorker] = []
        self.live: set[int] = set()
        self.remembered: tuple[dict[str, Any], set[int]] | None = None

    def submit(self, number: int) -> None:
        picture = number % len(PICTURES)
        job = secrets.token_hex(8)
        data = PICTURES[picture]
        self.store.accept(NewJob(job, f"{picture}.png", "", HASHES[picture], data), 10**9)
        self.jobs.append(job)
        self.live.add(picture)

    def erase(self, number: int) -> None:
        if not self.live:
            return
        picture = sorted(self.live)[number % len(self.live)]
        erased = self.store.erase(HASHES[picture])
        self.live.discard(picture)
        page = self.store.matches(HASHES[picture], 10)
        assert page.image.state is State.ERASED
        assert page.matches == ()
        for _ in range(number % 3):
            self.store.unlink(erased.position)

    def deliver(self, number: int) -> None:
        if self.jobs:
            # Mostly fresh jobs, now and then an old one again.
            job = self.jobs[-1 - number % min(len(self.jobs), 3 if number % 4 else 100)]
            parts = self.parts[number % 2]
            self.workers.append(interleaving.SteppedWorker(lambda: process(job, parts)))
            self.work(len(self.alive()) - 1, steps=number % 7)

    def work(self, number: int, steps: int = 1) -> None:
        if alive := self.alive():
            worker = alive[number % len(alive)]
            for _ in range(steps):
                if worker.alive:
                    worker.step()

    def crash(self, number: int) -> None:
        if alive := self.alive():
            alive[number % len(alive)].crash()

    def reindex(self, number: int) -> None:
        """Begin one, or do with the one there is what can be done with it in its phase."""
        about = self.reindexing.current()
        if about is None:
            threshold = OTHER_THRESHOLDS[number % len(OTHER_THRESHOLDS)]
            bounds = OTHER_BOUNDS[number // len(OTHER_THRESHOLDS) % len(OTHER_BOUNDS)]
            self.reindexing.begin(threshold, span=1 + number % 3, bounds=bounds)
        elif turn(self.reindexing, about, ends=number % 20 == 0):
            return
        elif about.phase is Phase.PAUSED:
            self.reindexing.resume(about.id)
        elif number % 7 == 0:
            self.reindexing.pause(about.id)
        else:
            self.rebuild(about, number)

    def rebuild(self, about: Reindex, number: int) -> None:
        """Let a worker take up a range, which may be done or in work."""
        first = 1 + number % about.ranges * about.span
        parts = self.range_parts(number % 2)
        message = RangeMessage(about.id, first)
        self.workers.append(interleaving.SteppedWorker(lambda: rebuild(message, parts)))
        self.work(len(self.alive()) - 1, steps=number % 5)

    def range_parts(self, index: int) -> RangeParts:
        return RangeParts(self.store, self.reindexing, self.indexes[index])

    def group(self, number: int) -> None:
        """Let a worker group what is marked."""
        people = self.people
        assert people is not None
        self.workers.append(
            interleaving.SteppedWorker(lambda: regroup(self.store, people, 1 + number % 3))
        )
        self.work(len(self.alive()) - 1, steps=number % 4)

    def correct(self, number: int) -> None:
        """Say something about the people there are."""
        assert self.people is not None
        there = self.people.people(10).people
        if not there:
            return
        one, other = there[number % len(there)], there[number // 3 % len(there)]
        if number % 4 == 0:
            self.people.rename(one.id, f"name {number}")
        elif number % 4 == 1:
            self.people.merge(one.id, [other.id])
        else:
            face = self.people.person(one.id, 10).faces[number % one.faces]
            with contextlib.suppress(Conflict):
                self.people.split(one.id, [(face.image, face.number)], together=number % 4 == 2)

    def finish_groups(self) -> None:
        assert self.people is not None
        while regroup(self.store, self.people):
            pass

    def check_groups(self) -> None:
        """They are those that all faces grouped anew come to, and none is of an erased image."""
        assert self.people is not None
        checked = people_check.check(self.store, self.people)
        assert (checked.wrong, checked.ungrouped) == ((), 0)
        live = [self.store.image(HASHES[picture]) for picture in self.live]
        assert checked.faces == sum(len(image.boxes) for image in live)
        listed = self.people.people(100).people
        assert sum(person.faces for person in listed) == checked.faces
        assert len(listed) == checked.people
        for person in listed:
            assert len(self.people.person(person.id, 100).faces) == person.faces
        positions = {image.position for image in live}
        about = {face for said in self.people.said() for face in said.about}
        assert {place_of(face)[0] for face in about} <= positions

    def freeze(self, number: int) -> None:
        self.indexes[number % 2].limit = None if number % 3 == 0 else number % 8

    def remember(self, number: int) -> None:
        """From here on, what the store takes is not on its replica yet."""
        del number
        if isinstance(self.store, MemoryStore):
            state = {name: value for name, value in vars(self.store).items() if name in REPLICATED}
            self.remembered = copy.deepcopy(state), set(self.live)

    def lose_the_tail(self, number: int) -> None:
        """The replica takes over, workers and indexes being where they are."""
        del number
        if self.remembered is not None:
            state, live = self.remembered
            vars(self.store).update(state)
            self.live, self.remembered = live, None

    def look(self, number: int) -> None:
        del number
        hidden = {HASHES[picture] for picture in range(len(PICTURES)) if picture not in self.live}
        for picture in self.live:
            page = self.store.matches(HASHES[picture], 100)
            assert not hidden & {match.hash for match in page.matches}

    def alive(self) -> list[interleaving.SteppedWorker]:
        return [worker for worker in self.workers if worker.alive]

    def settle(self) -> None:
        """Everything ends: deliveries, redeliveries, sweeps."""
        for worker in self.workers:
            worker.finish()
            assert isinstance(worker.error, Unavailable | NotFound | None), worker.error
        for index in self.indexes:
            index.limit = None
        for job in self.jobs:
            with contextlib.suppress(NotFound):  # lost with the tail
                process(job, self.parts[0])
        for image in self.store.due_images(100, age=-1):
            finish(image, self.parts[1])
        for position in self.store.erasing():
            while not self.store.unlink(position):
                pass
        self.finish_reindex()

    def finish_reindex(self) -> None:
        about = self.reindexing.current()
        if about is not None and about.phase is Phase.PAUSED:
            self.reindexing.resume(about.id)
        while about is not None and (due := self.reindexing.due_ranges(100, age=-1)):
            for first in due:
                rebuild(RangeMessage(about.id, first), self.range_parts(0))
        while not self.reindexing.drop_some():
            pass
        about = self.reindexing.current()
        assert about is None or about.phase in (Phase.BUILT, Phase.SWITCHED)

    def check(self) -> None:
        """The store holds what a plain reading of the submissions and erasures says."""
        collection = self.store.collection()
        served = collection.generations[0]
        # By the faces that there ever were by now: so the order of arrival is all the same.
        highest = served.codes_to(collection.size)
        for picture, image in enumerate(HASHES):
            if picture in self.live:
                page = self.store.matches(image, 100)
                assert page.image.state is State.DONE
                found = [(match.hash, match.distance) for match in page.matches]
                expected = true_matches(picture, self.live, served.threshold, highest)
                if page.truncated:
                    assert served.bounds.max_matches is not None
                    assert len(found) <= served.bounds.max_matches
                    assert set(found) <= set(expected)
                else:
                    assert sorted(found) == expected
                scores = [match.score for match in page.matches]
                assert scores == sorted(scores)
            else:
                with contextlib.suppress(NotFound):
                    assert self.store.image(image).state is State.ERASED
        report = fsck.run(self.store)
        assert report.findings == ()
        assert report.unfinished == 0
