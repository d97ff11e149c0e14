"""The store in memory: the contract of `facematch.store` in plain Python, for tests."""

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from facematch.calibration import Norms
from facematch.collection_name import DEFAULT
from facematch.errors import Conflict, Misconfigured, NotFound, Unavailable
from facematch.events import EVENTS_KEPT
from facematch.faces import Encodings, face_ids
from facematch.job import new_job_id
from facematch.log import Entry, Op, Tail, genesis, next_chain
from facematch.match_scores import UNRATED, most_code, rate_of, scores_of, split
from facematch.store import (
    ALL,
    DEFAULT_BOUNDS,
    LINK_CHUNK,
    LINKER_SECONDS,
    WORK_SECONDS,
    Bounds,
    Chances,
    Collection,
    Commit,
    Committed,
    Cursor,
    Erased,
    Filter,
    Generation,
    Image,
    Job,
    Link,
    Linked,
    LogSlice,
    Match,
    MatchPage,
    NewJob,
    ShownFaces,
    Snapshot,
    State,
)
from facematch.stored_faces import StoredFaces


@dataclass(frozen=True)
class Happened:
    """A change that facematch.memory_events tells of."""

    id: str
    kind: str
    image: str
    job: str
    about: str
    time: float


@dataclass
class _Image:
    image: Image
    number: int  # of the submission that began this life of the image
    names: set[str] = field(default_factory=set)
    erased_at: int = 0  # submissions up to this number may not bring the image back
    linker: str = ""
    linked: int = 0
    linked_at: float = 0.0
    due: float = 0.0
    #: Jobs that are told of when it is done.
    jobs: list[str] = field(default_factory=list)
    thumbnail: bytes = b""
    bases: set[str] = field(default_factory=set)


@dataclass
class _Job:
    job: Job
    number: int
    due: float
    failed_at: float = 0.0
    found: bool = False  # its image was found by the failed attempt
    basis: str = ""


