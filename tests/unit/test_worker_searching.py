"""A search finds what a match set would have, keeps nothing, and says what it cannot do."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from planted import PlantedEncoder, people, pictures_of, planted_picture
from submitting import BACKLOG

from facematch.errors import Conflict, FacematchError, NotFound, Rejected, Unavailable
from facematch.faces import image_hash
from facematch.job import new_job_id
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.searching import Asked, Found, Probe
from facematch.store import Bounds, NewJob, State
from worker.looking import Crashed, DirectLooker, Looked, PictureLimits
from worker.pipeline import Parts, process
from worker.searching import SearchParts, search


def plain_picture() -> bytes:
    """Too narrow for a face."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


LIMITS = PictureLimits(max_pixels=10**6, max_side=0, max_faces=100)
RNG = np.random.default_rng(11)
ADA, BOB, EVE = people(RNG, 3)
#: Near each other and not, one face or several; some pairs lie on either side of bounds.
FACES = [
    *(encoding[None] for encoding in pictures_of(RNG, ADA, 3)),
    *(encoding[None] for encoding in pictures_of(RNG, BOB, 2)),
    np.stack([pictures_of(RNG, ADA, 1)[0], BOB]),
    np.stack([EVE, pictures_of(RNG, BOB, 1)[0], (ADA + BOB) / 2]),
]
NOBODY = plain_picture()
PICTURES = [planted_picture(faces) for faces in FACES]


class Small:
    """A store with an index that may lag, and who works and searches."""

    def __init__(self, calibration: str = "dlib-1", bounds: Bounds | None = None) -> None:
        self.store = MemoryStore()
        self.store.create(PlantedEncoder.model, 0.6, calibration, bounds or Bounds())
        self.index = ExactNeighbours(self.store)
        self.looker = DirectLooker(PlantedEncoder(), LIMITS)
        self.served = True
        self.fetched: Callable[[str], bytes] = lambda url: b""
        self.parts = Parts(
            *(self.store, self.index, lambda url: b"", self.looker, PlantedEncoder.model, 3),
            calibration=calibration,
        )

    def submit(self, picture: bytes) -> None:
        job = new_job_id()
        image = image_hash(picture)
        self.store.accept(NewJob(job, "a.png", image=image, data=picture), 10**6 + BACKLOG)
        process(job, self.parts)

    def search(self, picture: bytes, **asked: object) -> Found:
        parts = SearchParts(
            *(self.store, self.index, self.fetched, self.looker), served=lambda: self.served
        )
        return search(Probe(Asked(**asked), picture), parts)  # type: ignore[arg-type]


def told(found: Found, face: int = 0) -> list[tuple[str, float, float | None]]:
    return [
        (match.hash, match.distance, match.false_match_rate) for match in found.faces[face].matches
    ]


@settings(max_examples=40, deadline=None)
@given(
    there=st.lists(st.sampled_from(range(len(PICTURES))), min_size=1, unique=True),
    probe=st.sampled_from(range(5)),
    erased=st.integers(0, 9),
    lag=st.none() | st.integers(0, 8),
)
def test_a_search_finds_what_the_picture_s_match_set_would_have(there, probe, erased, lag) -> None:
    small = Small()
    for number in there:
        if number != probe:
            small.submit(PICTURES[number])
    if erased < len(there) and there[erased] != probe:
        small.store.erase(image_hash(PICTURES[there[erased]]))
    small.index.limit = lag
    found = small.search(PICTURES[probe])
    assert found.complete_through == small.store.collection().tail.position
    before = vars(small.store).copy()
    assert small.search(PICTURES[probe]) == found
    assert vars(small.store) == before

    small.submit(PICTURES[probe])
    page = small.store.matches(image_hash(PICTURES[probe]), 100)
    assert page.image.state is State.DONE
    expected = [(one.hash, one.distance, one.false_match_rate) for one in page.matches]
    assert told(found) == expected
    [face] = found.faces
    assert face.box == page.image.boxes[0]
    assert not face.more
    for match in face.matches:
        assert match.faces[0].distance >= match.distance
        image = small.store.image(match.hash)
        assert all(image.boxes[one.number] == one.box for one in match.faces)


def test_each_face_has_matches_of_its_own() -> None:
    small = Small()
    for picture in PICTURES:
        small.submit(picture)
    both = small.search(PICTURES[5])
    assert [face.number for face in both.faces] == [0, 1]
    of_ada, of_bob = ({match.hash for match in face.matches} for face in both.faces)
    hashes = [image_hash(picture) for picture in PICTURES]
    assert of_ada >= {*hashes[:3], hashes[5]}
    assert of_bob >= {*hashes[3:5], hashes[5]}
    assert not of_ada & set(hashes[3:5])
    itself = next(match for match in both.faces[1].matches if match.hash == hashes[5])
    assert [(face.number, face.distance) for face in itself.faces] == [(1, 0.0)]
    one = small.search(PICTURES[5], face=1)
    assert one.faces == both.faces[1:]
    with pytest.raises(NotFound) as caught:
        small.search(PICTURES[5], face=2)
    assert caught.value.code == "no_face"


