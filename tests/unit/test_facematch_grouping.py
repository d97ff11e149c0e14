"""Faces are grouped alike in any order, step by step and anew; what was said holds."""

import random
from collections.abc import Mapping

import pytest
from grouped import DrawnGraph
from hypothesis import given, settings
from hypothesis import strategies as st

from facematch import linkage
from facematch.corrections import Apart, Correction, Corrections, FaceKey, Together
from facematch.grouping import group, limit_for, taken_for, touched
from facematch.linkage import DOUBT, REACH, link
from facematch.match_scores import codes_of

LIMIT = 10_000
FACES: list[FaceKey] = [(f"{number:02}", face) for number in range(7) for face in range(2)]
PAIRS = [
    frozenset((one, other)) for one in FACES for other in FACES if one < other and one[0] < other[0]
]

#: Few different ones, so that many tie.
drawn_codes = st.sampled_from(
    [LIMIT - 2000, LIMIT - 500, LIMIT, LIMIT + 1, LIMIT + 900, LIMIT + REACH]
)
drawn_pairs = st.dictionaries(st.sampled_from(PAIRS), drawn_codes, min_size=5, max_size=len(PAIRS))
some_faces = st.frozensets(st.sampled_from(FACES), min_size=1, max_size=4)


@st.composite
def corrections(draw: st.DrawFn) -> Correction:
    faces = draw(some_faces)
    if draw(st.booleans()):
        return Together(faces)
    return Apart(faces, draw(some_faces) - faces)


drawn_corrections = st.lists(corrections(), max_size=6)


def grouped(graph: DrawnGraph, said: Corrections) -> set[frozenset[FaceKey]]:
    return set(group(graph.faces, graph, said, LIMIT))


@settings(max_examples=150, deadline=None)
@given(drawn_pairs, drawn_corrections, st.randoms(use_true_random=False))
def test_the_order_makes_no_difference(
    pairs: dict[frozenset[FaceKey], int], said: list[Correction], rng: random.Random
) -> None:
    def shuffled(graph: DrawnGraph) -> DrawnGraph:
        items = list(pairs.items())
        rng.shuffle(items)
        return DrawnGraph(dict(items), rng.sample(FACES, len(FACES)))

    graph = DrawnGraph(pairs, FACES)
    first = group(FACES, graph, Corrections(said), LIMIT)
    other = shuffled(graph)
    again = group(rng.sample(FACES, len(FACES)), other, Corrections(said), LIMIT)
    assert first == again
    assert sorted(face for faces in first for face in faces) == sorted(FACES)


def test_a_pair_that_came_while_it_was_read_does_no_harm() -> None:
    one, other, third = FACES[:3]
    near = {one: {other: 0}, other: {one: 0, third: 0}, third: {}}
    clusters = link(Corrections().settle([one, other, third]), near, LIMIT)
    assert [cluster.faces for cluster in clusters] == [[one, other], [third]]


@settings(max_examples=150, deadline=None)
@given(drawn_pairs, drawn_corrections)
def test_large_people_are_joined_as_small_ones(
    pairs: dict[frozenset[FaceKey], int], said: list[Correction]
) -> None:
    near = DrawnGraph(pairs, FACES).near(FACES)

    def joined() -> list[list[FaceKey]]:
        return [
            sorted(cluster.faces) for cluster in link(Corrections(said).settle(FACES), near, LIMIT)
        ]

    few = joined()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linkage, "_FEWEST_DENSE", 1)
        assert joined() == few


steps = st.lists(
    st.one_of(st.sampled_from([face[0] for face in FACES]), corrections()), min_size=4, max_size=25
)


@settings(max_examples=150, deadline=None)
@given(drawn_pairs, steps)
def test_step_by_step_ends_as_all_at_once(
    pairs: dict[frozenset[FaceKey], int], history: list[str | Correction]
) -> None:
    """A hash in the history is of an image that comes, or goes if it is there."""
    graph, said = DrawnGraph(pairs, []), list[Correction]()
    groups: dict[FaceKey, frozenset[FaceKey]] = {}
    for step in history:
        changed: set[FaceKey]
        if isinstance(step, str):
            own = {face for face in FACES if face[0] == step}
            before = graph.near(own)
            graph.faces ^= own
            changed = own | {
                other for near in before.values() for other, code in near.items() if code <= LIMIT
            }
        else:
            said.append(step)
            changed = {face for one in [step] for face in _faces_of(one)}
        looked_at = touched(changed, graph, Corrections(said), LIMIT)
        new = group(looked_at, graph, Corrections(said), LIMIT)
        groups = {face: its for face, its in groups.items() if face in graph.faces}
        for its in new:
            groups.update(dict.fromkeys(its, its))
        assert set(groups.values()) == grouped(graph, Corrections(said))
        assert groups.keys() == graph.faces


def _faces_of(correction: Correction) -> frozenset[FaceKey]:
    if isinstance(correction, Together):
        return correction.faces
    return correction.some | correction.others


