"""Compares the people that are kept with those that all faces, grouped anew, come to.

Used by `facematch people check`, and by tests when all is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from facematch.grouping import group
from facematch.people import People
from facematch.regrouping import graph_of, may_group, shown
from facematch.store import Store


@dataclass(frozen=True)
class Checked:
    """`wrong`: faces that are with other faces than they should be, by id; `ungrouped`: images that
    are still to be grouped anew, so that some may be."""

    faces: int
    people: int
    ungrouped: int
    wrong: tuple[int, ...]


def check(store: Store, people: People) -> Checked:
    """Group all faces, as people are grouped now, and compare. Raises Unavailable.

    It reads all matches; in a large collection that takes its time and memory."""
    due = people.due(1)
    positions = list(chain.from_iterable(store.live()))
    collection = store.collection()
    if due.grouping is None:
        return Checked(0, 0, len(positions) if may_group(collection) else 0, ())
    limit = due.grouping.limit
    graph = graph_of(store, collection, due.grouping.reach)
    said = people.said()
    keys = graph.keys(positions)
    found = group(keys, graph, shown(said, graph), limit)
    right = _whole(
        {graph.id_of(key): str(number) for number, faces in enumerate(found) for key in faces}
    )
    kept = _whole(people.placed(sorted(right)))
    wrong = sorted(face for face in right if kept.get(face) != right[face])
    ungrouped = len(positions) if due.marking else len(people.due(len(positions) + 1).marks)
    return Checked(len(right), len(set(kept.values())), ungrouped, tuple(wrong))


def _whole(person_of: Mapping[int, str]) -> dict[int, frozenset[int]]:
    """Of each face all those of its person."""
    faces: dict[str, list[int]] = {}
    for face, person in person_of.items():
        faces.setdefault(person, []).append(face)
    groups = [frozenset(its) for its in faces.values()]
    return {face: group for group in groups for face in group}
