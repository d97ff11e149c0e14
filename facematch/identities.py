"""Which person a group of faces is: ids stay where most of their faces are.

Used by `facematch.regrouping`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence


def identify(
    groups: Sequence[frozenset[int]],
    person_of: Mapping[int, str],
    named: Collection[str],
    new_id: Callable[[], str],
) -> list[str]:
    """The person of each group. `person_of`: whose face each was before, of those that were.

    An id goes to the group that has most of its faces. Where a group could have several ids, that
    of a person with a name comes first, then that with more faces in it, then the lower one. Groups
    that get none are new people.
    """
    shared: dict[tuple[str, int], int] = {}
    for number, faces in enumerate(groups):
        for face in faces:
            person = person_of.get(face)
            if person is not None:
                shared[person, number] = shared.get((person, number), 0) + 1

    def preference(pair: tuple[str, int]) -> tuple[bool, int, str, int]:
        person, number = pair
        return person not in named, -shared[pair], person, min(groups[number])

    ids: dict[int, str] = {}
    given: set[str] = set()
    for person, number in sorted(shared, key=preference):
        if person not in given and number not in ids:
            ids[number] = person
            given.add(person)
    return [ids.get(number) or new_id() for number in range(len(groups))]
