"""Which faces of two images match: read for those who ask, and kept nowhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from api.reading import Reading
from facematch.calibration import NAMES, Calibration, calibration
from facematch.errors import NotFound, Unavailable
from facematch.face_pairs import NearImage, Reach, near_images
from facematch.match_scores import UNRATED, most_code
from facematch.store import ALL, Cursor, Filter, Front, MatchPage, ShownFaces, State
from facematch.stored_faces import StoredFaces

_TRIES = 3
_PORTION = 1000


@dataclass(frozen=True)
class NearFaces:
    """An image that matches, its faces, and which of them match which of the other image."""

    shown: ShownFaces
    near: NearImage


@dataclass(frozen=True)
class FacePage:
    """A page of the images that match a face, the most certain first. `page`: of the image that the
    face is in; what it says of matches is said of those of this face. `matches` is None until they
    are known. `next` continues behind this page, None at the end."""

    page: MatchPage
    number: int
    matches: Sequence[NearFaces] | None = None
    next: Cursor | None = None


class FaceReading:
    """Reads the faces behind matches; touches nothing but the store."""

    def __init__(self, store: Front, reading: Reading) -> None:
        self._store = store
        self._reading = reading

    def matches(
        self, image: str, limit: int, after: Cursor | None, seconds: float, only: Filter = ALL
    ) -> tuple[MatchPage, Mapping[int, NearFaces]]:
        """See Reading.matches; and of each of its matches the faces, by position. What was erased
        meanwhile is not there any more."""
        for _ in range(_TRIES):
            page = self._reading.matches(image, limit, after, seconds, only)
            if page.image.state is not State.DONE:
                return page, {}
            # Of a match one pair is within the bounds; the others need not be that sure.
            near = self._near(page, None, Reach(_threshold(page, only), UNRATED, _rated_by(page)))
            if near is not None:
                left = tuple(match for match in page.matches if match.position in near)
                return replace(page, matches=left), near
        raise Unavailable("store_unavailable", "the image changed while its faces were read")

    def of_face(
        self,
        face: tuple[str, int],
        limit: int,
        after: Cursor | None,
        seconds: float,
        only: Filter = ALL,
    ) -> FacePage:
        """A page of the matches of one face, as if it were alone on its image; of an image that is
        finished if that comes about within `seconds`.

        Raises NotFound, Unavailable, Conflict("no_rates").
        """
        image, number = face
        for _ in range(_TRIES):
            page = self._reading.matches(image, _PORTION, None, seconds, only)
            known = page.image.state in (State.INDEXED, State.DONE)
            if known and number >= len(page.image.boxes):
                raise NotFound("no_face")
            if page.image.state is not State.DONE:
                return FacePage(page, number)
            found = self._of_face(page, number, limit, after, only)
            if found is not None:
                return found
        raise Unavailable("store_unavailable", "the image changed while its faces were read")

    def _of_face(
        self, first: MatchPage, number: int, limit: int, after: Cursor | None, only: Filter
    ) -> FacePage | None:
        """None: the image is another one by now."""
        reach = Reach(_threshold(first, only), _codes_to(first, only), _rated_by(first))
        found: list[tuple[float, int, NearFaces]] = []
        page = first
        while True:
            near = self._near(page, number, reach)
            if near is None:
                return None
            for position, faces in near.items():
                place = (faces.near.score, position)
                if after is None or place > (after.score, after.position):
                    found.append((*place, faces))
            # No face is surer than the match of its image: what comes later comes behind these.
            read_to = page.matches[-1].score if page.matches else 0.0
            if page.next is None or sum(score <= read_to for score, *_ in found) > limit:
                break
            page = self._store.matches(first.image.hash, _PORTION, page.next, only)
        found.sort(key=lambda one: one[:2])
        shown = found[:limit]
        next_ = Cursor(*shown[-1][:2]) if len(found) > limit else None
        return FacePage(_of_one(first, number), number, [faces for *_, faces in shown], next_)

    def _near(
        self, page: MatchPage, number: int | None, reach: Reach
    ) -> Mapping[int, NearFaces] | None:
        """By position, of the images on the page that are still there; of all faces or of one.
        None: the image is another one by now, or another edition is served."""
        image = page.image
        if not page.matches:
            return {}
        positions = [match.position for match in page.matches]
        shown = self._store.shown_faces([image.position, *positions])
        own = shown.pop(image.position, None)
        if own is None or own.hash != image.hash:
            return None
        if self._store.image(image.hash).nonce != image.nonce:
            return None
        others = {at: faces.stored for at, faces in shown.items()}
        faces = own.stored if number is None else _only(own.stored, number)
        return {
            at: NearFaces(shown[at], near) for at, near in near_images(faces, others, reach).items()
        }


def _only(faces: StoredFaces, number: int) -> StoredFaces:
    norms = None if faces.norms is None else faces.norms[[number]]
    return StoredFaces(faces.encodings[[number]], norms, faces.size)


def _of_one(page: MatchPage, number: int) -> MatchPage:
    """What is to be expected is so of one face then."""
    if page.chances is None:
        return page
    return replace(page, chances=replace(page.chances, norms=(page.chances.norms[number],)))


def _threshold(page: MatchPage, only: Filter) -> float:
    known = (page.threshold, only.max_distance)
    return min((value for value in known if value is not None), default=0.0)


def _codes_to(page: MatchPage, only: Filter) -> int:
    if page.chances is None:
        return UNRATED
    bound = page.bounds.max_false_matches if page.bounds else None
    asked = (bound, only.max_false_matches)
    return min(int(most_code(most, page.chances.size)) for most in asked)


def _rated_by(page: MatchPage) -> Calibration | None:
    name = page.chances.calibration if page.chances else ""
    return calibration(name) if name in NAMES else None
