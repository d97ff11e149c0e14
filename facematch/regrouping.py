"""Keeps people up with the faces there are: groups anew what is marked, and all that hangs on it.

Whoever runs this, however often and in how many places at once: it reads, computes and then writes
only if nothing was written meanwhile, and a mark goes only with the look that was taken after it.
So a crash anywhere leaves marks, and people are right when no mark is left. Used by workers.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from facematch.calibration import calibration
from facematch.corrections import Apart, Correction, Corrections, FaceKey, Together
from facematch.face_graph import FaceGraph
from facematch.failpoints import reached
from facematch.grouping import group, limit_for, taken_for, touched
from facematch.identities import identify
from facematch.linkage import REACH
from facematch.people import Due, Grouping, People, Regrouped, Said, new_person_id
from facematch.store import Collection, Store

#: Images that are grouped anew together, and placements that are written by one call.
AT_ONCE = 200
_CHUNK = 1000
#: So many marks are looked at before it is asked whether there is room for more.
_TOGETHER = 20
#: Pairs of faces that are read for one look: some 20 bytes each. One person may have more.
MOST_PAIRS = 5_000_000


def regroup(
    store: Store,
    people: People,
    at_once: int = AT_ONCE,
    new_id: Callable[[], str] = new_person_id,
) -> bool:
    """Do a portion of what is to be done; whether there was anything. Nothing is grouped unless
    `may_group`.

    Raises Unavailable when the store does not answer.
    """
    due, collection = people.due(at_once), store.collection()
    if not may_group(collection):
        return False
    wanted = way_of(collection, due.false_pairs)
    if due.grouping != wanted or due.marking:
        if due.grouping != wanted:
            people.begin(wanted, due.false_pairs)
        reached("people_begun")
        for positions in store.live():
            people.mark(positions)
        people.mark((), last=wanted)
        return True
    if not due.marks:
        return False
    graph = graph_of(store, collection, wanted.reach)
    _Regrouping(people, graph, due, wanted.limit).run(new_id)
    return True


def may_group(collection: Collection) -> bool:
    """Whether faces are grouped at all: not where it is not known how sure a match is, without a
    calibration or with data before schema 2."""
    return bool(collection.calibration and collection.size)


def way_of(collection: Collection, false_pairs: float) -> Grouping:
    """How the faces of a collection are grouped.

    Not by pairs that its policy may have kept out, because of when their images came.
    """
    generation = collection.generations[0]
    limit = limit_for(collection.live_faces, false_pairs)
    reach = min(limit + REACH, generation.codes_to(taken_for(collection.size)))
    return Grouping(limit, reach, generation.number)


def graph_of(store: Store, collection: Collection, reach: int) -> FaceGraph:
    """The graph of what is served, of pairs up to a code."""
    return FaceGraph(store, collection.generations[0], calibration(collection.calibration), reach)


class _Regrouping:
    """One look at some marks."""

    def __init__(self, people: People, graph: FaceGraph, due: Due, limit: int) -> None:
        self._people, self._graph = people, graph
        self._due, self._limit = due, limit
        self._said = people.said()
        about = frozenset(chain.from_iterable(one.about for one in self._said))
        self._key_of = graph.keys_of(about)
        self._gone = about - self._key_of.keys()
        self._corrections = shown(self._said, graph)

    def run(self, new_id: Callable[[], str]) -> None:
        done, faces = self._take()
        groups, person_of = self._groups(faces)
        reached("people_grouped")
        named = self._people.named(sorted(set(person_of.values())))
        ids = identify(groups, person_of, named, new_id)
        placed = {
            face: person
            for person, faces in zip(ids, groups, strict=True)
            for face in sorted(faces)
            if person_of.get(face) != person
        }
        self._write(placed, done)

    def _take(self) -> tuple[dict[int, int], set[FaceKey]]:
        """The first marks, as many as there is room for, and from which faces on to look."""
        marks, done = list(self._due.marks.items()), dict[int, int]()
        faces = self._touched(self._said_with_the_gone())
        for start in range(0, len(marks), _TOGETHER):
            if done and self._graph.pairs > MOST_PAIRS:
                break
            some = dict(marks[start : start + _TOGETHER])
            faces |= self._touched(self._graph.keys(some.keys()))
            done |= some
        return done, faces

    def _touched(self, changed: set[FaceKey]) -> set[FaceKey]:
        return touched(changed, self._graph, self._corrections, self._limit)

    def _said_with_the_gone(self) -> set[FaceKey]:
        """Faces that were said to be of the person of one that is gone now."""
        return {
            self._key_of[face]
            for one in self._said
            if one.others is None and one.faces & self._gone
            for face in one.faces - self._gone
        }

    def _groups(
        self, faces: AbstractSet[FaceKey]
    ) -> tuple[Sequence[frozenset[int]], dict[int, str]]:
        """The groups of these faces and of all that their people have, and whose each was."""
        asked = set(faces)
        while True:
            found = group(faces, self._graph, self._corrections, self._limit)
            groups = [frozenset(map(self._graph.id_of, its)) for its in found]
            known = frozenset(chain.from_iterable(groups))
            person_of = self._people.placed(sorted(known))
            members = self._people.members(sorted(set(person_of.values())))
            others = self._graph.keys_of(frozenset(chain.from_iterable(members.values())) - known)
            # What was asked for before and is not among them has lost its faces: fsck says so.
            more = set(others.values()) - asked
            if not more:
                return groups, person_of
            asked |= more
            faces = more.union(*found)

    def _write(self, placed: dict[int, str], done: dict[int, int]) -> None:
        revision = self._due.revision
        moves = list(placed.items())
        for start in range(0, max(1, len(moves)), _CHUNK):
            last = start + _CHUNK >= len(moves)
            portion = Regrouped(
                revision,
                dict(moves[start : start + _CHUNK]),
                done if last else {},
                self._forgotten() if last else (),
            )
            written = self._people.commit(portion)
            if written is None:
                return  # what is marked still is
            revision = written
            reached("people_written")

    def _forgotten(self) -> list[Said]:
        """Corrections about faces that are gone, without these."""
        return [one.without(self._gone) for one in self._said if one.about & self._gone]


def shown(said: Sequence[Said], graph: FaceGraph) -> Corrections:
    """Corrections as grouping takes them, without faces that are gone."""
    key_of = graph.keys_of(frozenset(chain.from_iterable(one.about for one in said)))

    def keys(faces: frozenset[int]) -> frozenset[FaceKey]:
        return frozenset(key_of[face] for face in faces if face in key_of)

    def correction(one: Said) -> Correction:
        if one.others is None:
            return Together(keys(one.faces))
        return Apart(keys(one.faces), keys(one.others))

    return Corrections([correction(one) for one in said])