def test_fewer_are_told_where_fewer_are_asked_for() -> None:
    small = Small()
    for picture in PICTURES:
        small.submit(picture)
    everything = small.search(PICTURES[0])
    first = small.search(PICTURES[0], limit=2)
    assert first.faces[0].matches == everything.faces[0].matches[:2]
    assert first.faces[0].more
    assert first.faces[0].expected_false_matches == everything.faces[0].expected_false_matches
    assert told(small.search(PICTURES[0], max_distance=0.0))[0][:2] == (
        image_hash(PICTURES[0]),
        0.0,
    )
    near = small.search(PICTURES[0], max_distance=0.3)
    assert told(near) == [one for one in told(everything) if one[1] <= 0.3]
    # Farther than the collection goes, nothing is told.
    assert told(small.search(PICTURES[0], max_distance=2.0)) == told(everything)
    size = small.store.collection().size
    sure = small.search(PICTURES[0], max_false_matches=1e-9)
    assert told(sure) == [one for one in told(everything) if (one[2] or 0) * size <= 1e-9]


def test_the_policy_of_the_collection_bounds_what_is_found() -> None:
    loose, strict = Small(), Small(bounds=Bounds(max_false_matches=1e-14))
    for small in (loose, strict):
        for picture in PICTURES[1:]:
            small.submit(picture)
    size = strict.store.collection().size
    assert told(strict.search(PICTURES[0])) == [
        one for one in told(loose.search(PICTURES[0])) if (one[2] or 0) * size <= 1.0001e-14
    ]
    assert strict.search(PICTURES[0]).max_false_matches == 1e-14


def test_without_rates_the_nearest_come_first_and_none_can_be_asked_for() -> None:
    small = Small(calibration="")
    for picture in PICTURES[1:]:
        small.submit(picture)
    found = small.search(PICTURES[0])
    assert {rate for *_, rate in told(found)} == {None}
    distances = [distance for _, distance, _ in told(found)]
    assert distances == sorted(distances)
    assert found.faces[0].expected_false_matches is None
    with pytest.raises(Conflict) as caught:
        small.search(PICTURES[0], max_false_matches=1.0)
    assert caught.value.code == "no_rates"


def test_a_picture_without_a_face_has_no_matches_and_an_empty_collection_none() -> None:
    small = Small()
    found = small.search(PICTURES[0])
    assert (told(found), found.complete_through) == ([], 0)
    assert small.search(NOBODY).faces == ()
    small.submit(PICTURES[0])
    found = small.search(NOBODY)
    assert (found.faces, found.complete_through, found.faces_found) == ((), 1, 0)
    with pytest.raises(NotFound):
        small.search(NOBODY, face=0)


def test_a_url_is_fetched_and_what_is_wrong_with_it_is_told() -> None:
    small = Small()
    small.submit(PICTURES[0])
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return PICTURES[1]

    small.fetched = fetch
    assert told(small.search(b"", url="http://x/1.png")) == told(small.search(PICTURES[1]))
    assert asked == ["http://x/1.png"]

    def fails(url: str) -> bytes:
        raise Rejected("unreachable")

    small.fetched = fails
    with pytest.raises(Rejected) as caught:
        small.search(b"", url="http://x/1.png")
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Rejected("not_an_image"), Rejected),
        # It may do so to the next worker: nobody else is asked.
        (Crashed("decoder_crashed"), Rejected),
        (Unavailable("sandbox_unavailable"), Unavailable),
    ],
)
def test_what_is_wrong_with_a_picture_is_told_apart_from_what_is_wrong_here(
    error: FacematchError, expected: type[FacematchError]
) -> None:
    class Fails:
        def look(self, data: bytes) -> Looked:
            raise error

    small = Small()
    small.looker = Fails()  # type: ignore[assignment]
    with pytest.raises(FacematchError) as caught:
        small.search(PICTURES[0])
    assert (type(caught.value), caught.value.code) == (expected, error.code)


def test_who_does_not_serve_what_is_served_sends_on_to_who_does() -> None:
    small = Small()
    small.served = False
    with pytest.raises(Unavailable) as caught:
        small.search(PICTURES[0])
    assert caught.value.code == "search_unavailable"


def test_an_image_that_goes_while_it_is_searched_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = Small()
    for picture in PICTURES[:3]:
        small.submit(picture)
    gone, left = image_hash(PICTURES[1]), image_hash(PICTURES[2])
    shown = small.store.shown_faces

    def erase_first(positions):
        small.store.erase(gone)
        return shown(positions)

    monkeypatch.setattr(small.store, "shown_faces", erase_first)
    assert [hash_ for hash_, *_ in told(small.search(PICTURES[0]))] == [
        image_hash(PICTURES[0]),
        left,
    ]


def test_an_index_that_knows_another_history_is_not_believed() -> None:
    small = Small()
    small.submit(PICTURES[0])
    small.search(PICTURES[0])
    other = Small()
    other.submit(PICTURES[1])
    small.index = other.index
    with pytest.raises(Unavailable) as caught:
        small.search(PICTURES[0])
    assert caught.value.code == "index_diverged"
