"""Whether an index's answers are right for the places they state, by brute force in float64."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from histories import running
from indexes import FOREVER, ask, asking

from facematch.errors import Unavailable
from facematch.faces import Encodings, distances, positions_of
from facematch.log import Tail
from facematch.neighbours import Candidates, Neighbours, Pairs
from facematch.sidecar import Sidecar
from facematch.store import Store
from facematch.wire import Query

#: An answer may hold faces that are a little farther than the radius.
_MARGIN = 1 + 1e-4
_MOST_ENTRIES = 1_000_000


@dataclass
class _History:
    """One history of a log: the place behind each entry, whose entry it is, and until when the
    image of an added one lives."""

    tails: list[Tail]
    faces: dict[int, Encodings] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)

    def within(self, query: Query, radius: float, place: int, erased_too: bool = False) -> set[int]:
        """The positions of the images that match, as of a place; or of those, too, that were
        erased by then."""
        alive = [
            position
            for position in self.faces
            if position <= place
            and (erased_too or place < self.ends.get(position, FOREVER))
            and position < query.before
        ]
        return _within(query.encodings, radius, {each: self.faces[each] for each in alive})


class Truth:
    """Every history that a store's log has had, as far as it was read. Safe to share between
    threads; the log must not be trimmed before it was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._images: dict[str, Encodings] = {}
        self._histories: list[_History] = []
        self._of: dict[Tail, _History] = {}

    def know(self, image: str, faces: Encodings) -> None:
        """The faces of an image, told before it is submitted."""
        self._images[image] = faces

    def read(self) -> None:
        """Take in what the log has become. Raises Unavailable."""
        with self._lock:
            end = self._histories[-1].tails[-1] if self._histories else None
            log = self._store.log(end.position if end else 0, _MOST_ENTRIES)
            if end is None or log.start != end:
                log = self._store.log(0, _MOST_ENTRIES)
                assert log.start is not None
                self._histories.append(_History([log.start]))
                self._of[log.start] = self._histories[-1]
            history = self._histories[-1]
            for entry in log.entries:
                if entry.op == "add":
                    history.faces[entry.position] = self._images[entry.image]
                else:
                    history.ends[entry.target] = entry.position
                history.tails.append(entry.tail)
                self._of[entry.tail] = history

    def judge_pairs(self, query: Query, answer: Pairs) -> bool:
        """The same of each encoding. What is erased while it is searched may be in the answer."""
        told = True
        for number, encoding in enumerate(query.encodings):
            alone = Query(encoding[None], query.radius, query.before)
            faces = answer.faces[answer.numbers == number]
            assert len(np.unique(faces)) == len(faces)
            told &= self.judge(alone, Candidates(faces, answer.tail), erased_too=True)
        return told

    def judge(self, query: Query, answer: Candidates, erased_too: bool = False) -> bool:
        """AssertionError for a wrong answer. False when it cannot be told, because the log was
        never read at the place that the answer states: then no worker takes it either."""
        place = answer.tail
        if place not in self._of:
            # While it waits for its turn another may read this place, and the store go away.
            with suppress(Unavailable):
                self.read()
                taken = self._store.log(place.position, 0).start == place
                assert place in self._of or not taken, f"the log has {place}, and it was not read"
        with self._lock:
            history = self._of.get(place)
            if history is None:
                return False
            found = set(positions_of(answer.faces))
            missing = history.within(query, query.radius, place.position) - found
            most = history.within(query, query.radius * _MARGIN, place.position, erased_too)
            surplus = found - most
        assert not missing | surplus, f"at {place}: {missing} missing, {surplus} too many"
        return True


@dataclass
class Heard:
    """What a client was told, all the time: right answers, codes of refusals, errors."""

    right: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    elsewhere: int = 0
    wrong: list[BaseException] = field(default_factory=list)


@contextmanager
def asking_all_the_time(
    path: Path, truth: Truth, queries: list[Query], pause: float = 0.0
) -> Iterator[Heard]:
    """A client that asks the sidecar at this socket, in a thread, without an end, now with one of
    these queries, now for the pairs of several in one: every answer must be right for the place
    that it states, or a refusal that says so."""
    heard = Heard()

    def work(stop: threading.Event) -> None:
        rng = np.random.default_rng(len(queries))
        with asking(path) as sidecar:
            while not stop.wait(pause):
                query, *more = (queries[row] for row in rng.integers(len(queries), size=4))
                several = np.concatenate([query.encodings, *(each.encodings for each in more)])
                try:
                    if rng.random() < 0.5:
                        right = truth.judge(query, sidecar.within(query))
                    else:
                        query = replace(query, encodings=several)
                        right = truth.judge_pairs(query, sidecar.pairs(query))
                except Unavailable as error:
                    heard.refused[error.code] += 1
                    time.sleep(0.005)
                except BaseException as error:
                    heard.wrong.append(error)
                    return
                else:
                    heard.right += right
                    heard.elsewhere += not right

    with running(work, seconds=30):
        yield heard
    assert not heard.wrong, heard.wrong[0]
    assert heard.refused.keys() <= {"index_unavailable", "index_loading"}


def assert_equal_to_brute_force(neighbours: Neighbours, store: Store, queries: list[Query]) -> None:
    """AssertionError unless it soon answers as brute force does over what the store has now."""
    faces = store.faces(sorted(store.snapshot().positions))
    for query in queries:
        answer = ask(neighbours, store, query.encodings, query.radius)
        found = set(positions_of(answer.faces))
        assert _within(query.encodings, query.radius, faces) <= found
        assert found <= _within(query.encodings, query.radius * _MARGIN, faces)


def is_ready(sidecar: Sidecar, store: Store) -> bool:
    """Whether it is ready at the end of the log."""
    try:
        status, tail = sidecar.status(), store.collection().tail
    except Unavailable:
        return False
    return status.ready and (status.position, status.chain) == (tail.position, tail.chain)


def _within(encodings: Encodings, radius: float, faces: dict[int, Encodings]) -> set[int]:
    if not faces:
        return set()
    owners = np.repeat(list(faces), [len(each) for each in faces.values()])
    near = distances(encodings, np.concatenate(list(faces.values()))).min(axis=0) <= radius
    return set(owners[near].tolist())
