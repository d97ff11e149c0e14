"""Exports and imports in memory: the contract of `facematch.archiving`, for tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from facematch.archiving import (
    LEASE_SECONDS,
    MOST_ENTRIES,
    Arrival,
    Pinned,
    Reached,
    Record,
    Ticket,
)
from facematch.errors import Conflict, NotFound
from facematch.memory_store import MemoryStore
from facematch.store import State

_KNOWN = (State.INDEXED, State.DONE)


@dataclass
class _Import:
    """`position`: up to where it has written."""

    export: str
    position: int = 0
    ended: bool = False


class MemoryArchiving:
    """See facematch.archiving.Archiving. What is known of an import is kept in the store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    # -- export

    def records(self, positions: Sequence[int]) -> dict[int, Record]:
        """See Archiving."""
        with self._store._lock:
            there = self._store.images_at(positions)
            return {position: self._record(image) for position, image in there.items()}

    def faceless(self) -> Iterator[list[Record]]:
        """See Archiving."""
        with self._store._lock:
            known = [
                image
                for image, one in self._store._images.items()
                if one.image.state in _KNOWN and not one.image.position
            ]
            found = [self._record(image) for image in known]
        if found:
            yield found

    def last_number(self) -> int:
        """See Archiving."""
        return self._store._numbers[0]

    def _record(self, image: str) -> Record:
        return Record(self._store.image(image), self._store._images[image].number)

    # -- import

    def begin(self, ticket: Ticket, pinned: Pinned) -> Reached:
        """See Archiving."""
        store = self._store
        with store._lock:
            if store._pinned is None:
                raise NotFound("no_collection")
            position, about = store._tail().position, self._about()
            if about is not None and about.export == ticket.export and about.ended:
                return Reached(position, ended=True)
            if about is None or about.export != ticket.export:
                if position:
                    raise Conflict("not_empty")
                other = store._calibration and store._calibration != pinned.calibration
                if store._pinned[1] != pinned.model or other:
                    raise Conflict("other_model")
                store._import = _Import(ticket.export)
            self._go_on(ticket)
            if not position:
                number = store._served
                store._generations[number] = replace(pinned.generation, number=number)
                store._calibration = pinned.calibration
                store._numbers[0] = max(store._numbers[0], pinned.last_number)
            return Reached(position, min(store._pending.values(), default=0))

    def skip(self, ticket: Ticket, position: int) -> bool:
        """See Archiving."""
        with self._store._lock:
            about = self._go_on(ticket)
            last = min(position, about.position + MOST_ENTRIES)
            while about.position < last:
                self._nothing(about)
            return last == position

    def add(self, ticket: Ticket, arrivals: Sequence[Arrival]) -> list[str]:
        """See Archiving."""
        with self._store._lock:
            about, refused = self._go_on(ticket), []
            expected = about.position
            for arrival in arrivals:
                position = arrival.record.image.position
                if position > expected + 1:
                    raise Conflict("overtaken")
                expected = max(expected, position)
            for arrival in arrivals:
                image = arrival.record.image
                if 0 < image.position <= about.position:
                    continue
                before = self._store._images.get(image.hash)
                if before is not None and before.erased_at >= arrival.record.number:
                    refused.append(image.hash)
                    if image.position:
                        self._nothing(about)
                    continue
                self._take(arrival, about)
            return refused

    def link(self, ticket: Ticket, pairs: Sequence[tuple[int, int, float]]) -> None:
        """See Archiving."""
        store = self._store
        with store._lock:
            self._go_on(ticket)
            links = store._links[store._served]
            for one, other, score in pairs:
                if one in store._positions and other in store._positions:
                    links.setdefault(one, {})[other] = score
                    links.setdefault(other, {})[one] = score

    def settle(self, ticket: Ticket, images: Sequence[str]) -> None:
        """See Archiving."""
        store = self._store
        with store._lock:
            self._go_on(ticket)
            for image in images:
                record = store._images[image]
                if record.image.state is State.INDEXED:
                    record.image = replace(record.image, state=State.DONE)
                    store._pending.pop(image, None)
                    for job in record.jobs:
                        store._happen("done", image, job)
                    record.jobs.clear()

    def end(self, ticket: Ticket, pinned: Pinned) -> None:
        """See Archiving."""
        with self._store._lock:
            about = self._about()
            if about is not None and about.export == ticket.export and about.ended:
                return
            self._go_on(ticket).ended = True
            self._store._size = max(self._store._size, pinned.size)
            self._store.lease("import", ticket.holder, 0)

    def _about(self) -> _Import | None:
        about = self._store._import
        return about if isinstance(about, _Import) else None

    def _go_on(self, ticket: Ticket) -> _Import:
        store, about = self._store, self._about()
        if about is None or about.export != ticket.export or about.ended:
            raise NotFound("no_collection")
        if len(store._generations) > 1 or store._follower() or store._leader():
            raise Conflict("reindex_exists")
        if not store.lease("import", ticket.holder, LEASE_SECONDS):
            raise Conflict("overtaken")
        if store._tail().position != about.position:
            raise Conflict("overtaken")
        return about

    def _nothing(self, about: _Import) -> None:
        about.position = self._store._append("del", "", "")

    def _take(self, arrival: Arrival, about: _Import) -> None:
        store, image = self._store, arrival.record.image
        record = store._begin_life(image.hash, image.nonce, arrival.record.number)
        record.names.update(image.names)
        state = State.INDEXED if image.position else State.DONE
        record.image = replace(image, state=state, names=())
        store._blobs.pop(image.hash, None)
        faces = arrival.faces
        if image.position and faces is not None:
            about.position = store._append("add", image.hash, image.nonce)
            store._faces[image.position] = faces.pack()
            store._positions[image.position] = image.hash
            store._pending[image.hash] = image.position
            record.due = store._clock()
            store._live_faces += len(faces.encodings)
            store._size = max(store._size, faces.size, store._live_faces)
            if arrival.limit is not None:
                store._limits[store._served][image.position] = arrival.limit
        store._tell(f"image:{image.hash}")