@settings(max_examples=150, deadline=None)
@given(drawn_pairs, drawn_corrections, corrections())
def test_the_last_correction_holds_whatever_was_said_before(
    pairs: dict[frozenset[FaceKey], int], said: list[Correction], last: Correction
) -> None:
    groups = grouped(DrawnGraph(pairs, FACES), Corrections([*said, last]))
    if isinstance(last, Together):
        assert sum(bool(faces & last.faces) for faces in groups) == 1
    else:
        assert not any(faces & last.some and faces & last.others for faces in groups)


def of(number: int) -> FaceKey:
    return (f"{number:02}", 0)


def graph_of(pairs: Mapping[tuple[int, int], int], count: int) -> DrawnGraph:
    named = {frozenset((of(one), of(other))): code for (one, other), code in pairs.items()}
    return DrawnGraph(named, map(of, range(count)))


def numbers(groups: set[frozenset[FaceKey]]) -> list[list[int]]:
    return sorted(sorted(int(image) for image, _ in faces) for faces in groups)


def everyone(*people: range) -> dict[tuple[int, int], int]:
    """All pairs of pictures of each person, within the limit."""
    return {
        (one, other): LIMIT - 1000
        for person in people
        for one in person
        for other in person
        if one < other
    }


NOTHING_SAID = Corrections()


def test_a_pair_within_the_limit_is_one_person_and_beyond_it_two() -> None:
    assert numbers(grouped(graph_of({(0, 1): LIMIT}, 2), NOTHING_SAID)) == [[0, 1]]
    assert numbers(grouped(graph_of({(0, 1): LIMIT + 1}, 2), NOTHING_SAID)) == [[0], [1]]


def test_two_people_are_not_joined_by_one_pair_of_theirs() -> None:
    pairs = everyone(range(5), range(5, 10)) | {(4, 5): LIMIT - 900}
    assert numbers(grouped(graph_of(pairs, 10), NOTHING_SAID)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_nothing_joins_two_components() -> None:
    """Each pair is a bit beyond the limit, so that none is a link, and their mean would do."""
    between = {(one, other): LIMIT + 1 for one in range(4) for other in range(4, 8)}
    pairs = everyone(range(4), range(4, 8)) | between
    assert numbers(grouped(graph_of(pairs, 8), NOTHING_SAID)) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_many_pairs_may_each_be_beyond_the_limit() -> None:
    """Pictures of one person in two styles: one pair within the limit, the others a bit beyond."""
    between = {(one, other): LIMIT + DOUBT // 2 for one in range(4) for other in range(4, 8)}
    pairs = everyone(range(4), range(4, 8)) | between | {(0, 4): LIMIT, (1, 5): LIMIT}
    pairs |= {(0, 5): LIMIT, (1, 4): LIMIT}
    assert numbers(grouped(graph_of(pairs, 8), NOTHING_SAID)) == [list(range(8))]


def test_what_is_said_to_be_one_person_draws_others_along() -> None:
    pairs = everyone(range(3), range(3, 6))
    said = Corrections([Together(frozenset(map(of, (0, 1, 2, 3, 4, 5))))])
    later = pairs | {(0, 6): LIMIT - 4000, (1, 6): LIMIT, (3, 6): LIMIT}
    assert numbers(grouped(graph_of(later, 7), said)) == [list(range(7))]


def test_a_later_picture_does_not_bridge_what_was_split() -> None:
    pairs = everyone(range(7))
    said = Corrections([Apart(frozenset({of(0), of(1)}), frozenset(map(of, range(2, 6))))])
    found = numbers(grouped(graph_of(pairs, 7), said))
    assert not any({0, 1} & set(one) and {2, 3, 4, 5} & set(one) for one in found)
    assert [0, 1] in found or [0, 1, 6] in found


def test_of_two_that_contradict_each_other_the_later_one_counts() -> None:
    together, apart = Together(frozenset({of(0), of(1)})), Apart({of(0)}, {of(1)})  # type: ignore[arg-type]
    graph = graph_of({(0, 1): LIMIT}, 2)
    assert numbers(grouped(graph, Corrections([together, apart]))) == [[0], [1]]
    assert numbers(grouped(graph, Corrections([apart, together]))) == [[0, 1]]


def test_a_face_taken_out_later_leaves_the_others_together() -> None:
    whole = Together(frozenset(map(of, range(4))))
    out = Apart(frozenset({of(0)}), frozenset(map(of, range(1, 4))))
    assert numbers(grouped(graph_of({}, 4), Corrections([whole, out]))) == [[0], [1, 2, 3]]


def test_a_face_is_not_apart_from_itself() -> None:
    with pytest.raises(ValueError, match="itself"):
        Apart(frozenset({of(0)}), frozenset({of(0), of(1)}))


def test_the_limit_is_that_of_the_next_power_of_two() -> None:
    assert limit_for(1025) == limit_for(2048) > limit_for(2049)
    assert limit_for(0) == limit_for(1024) == codes_of(0.1 / 1024)
    with pytest.raises(ValueError, match="above 0"):
        limit_for(10, 0)
    assert [taken_for(faces) for faces in (0, 1024, 1025, 5000)] == [1024, 1024, 2048, 8192]