class MemoryStore:
    """See facematch.store.Store. One lock stands for the atomicity of a script."""

    def __init__(self, clock: Callable[[], float] = time.time, log_keep: int = 100_000) -> None:
        #: That of its collection.
        self.name = DEFAULT
        self._clock = clock
        self._log_keep = log_keep
        self._lock = threading.RLock()
        self._pinned: tuple[str, str] | None = None
        self._calibration: str | None = None
        self._size = self._live_faces = 0
        self._served = 0
        self._generations: dict[int, Generation] = {}
        self._last_generation = 0
        #: What facematch.memory_reindexing keeps here.
        self._reindex: object | None = None
        self._last_reindex = ""
        self._dropped: set[int] = set()
        self._entries: list[Entry] = []
        self._first = 1
        #: Of this edition; the last number given in any; the edition that this one follows, and
        #: the one that follows this one. See facematch.memory_reencoding.
        self._number = 0
        self._numbers = [0]
        self._leader: Callable[[], MemoryStore | None] = lambda: None
        self._follower: Callable[[], MemoryStore | None] = lambda: None
        self._jobs: dict[str, _Job] = {}
        self._images: dict[str, _Image] = {}
        self._blobs: dict[str, bytes] = {}
        #: Bytes that wait in other collections.
        self._elsewhere: Callable[[], int] = lambda: 0
        self._positions: dict[int, str] = {}
        self._faces: dict[int, bytes] = {}
        #: Of each generation: the scores of matches, and from which on they are left out.
        self._links: dict[int, dict[int, dict[int, float]]] = {}
        self._limits: dict[int, dict[int, float]] = {}
        self._pending: dict[str, int] = {}
        self._erasing: list[int] = []
        self._leases: dict[str, tuple[str, float]] = {}
        #: What facematch.memory_archiving keeps here.
        self._import: object | None = None
        #: What facematch.memory_people keeps here, with what changes it here.
        self._people: object | None = None
        self._marks: dict[int, int] = {}
        self._person_of: dict[int, str] = {}
        self._revision = self._last_mark = 0
        self._listeners: list[queue.SimpleQueue[str]] = []
        self._happened: deque[Happened] = deque(maxlen=EVENTS_KEPT)
        self._happenings = [0]

    def check(self) -> None:
        """See Store; always answers."""

    def empty(self) -> None:
        """Forget everything but the model and the policy that is served, and the numbers that were
        given: what `MemoryCollections.drop` makes of the default collection."""
        with self._lock:
            before, served = self.collection(), self.collection().generations[0]
            own = ("name", "_clock", "_log_keep", "_lock", "_listeners", "_numbers", "_elsewhere")
            kept = {name: getattr(self, name) for name in own}
            self.__init__(self._clock, self._log_keep)  # type: ignore[misc]
            self.__dict__.update(kept)
            self.create(before.model, served.threshold, before.calibration, served.bounds)

    def create(
        self, model: str, threshold: float, calibration: str = "", bounds: Bounds = DEFAULT_BOUNDS
    ) -> Collection:
        """See Store."""
        with self._lock:
            if self._pinned is None:
                self._pinned = (new_job_id(), model)
                self._generations = {0: Generation(0, threshold, bounds=bounds)}
                self._links, self._limits = {0: {}}, {0: {}}
            if self._pinned[1] == model and self._calibration is None:
                self._calibration = calibration
            return self.collection()

    def collection(self) -> Collection:
        """See Store."""
        with self._lock:
            if self._pinned is None:
                raise Unavailable("store_unavailable", "the collection was not created yet")
            epoch, model = self._pinned
            served_first = sorted(
                self._generations.values(), key=lambda one: (one.number != self._served, one.number)
            )
            return Collection(
                *(epoch, model, self._tail(), tuple(served_first)),
                *(self._calibration or "", self._size, self._live_faces),
            )

    # -- accept

    def accept(self, job: NewJob, backlog: int) -> Job:
        """See Store."""
        with self._lock:
            if job.id in self._jobs:
                return self._accepted_as(job.id)
            record = self._images.get(job.image)
            known = record is not None and _is_known(record.image.state)
            if job.data and not known and job.image not in self._blobs:
                elsewhere = self._elsewhere() if self._leader() is None else 0
                if self._waiting() + elsewhere + len(job.data) > backlog:
                    raise Unavailable("backlog_full")
                self._blobs[job.image] = job.data
            number = self._next_number()
            new = Job(
                *(job.id, State.ACCEPTED, job.name, job.url, job.image), submitted=number / 1e6
            )
            self._jobs[job.id] = _Job(new, number, self._clock(), basis=job.basis)
            if job.image:
                self._expect(job.image, number).names.add(job.name)
            if known:
                self._settle(job.id, State.INDEXED)
            return self._accepted_as(job.id)

    def _waiting(self) -> int:
        return sum(map(len, self._blobs.values()))

    def _accepted_as(self, job: str) -> Job:
        return replace(self.job(job), collection=self.name)

    def job(self, job: str) -> Job:
        """See Store."""
        with self._lock:
            found = self._jobs.get(job)
            if found is None:
                raise NotFound("not_found", f"no job {job}")
            if found.job.state is not State.INDEXED:
                return found.job
            record = self._images[found.job.image]
            state = State.ERASED if record.erased_at >= found.number else record.image.state
            faces = record.image.faces_found if _is_known(state) else None
            return replace(found.job, state=state, faces_found=faces)

    # -- work

    def begin(self, job: str) -> Job:
        """See Store."""
        with self._lock:
            found = self._jobs.get(job)
            if found is None:
                raise NotFound("not_found", f"no job {job}")
            in_hand, was_accepted = False, found.job.state is State.ACCEPTED
            if was_accepted and self._follow(found):
                return replace(found.job, follows=True)
            if found.job.state is State.ACCEPTED:
                in_hand = found.due > self._clock()
                found.job = replace(found.job, attempts=found.job.attempts + 1)
                found.due = self._clock() + WORK_SECONDS
                record = self._images.get(found.job.image)
                if record is not None and record.erased_at >= found.number:
                    self._settle(job, State.ERASED)
                elif record is not None and _is_known(record.image.state):
                    record.names.add(found.job.name)
                    self._settle(job, State.INDEXED)
            follower = self._follower()
            by = follower._number if follower else None
            settled = was_accepted and found.job.state is not State.ACCEPTED
            return replace(self.job(job), in_hand=in_hand, followed_by=by, settled=settled)

    def _follow(self, found: _Job) -> bool:
        """What became of a job in the other edition; whether that is still to be waited for, as it
        is if the other one is served."""
        leader, follower = self._leader(), self._follower()
        peer = leader or follower
        its = peer._jobs.get(found.job.id) if peer else None
        if its is None:
            return False
        if its.job.state is State.INDEXED:
            if found.job.url:
                found.job = replace(found.job, image=its.job.image)
                record = self._images.get(its.job.image)
                if record is None or record.erased_at < found.number:
                    self._expect(its.job.image, found.number).names.add(found.job.name)
        elif leader is None:
            return False
        elif its.job.state is State.ACCEPTED:
            found.due = self._clock()
            return True
        elif its.job.state is State.FAILED:
            self.fail(found.job.id, its.job.code, its.job.detail, its.job.image)
        elif its.job.state is State.ERASED:
            self._settle(found.job.id, State.ERASED)
        return False

    def hold(self, jobs: Sequence[str]) -> None:
        """See Store."""
        with self._lock:
            for job in set(jobs).intersection(self._accepted()):
                self._jobs[job].due = self._clock() + WORK_SECONDS

    def give_back(self, job: str) -> None:
        """See Store."""
        with self._lock:
            found = self._jobs.get(job)
            if found is not None and found.job.state is State.ACCEPTED and found.job.attempts:
                found.job = replace(found.job, attempts=found.job.attempts - 1)

    def uploaded(self, image: str) -> bytes | None:
        """See Store."""
        with self._lock:
            return self._blobs.get(image)

    def commit(self, commit: Commit) -> Committed:
        """See Store."""
        with self._lock:
            found = self._jobs.get(commit.job)
            if found is None:
                raise NotFound("not_found", f"no job {commit.job}")
            if commit.model != self.collection().model:
                raise Misconfigured(f"the collection is not of the model {commit.model}")
            if self._leases.get("import", ("", 0.0))[1] > self._clock():
                raise Unavailable("store_unavailable", "an export is being imported")
            if found.job.state in (State.FAILED, State.ERASED):
                return Committed(found.job.state)
            if found.job.state is State.INDEXED and found.job.image != commit.image:
                image = self._images[found.job.image].image
                if not _is_known(image.state):
                    return Committed(State.ERASED)
                return Committed(image.state, image.position, image.nonce)
            record = self._images.get(commit.image)
            if record is not None and record.erased_at >= found.number:
                self._settle(commit.job, State.ERASED)
                return Committed(State.ERASED)
            if record is None or record.image.state in (State.FAILED, State.ERASED):
                record = self._begin_life(commit.image, commit.nonce, found.number)
            if not _is_known(record.image.state):
                self._place(record, commit)
            record.names.add(found.job.name)
            found.job = replace(found.job, image=commit.image)
            self._settle(commit.job, State.INDEXED)
            self._blobs.pop(commit.image, None)
            image = record.image
            return Committed(image.state, image.position, image.nonce)

    def _place(self, record: _Image, commit: Commit) -> None:
        image = replace(
            record.image,
            state=State.DONE,
            model=commit.model,
            boxes=tuple(face.box for face in commit.faces),
            width=commit.width,
            height=commit.height,
            faces_found=commit.faces_found,
            code="",
        )
        if commit.faces:
            position = self._append("add", commit.image, image.nonce)
            image = replace(image, state=State.INDEXED, position=position)
            self._size += len(commit.faces)
            self._live_faces += len(commit.faces)
            encodings = np.stack([face.encoding for face in commit.faces])
            self._faces[position] = StoredFaces(encodings, commit.norms, self._size).pack()
            self._positions[position] = commit.image
            self._pending[commit.image] = position
            record.due = self._clock()
        record.image = image
        record.thumbnail = commit.thumbnail
        self._tell(f"image:{commit.image}")

    def fail(self, job: str, code: str, detail: str, image: str = "") -> None:
        """See Store."""
        with self._lock:
            found = self._jobs.get(job)
            if found is None or found.job.state is not State.ACCEPTED:
                return
            found.found = bool(image) and not found.job.image
            found.failed_at = self._clock()
            image = image or found.job.image
            found.job = replace(found.job, code=code, detail=detail, image=image)
            self._settle(job, State.FAILED)
            record = self._images.get(image)
            if found.job.url and image in self._blobs:
                return  # its bytes were uploaded by another job
            if record is not None and record.image.state is State.ACCEPTED:
                record.image = replace(record.image, state=State.FAILED, code=code)
                self._blobs.pop(image, None)
                self._tell(f"image:{image}")

    # -- match

    def log(self, after: int, limit: int) -> LogSlice:
        """See Store."""
        with self._lock:
            tail = self._tail()
            start: Tail | None = None
            if after == 0:
                start = genesis(self.collection().epoch)
            elif self._first <= after <= tail.position:
                start = self._entries[after - self._first].tail
            skip = max(after + 1, self._first) - self._first
            return LogSlice(start, tail, tuple(self._entries[skip : skip + limit]))

    def faces(self, positions: Sequence[int]) -> dict[int, Encodings]:
        """See Store."""
        with self._lock:
            stored = self._stored(positions)
            return {position: faces.encodings for position, faces in stored.items()}

    def faces_as_of(self, positions: Sequence[int]) -> tuple[dict[int, StoredFaces], Tail]:
        """See Store."""
        with self._lock:
            return self._stored(positions), self.collection().tail

    def _stored(self, positions: Iterable[int]) -> dict[int, StoredFaces]:
        return {at: StoredFaces.unpack(self._faces[at]) for at in positions if at in self._faces}

    def add_norms(self, norms: Mapping[int, Norms]) -> None:
        """See Store."""
        with self._lock:
            for position, faces in self._stored(norms).items():
                if faces.norms is None and len(faces.encodings) == len(norms[position]):
                    whole = replace(faces, norms=norms[position], size=self._size)
                    self._faces[position] = whole.pack()

    def count_faces(self, positions: Sequence[int]) -> int:
        """See Store."""
        return sum(map(len, self.faces(positions).values()))

    def link(self, link: Link) -> Linked:
        """See Store."""
        with self._lock:
            record = self._images.get(link.image)
            place = link.committed
            if record is None or (record.image.position, record.image.nonce) != (
                place.position,
                place.nonce,
            ):
                return Linked.GONE
            if record.image.state is not State.INDEXED:
                return Linked.DONE if record.image.state is State.DONE else Linked.GONE
            if self.log(link.seen.position, 0).start != link.seen:
                return Linked.MOVED
            collection, size = self.collection(), self._size_at(place.position)
            if collection.reach > link.reach or collection.codes_to(size) > link.codes_to:
                return Linked.MOVED
            if any(self._unrated(number, link.calibration) for number in self._generations):
                return Linked.MOVED
            if link.offset > 0 and (record.linker, record.linked) != (link.token, link.offset):
                return Linked.SUPERSEDED
            recent = self._clock() - record.linked_at < LINKER_SECONDS
            if link.offset == 0 and record.linker not in ("", link.token) and recent:
                return Linked.SUPERSEDED
            for generation in list(self._generations.values()):
                self._note_exactness(generation.number, place.position, link.exact)
                codes = link.codes or [UNRATED] * len(link.pairs)
                found = [(*pair, code) for pair, code in zip(link.pairs, codes, strict=True)]
                self._write(generation.number, place.position, found)
            if not link.last:
                record.linker, record.linked = link.token, link.offset + len(link.pairs)
                record.linked_at = self._clock()
                return Linked.WRITTEN
            record.linker = ""
            record.image = replace(record.image, state=State.DONE)
            del self._pending[link.image]
            self._mark(place.position)
            self._tell(f"image:{link.image}")
            for job in record.jobs or [""]:
                self._happen("done", link.image, job)
            record.jobs.clear()
            self._happen("linked", link.image, "", str(place.position))
            return Linked.DONE

    def _note_exactness(self, number: int, position: int, exact: bool) -> None:
        """That an image, or a range from there on, was linked with such an answer."""
        generation = self._generations[number]
        since = generation.approximate_since
        if not exact and (since is None or position < since):
            self._generations[number] = replace(generation, approximate_since=position)

    def _unrated(self, number: int, calibration: str) -> bool:
        """Whether what was found lacks the rates that a generation is to have."""
        pinned = self._calibration or ""
        return self._generations[number].scored and pinned not in ("", calibration)

    def _size_at(self, position: int) -> int:
        """The faces that had been committed with the image there."""
        return self._stored([position])[position].size or self._size

    def _write(self, number: int, position: int, found: Sequence[tuple[int, float, int]]) -> None:
        """Matches of an image, in both directions: other, distance, code. But for what the policy
        keeps out, and where one of the two was erased since the query."""
        if position not in self._positions:
            return
        generation = self._generations[number]
        links, limits = self._links[number], self._limits[number]
        highest = generation.codes_to(self._size_at(position))
        own = links.setdefault(position, {})
        new: list[int] = []
        for other, distance, code in found:
            if other not in self._positions or distance > generation.threshold or code > highest:
                continue
            score = float(scores_of(code, distance)) if generation.scored else distance
            if score < min(limits.get(position, math.inf), limits.get(other, math.inf)):
                own[other] = score
                new.append(other)
            else:
                limits.setdefault(position, math.inf)
                limits.setdefault(other, math.inf)
        # What it has no room for goes before it is in the others' sets.
        self._leave_out(number, position)
        for other in new:
            if other in own:
                links.setdefault(other, {})[position] = own[other]
                self._leave_out(number, other)

    def _leave_out(self, number: int, position: int) -> None:
        """The least certain matches of an image go, from both images, until there is room."""
        links, limits = self._links[number], self._limits[number]
        own, most = links[position], self._generations[number].bounds.max_matches
        while most is not None and len(own) > most:
            last = _in_order(own)[-1]
            limits[position] = own.pop(last)
            limits.setdefault(last, math.inf)
            links.get(last, {}).pop(position, None)
            if number == self._served:
                self._mark(position)
                self._mark(last)

    # -- erase

    def erase(self, image: str, upto: int = 0) -> Erased:
        """See Store."""
        with self._lock:
            record = self._images.get(image)
            if record is None:
                if not upto:
                    raise NotFound("not_found", f"no image {image}")
                self._images[image] = _Image(Image(image, State.ERASED), 0, erased_at=upto)
                return Erased(image, upto)
            upto = upto or self._next_number()
            record.erased_at = max(record.erased_at, upto)
            if record.number > upto:
                return Erased(image, upto)
            old = record.image
            if old.state is not State.ERASED:
                self._end_life(record)
            return Erased(image, upto, old.position)

    def _end_life(self, record: _Image) -> None:
        old = record.image
        if old.position:
            self._append("del", old.hash, old.nonce, old.position)
            self._positions.pop(old.position)
            gone = StoredFaces.unpack(self._faces.pop(old.position))
            self._live_faces -= len(gone.encodings)
            self._pending.pop(old.hash, None)
            self._erasing.append(old.position)
            self._mark(old.position)
            for face in face_ids(old.position, len(old.boxes)).tolist():
                self._revision += self._person_of.pop(face, None) is not None
        self._blobs.pop(old.hash, None)
        record.names.clear()
        record.bases.clear()
        record.thumbnail = b""
        record.image = Image(old.hash, State.ERASED, position=old.position)
        record.jobs.clear()
        self._tell(f"image:{old.hash}")
        self._happen("erased", old.hash)

    def unlink(self, position: int) -> bool:
        """See Store."""
        with self._lock:
            if position not in self._erasing:
                return True
            for number, links in self._links.items():
                own = links.get(position, {})
                others = _in_order(own)[:LINK_CHUNK]
                for other in others:
                    del own[other]
                    links.get(other, {}).pop(position, None)
                    if number == self._served:
                        self._mark(other)
                if others:
                    return False
                links.pop(position, None)
                self._limits[number].pop(position, None)
            self._erasing.remove(position)
            return True

    def erasing(self) -> list[int]:
        """See Store."""
        with self._lock:
            return list(self._erasing)

    # -- sweep

    def due_jobs(self, limit: int, age: float) -> list[str]:
        """See Store."""
        with self._lock:
            now = self._clock()
            due = [job for job in self._accepted() if now - self._jobs[job].due >= age][:limit]
            for job in due:
                self._jobs[job].due = now
            return due

    def due_images(self, limit: int, age: float) -> list[str]:
        """See Store."""
        with self._lock:
            now = self._clock()
            pending = sorted(self._pending, key=self._pending.__getitem__)
            due = [image for image in pending if now - self._images[image].due >= age][:limit]
            for image in due:
                self._images[image].due = now
            return due

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """See Store."""
        with self._lock:
            if self._pinned is None:
                return False
            now = self._clock()
            owner, until = self._leases.get(name, (holder, now))
            if owner != holder and until > now:
                return False
            self._leases[name] = (holder, now + seconds)
            return seconds > 0

    # -- read

    def image(self, image: str) -> Image:
        """See Store."""
        with self._lock:
            record = self._images.get(image)
            if record is None:
                raise NotFound("not_found", f"no image {image}")
            names, bases = (tuple(sorted(one)) for one in (record.names, record.bases))
            return replace(record.image, names=names, bases=bases)

    def thumbnail(self, image: str) -> bytes | None:
        """See Store."""
        with self._lock:
            record = self._images.get(image)
            return (record.thumbnail or None) if record else None

    def images_at(self, positions: Sequence[int]) -> dict[int, str]:
        """See Store."""
        with self._lock:
            return {at: self._positions[at] for at in positions if at in self._positions}

    def matches(
        self, image: str, limit: int, after: Cursor | None = None, only: Filter = ALL
    ) -> MatchPage:
        """See Store."""
        with self._lock:
            shown = self.image(image)
            generation = self._generations.get(self._served)
            rated = generation is not None and generation.scored and bool(self._calibration)
            if only.max_false_matches is not None and generation is not None and not rated:
                raise Conflict("no_rates")
            hidden = shown.state is State.ERASED
            links = self._links.get(self._served, {}).get(shown.position, {}) if not hidden else {}
            ordered = sorted((score, str(other)) for other, score in links.items())
            if after is not None:
                ordered = [key for key in ordered if key > (after.score, str(after.position))]
            page = [
                self._match(hash_, int(other), score, rated)
                for score, other in ordered
                if (hash_ := self._positions.get(int(other))) and self._listed(score, only)
            ]
            more = len(page) > limit
            page = page[:limit]
            complete = min(self._pending.values(), default=self._tail().position + 1) - 1
            since = generation.approximate_since if generation else None
            limits = self._limits.get(self._served, {})
            return MatchPage(
                *(shown, tuple(page), complete),
                threshold=generation.threshold if generation else None,
                next=Cursor(page[-1].score, page[-1].position) if more else None,
                exact=since is None or complete < since,
                bounds=generation.bounds if generation else None,
                truncated=shown.position in limits,
                chances=self._chances(shown.position) if rated else None,
            )

    def _listed(self, score: float, only: Filter) -> bool:
        """Whether a match of what is served is asked for, and by its policy listed by now."""
        generation = self._generations[self._served]
        code, distance = split(score) if generation.scored else (0, score)
        asked = int(most_code(only.max_false_matches, self._size))
        near = only.max_distance is None or distance <= only.max_distance
        return near and code <= min(asked, generation.codes_to(self._size))

    def _match(self, hash_: str, position: int, score: float, rated: bool) -> Match:
        scored = self._generations[self._served].scored
        code, distance = split(score) if scored else (0, score)
        rate = rate_of(code) if rated else None
        return Match(hash_, self.image(hash_).names, distance, position, rate, score)

    def _chances(self, position: int) -> Chances | None:
        faces = self._stored([position]).get(position)
        if faces is None or faces.norms is None:
            return None
        norms = tuple((float(mean), float(deviation)) for mean, deviation in faces.norms)
        others = self._live_faces - len(faces.encodings)
        left_out = self._limits[self._served].get(position, math.inf)
        codes_to = UNRATED if left_out == math.inf else split(left_out)[0]
        return Chances(self._calibration or "", norms, self._size, others, codes_to)

    def shown_faces(self, positions: Sequence[int]) -> dict[int, ShownFaces]:
        """See Store."""
        with self._lock:
            found = {}
            for position, stored in self._stored(positions).items():
                shown = self.image(self._positions[position])
                found[position] = ShownFaces(shown.hash, shown.names, shown.boxes, stored)
            return found

    def listen(self, timeout: float) -> Iterator[str | None]:
        """See Store."""
        events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listeners.append(events)
        try:
            yield None
            while True:
                try:
                    yield events.get(timeout=timeout)
                except queue.Empty:
                    yield None
        finally:
            self._listeners.remove(events)

    # -- load and check

    def live(self) -> Iterator[list[int]]:
        """See Store."""
        with self._lock:
            portion = list(self._positions)
        yield portion

    def snapshot(self) -> Snapshot:
        """See Store."""
        with self._lock:
            return Snapshot(
                self.collection(),
                dict(self._positions),
                dict(self._pending),
                {job: self._jobs[job].due for job in self._accepted()},
                tuple(self._erasing),
                tuple(self._entries),
            )

    def linked(self, positions: Sequence[int], generation: int) -> dict[int, dict[int, float]]:
        """See Store."""
        with self._lock:
            scores, about = self.scores(positions, generation), self._generations.get(generation)
            if about is None or not about.scored:
                return scores
            return {
                position: {other: split(score)[1] for other, score in own.items()}
                for position, own in scores.items()
            }

    def limits(self, generation: int) -> dict[int, float]:
        """See Store."""
        with self._lock:
            return dict(self._limits.get(generation, {}))

    def scores(self, positions: Sequence[int], generation: int) -> dict[int, dict[int, float]]:
        """See Store."""
        with self._lock:
            links = self._links.get(generation, {})
            return {position: dict(links.get(position, {})) for position in positions}

    # -- inside

    def _mark(self, position: int) -> None:
        """The image is to be grouped anew, if any are; see facematch.people."""
        if not self._calibration:
            return
        self._last_mark += 1
        self._marks.pop(position, None)
        self._marks[position] = self._last_mark

    def _tail(self) -> Tail:
        if self._entries:
            return self._entries[-1].tail
        return genesis(self._pinned[0] if self._pinned else "")

    def _append(self, op: Op, image: str, nonce: str, target: int = 0) -> int:
        tail = self._tail()
        position = tail.position + 1
        chain = next_chain(tail.chain, position, op, image, nonce)
        self._entries.append(Entry(position, op, image, nonce, target or position, chain))
        surplus = len(self._entries) - self._log_keep
        if surplus > 0:
            del self._entries[:surplus]
            self._first += surplus
        return position

    def _expect(self, image: str, number: int) -> _Image:
        """The image that is waited for; it begins a life unless it has one."""
        record = self._images.get(image)
        if record is None or record.image.state in (State.FAILED, State.ERASED):
            record = self._begin_life(image, new_job_id(), number)
        return record

    def _begin_life(self, image: str, nonce: str, number: int) -> _Image:
        before = self._images.get(image)
        fresh = Image(image, State.ACCEPTED, nonce=nonce)
        record = _Image(fresh, number, erased_at=before.erased_at if before else 0)
        self._images[image] = record
        return record

    def _next_number(self) -> int:
        self._numbers[0] = max(self._numbers[0] + 1, int(self._clock() * 1e6))
        return self._numbers[0]

    def _accepted(self) -> list[str]:
        return [name for name, job in self._jobs.items() if job.job.state is State.ACCEPTED]

    def _settle(self, job: str, state: State) -> None:
        before = self._jobs[job].job.state
        settled = self._jobs[job].job = replace(self._jobs[job].job, state=state)
        self._tell(f"job:{job}")
        if before is state:
            return
        if state is not State.FAILED and (basis := self._jobs[job].basis):
            if state is State.INDEXED:
                self._images[settled.image].bases.add(basis)
            self._jobs[job].basis = ""
        if state is not State.INDEXED:
            self._happen(str(state), settled.image, job, settled.code)
        elif self._images[settled.image].image.state is State.DONE:
            self._happen("done", settled.image, job)
        else:
            self._images[settled.image].jobs.append(job)

    def _happen(self, kind: str, image: str, job: str = "", about: str = "") -> None:
        """What whoever listens is to hear, told of the edition that is served."""
        if self._leader() is None:
            self._happenings[0] += 1
            entry = f"{self._happenings[0]}-0"
            self._happened.append(Happened(entry, kind, image, job, about, self._clock()))

    def _tell(self, event: str) -> None:
        for listener in self._listeners:
            listener.put(event)


def _in_order(own: Mapping[int, float]) -> list[int]:
    """The other images of a match set, as Redis has them: of one score, in the order of text."""
    return sorted(own, key=lambda peer: (own[peer], str(peer)))


def _is_known(state: State) -> bool:
    return state in (State.INDEXED, State.DONE)
