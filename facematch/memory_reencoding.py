"""A reindex to another encoder in memory: the contract of `facematch.reencoding`, for tests."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from facematch.errors import Conflict, NotFound, Unavailable
from facematch.memory_store import MemoryStore
from facematch.reencoding import (
    Carried,
    Carry,
    Edition,
    Editions,
    Lag,
    Standing,
    no_such_edition,
)
from facematch.reindexing import Phase, wrong_phase
from facematch.store import (
    ALL,
    DEFAULT_BOUNDS,
    Bounds,
    Cursor,
    Erased,
    Filter,
    Image,
    Job,
    MatchPage,
    NewJob,
    ShownFaces,
    State,
)


class MemoryReencoding:
    """See facematch.reencoding.Reencoding. One lock stands for the atomicity of a script."""

    def __init__(self, first: MemoryStore) -> None:
        """`first`: edition 0."""
        self.stores = {0: first}
        self._lock = first._lock
        self._clock = first._clock
        self._about = Editions(Edition(0))
        self._settings: dict[int, tuple[str, str]] = {}
        self._last = 0
        self._ended = 0
        self._dropped: set[int] = set()
        self._watch(0, first)

    def editions(self) -> Editions:
        """See Reencoding."""
        with self._lock:
            other = self._about.other
            return replace(
                self._about,
                served=self._shown(self._about.served),
                other=self._shown(other) if other else None,
            )

    def _shown(self, edition: Edition) -> Edition:
        encoder, detector = self._settings.get(edition.number, ("", ""))
        edition = replace(edition, encoder=encoder, detector=detector)
        try:
            there = self.stores[edition.number].collection()
        except Unavailable:
            return edition
        served = there.generations[0]
        return replace(edition, model=there.model, threshold=served.threshold, bounds=served.bounds)

    def note(self, number: int, encoder: str, detector: str) -> None:
        """See Reencoding."""
        with self._lock:
            self._settings[number] = (encoder, detector)

    def begin(
        self,
        model: str,
        threshold: float,
        encoder: str,
        detector: str,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Editions:
        """See Reencoding."""
        with self._lock:
            served = self.served()
            pinned = served.collection()
            if self._about.other is not None or served._reindex is not None:
                raise Conflict("reindex_exists")
            if pinned.model == model:
                raise Conflict("same_model")
            self._last += 1
            new = MemoryStore(self._clock)
            new._lock, new._numbers = self._lock, served._numbers
            new._listeners = served._listeners
            new._happened, new._happenings = served._happened, served._happenings
            new.create(model, threshold, bounds=bounds)
            self._watch(self._last, new)
            self.stores[self._last] = new
            self._settings[self._last] = (encoder, detector)
            self._about = Editions(self._about.served, Edition(self._last))
            return self.editions()

    def _watch(self, number: int, store: MemoryStore) -> None:
        def leader() -> MemoryStore | None:
            served = self._about.served.number
            return None if number == served else self.stores[served]

        def follower() -> MemoryStore | None:
            other = self._about.other
            is_served = number == self._about.served.number
            return self.stores[other.number] if is_served and other else None

        store._number = number
        store._leader, store._follower = leader, follower

    def served(self) -> MemoryStore:
        """The store of the edition that is served."""
        return self.stores[self._about.served.number]

    def images(self) -> Iterator[list[str]]:
        """See Reencoding."""
        yield list(self.served()._images)

    def standing(self, number: int, images: Sequence[str]) -> list[Standing]:
        """See Reencoding."""
        with self._lock:
            there = self._other(number)
            return [self._standing(image, there) for image in images]

    def _standing(self, image: str, there: MemoryStore) -> Standing:
        own, other = _image(self.served(), image), _image(there, image)
        return Standing(
            image,
            own.state if own else None,
            own.faces_found if own else 0,
            other.state if other else None,
            other.code if other else "",
            other.faces_found if other else 0,
            tuple(own.names) if own else (),
        )

    def carry(self, number: int, carry: Carry, backlog: int) -> Carried:
        """See Reencoding."""
        with self._lock:
            there = self._other(number)
            leading = self.served()._images.get(carry.image)
            own = there._images.get(carry.image)
            done = (State.ACCEPTED, State.INDEXED, State.DONE)
            if leading is None or leading.image.state is State.ACCEPTED:
                return Carried.NONE
            if own is not None and own.image.state in done:
                return Carried.NONE
            if leading.image.state in (State.FAILED, State.ERASED):
                if own is None:
                    record = there._begin_life(carry.image, leading.image.nonce, 0)
                    record.image = replace(
                        record.image, state=leading.image.state, code=leading.image.code
                    )
                    record.erased_at = leading.erased_at
                return Carried.NONE
            if not carry.code:
                # It may be that of a life which was erased meanwhile.
                name = carry.name if carry.name in leading.names else min(leading.names, default="")
                job = NewJob(carry.job, name, carry.url, carry.image, carry.data)
                there.accept(job, backlog)
                # What ends this life of the image ends it in both editions.
                there._jobs[carry.job].number = leading.number
            record = there._expect(carry.image, leading.number)
            record.number = leading.number
            record.names |= leading.names
            if carry.code:
                record.image = replace(record.image, state=State.FAILED, code=carry.code)
                return Carried.FAILED
            return Carried.ACCEPTED

    def lag(self, number: int) -> Lag:
        """See Reencoding."""
        with self._lock:
            there, served = self._other(number), self.served()
            before = sum(job not in there._jobs for job in served._accepted())
            still = set(served._accepted())
            behind = sum(job not in still for job in there._accepted())
            return Lag(before, behind, len(there._pending))

    def built(self, number: int) -> None:
        """See Reencoding."""
        with self._lock:
            if self._phase(number) is Phase.BUILDING:
                self._about = replace(self._about, built=True)

    def switch(self, number: int) -> None:
        """See Reencoding."""
        self._swap(number, Phase.SWITCHED, "switched")

    def rollback(self, number: int) -> None:
        """See Reencoding."""
        self._swap(number, Phase.BUILT, "rolled back")

    def _swap(self, number: int, to: Phase, wanted: str) -> None:
        with self._lock:
            phase = self._phase(number)
            if phase is Phase.BUILDING:
                raise wrong_phase(phase, wanted)
            there = self._about
            if phase is not to and there.other:
                self._about = replace(there, served=there.other, other=there.served)

    def cancel(self, number: int) -> None:
        """See Reencoding."""
        self._end(number, "cancelled", lambda phase: phase is not Phase.SWITCHED)

    def drop(self, number: int) -> None:
        """See Reencoding."""
        self._end(number, "dropped", lambda phase: phase is Phase.SWITCHED)

    def _end(self, number: int, wanted: str, goes: Callable[[Phase], bool]) -> None:
        with self._lock:
            if self._about.other is None and self._ended == number:
                return
            phase = self._phase(number)
            if not goes(phase):
                raise wrong_phase(phase, wanted)
            if self._about.other:
                self._dropped.add(self._about.other.number)
                gone = self.stores[self._about.other.number]
                for known in (gone._jobs, gone._images, gone._pending):
                    known.clear()
            self._ended = number
            self._about = Editions(self._about.served)

    def drop_some(self, also: Callable[[int], object] = lambda number: None) -> bool:
        """See Reencoding."""
        with self._lock:
            for number in self._dropped:
                also(number)
                del self.stores[number]
            self._dropped.clear()
            return True

    def _other(self, number: int) -> MemoryStore:
        if self._about.other is None or self._about.other.number != number:
            raise no_such_edition()
        return self.stores[number]

    def _phase(self, number: int) -> Phase:
        phase = self._about.phase
        if phase is None or self._about.later.number != number:
            raise no_such_edition()
        return phase


class MemoryFront:
    """See facematch.store.Front."""

    def __init__(self, reencoding: MemoryReencoding) -> None:
        self._reencoding = reencoding

    def check(self) -> None:
        """See Front; always answers."""

    def accept(self, job: NewJob, backlog: int) -> Job:
        """See Front."""
        with self._reencoding._lock:
            self._reencoding.served().accept(job, backlog)
            if (other := self._other()) is not None:
                self._accept_in_other(other, job, backlog)
            edition = self._reencoding._about.served.number
            return replace(self.job(job.id), edition=edition)

    def _accept_in_other(self, other: MemoryStore, job: NewJob, backlog: int) -> None:
        try:
            other.accept(job, backlog)
        except Unavailable:
            other.accept(replace(job, data=b""), backlog)
            other.fail(job.id, "backlog_full", "", job.image)

    def job(self, job: str) -> Job:
        """See Front."""
        with self._reencoding._lock:
            other = self._other()
            try:
                return self._reencoding.served().job(job)
            except NotFound:
                if other is None:
                    raise
                return other.job(job)

    def erase(self, image: str, upto: int = 0) -> Erased:
        """See Front."""
        with self._reencoding._lock:
            served, other = self._reencoding.served(), self._other()
            known = image in served._images or (other is not None and image in other._images)
            if not upto and known:
                upto = served._next_number()
            erased = served.erase(image, upto)
            if other is not None:
                other.erase(image, erased.upto)
            return erased

    def unlink(self, position: int) -> bool:
        """See Front."""
        return self._reencoding.served().unlink(position)

    def image(self, image: str) -> Image:
        """See Front."""
        return self._reencoding.served().image(image)

    def thumbnail(self, image: str) -> bytes | None:
        """See Front."""
        return self._reencoding.served().thumbnail(image)

    def matches(
        self, image: str, limit: int, after: Cursor | None = None, only: Filter = ALL
    ) -> MatchPage:
        """See Front."""
        return self._reencoding.served().matches(image, limit, after, only)

    def shown_faces(self, positions: Sequence[int]) -> dict[int, ShownFaces]:
        """See Front."""
        return self._reencoding.served().shown_faces(positions)

    def listen(self, timeout: float) -> Iterator[str | None]:
        """See Front."""
        return self._reencoding.served().listen(timeout)

    def _other(self) -> MemoryStore | None:
        other = self._reencoding._about.other
        return self._reencoding.stores[other.number] if other else None


def _image(store: MemoryStore, image: str) -> Image | None:
    try:
        return store.image(image)
    except NotFound:
        return None
