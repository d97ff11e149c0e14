"""The port to the store: the only truth about jobs, images, faces, matches and the log.

Each method is one atomic step and safe to repeat. The real one is
`facematch.redis_store.RedisStore`, the one for tests `facematch.memory_store.MemoryStore`; one
contract test runs against both. Every method raises Unavailable("store_unavailable") when the
store does not answer.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from facematch.calibration import Norms
from facematch.collection_name import DEFAULT
from facematch.faces import Box, Encodings, Face
from facematch.log import Entry, Tail
from facematch.match_scores import UNRATED, most_code
from facematch.stored_faces import StoredFaces

#: Matches of an image that are kept, unless something else is asked for.
MAX_MATCHES = 10_000
#: Pairs written by one link call: bounds how long the store is busy with one of them.
LINK_CHUNK = 500
#: A job that a worker has begun, or held, is not taken for left lying within this time.
WORK_SECONDS = 60.0
#: For so long after its last chunk a worker that links an image has precedence over others.
LINKER_SECONDS = 5.0


class State(StrEnum):
    """Of an image, and of a job as its submitter sees it."""

    ACCEPTED = "accepted"  # the job is durable
    INDEXED = "indexed"  # the faces are in the log; matches are being looked for
    DONE = "done"  # every match with what came before is written
    FAILED = "failed"
    ERASED = "erased"


@dataclass(frozen=True)
class Bounds:
    """What keeps matches within the threshold out of a match set; None: nothing does.

    `max_false_matches`: so many of those listed for a face may be false, as is to be expected of so
    many faces. A match is kept if its rate times the faces ever committed, by the later of its two
    images, is no more; and listed if that holds with the faces ever committed by now. So what is
    listed does not depend on the order of arrival.
    `max_matches`: so many matches of an image are kept, the most certain ones. What has to go for
    it goes from both its images, and they say so.
    """

    max_false_matches: float | None = None
    max_matches: int | None = MAX_MATCHES

    def __post_init__(self) -> None:
        """Raises ValueError for what is no bound."""
        false, most = self.max_false_matches, self.max_matches
        if false is not None and not (math.isfinite(false) and false > 0):
            raise ValueError(f"{false} is no number of false matches")
        if most is not None and most < 1:
            raise ValueError(f"{most} is no number of matches")


DEFAULT_BOUNDS, NO_BOUNDS = Bounds(), Bounds(max_matches=None)


@dataclass(frozen=True)
class Generation:
    """The match sets of all images by one policy, which is a threshold and bounds: there may be two
    of them, the one that is served and another one, and whatever happens to an image happens in
    both.

    `approximate_since`: the lowest position that was linked with an answer that may lack matches.
    `building_to`: images at positions up to this one still lack matches with each other.
    `scored`: each match has the number that facematch.match_scores makes; otherwise, in what was
    made before schema 2, its distance alone.
    """

    number: int
    threshold: float
    approximate_since: int | None = None
    building_to: int = 0
    bounds: Bounds = DEFAULT_BOUNDS
    scored: bool = True

    def codes_to(self, size: int) -> int:
        """The highest code of a match that is kept of an image that came when so many faces had
        been committed, or listed when so many have been."""
        return int(most_code(self.bounds.max_false_matches if self.scored else None, size))


@dataclass(frozen=True)
class Collection:
    """What is pinned when a collection is made, where its log ends, and its generations of match
    sets, the one that is served first.

    `calibration`: that of the encodings, see facematch.calibration; "" for none, or while no worker
    has said. `size`: the faces ever committed, and `live_faces`: those of live images; both 0 with
    data before schema 2.
    """

    epoch: str
    model: str
    tail: Tail
    generations: tuple[Generation, ...]
    calibration: str = ""
    size: int = 0
    live_faces: int = 0

    @property
    def threshold(self) -> float:
        """That of the match sets that are served."""
        return self.generations[0].threshold

    @property
    def reach(self) -> float:
        """The largest threshold: how far away matches are looked for."""
        return max(generation.threshold for generation in self.generations)

    @property
    def numbers(self) -> frozenset[int]:
        """Those of all generations."""
        return frozenset(generation.number for generation in self.generations)

    @property
    def rated_by(self) -> str:
        """The calibration that a new match must have a rate by, "" where none needs one."""
        return self.calibration if any(one.scored for one in self.generations) else ""

    def codes_to(self, size: int) -> int:
        """The highest code of a match that is kept in any generation: see Generation."""
        return max(generation.codes_to(size) for generation in self.generations)


@dataclass(frozen=True)
class NewJob:
    """A submission: the bytes (with their hash) or a URL, and the name it came under."""

    id: str
    name: str
    url: str = ""
    image: str = ""
    data: bytes = b""
    #: Why it may be made: `facematch.privacy.Basis`, packed.
    basis: str = ""


@dataclass(frozen=True)
class Job:
    """A submission as stored. `state` follows the image once the job is committed to one."""

    id: str
    state: State
    name: str
    url: str = ""
    image: str = ""
    attempts: int = 0
    code: str = ""
    detail: str = ""
    #: In the image; None while they have not been looked for, or not any more.
    faces_found: int | None = None
    #: Of `begin`: somebody else had taken it up less than WORK_SECONDS ago.
    in_hand: bool = False
    #: Of `begin`: it was not taken up, because it has not ended in the edition that is served.
    follows: bool = False
    #: Of `begin`: the number of the edition in which it waits for what becomes of it here.
    followed_by: int | None = None
    #: Of `begin`: it was accepted until then and is not any more, because of what there is.
    settled: bool = False
    #: Of `accept`: the number of the edition that is served.
    edition: int = 0
    #: Whose job it is, where `accept` says it.
    collection: str = DEFAULT
    #: Seconds since 1970, by the store's clock, when it was accepted, or, if it had failed, tried
    #: again; about: see the number that it was given.
    submitted: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Commit:
    """The faces found for a job. `nonce` is a fresh random word, used if the image is new. `norms`
    (k, 2), where there is a calibration. `thumbnail`: a JPEG to be kept with the image, b"" for
    none."""

    job: str
    image: str
    nonce: str
    model: str
    faces: Sequence[Face]
    width: int
    height: int
    faces_found: int
    norms: Norms | None = None
    thumbnail: bytes = b""


@dataclass(frozen=True)
class Committed:
    """Where an image is in the log, and which life of it (an erased image may come again).

    Position 0: it has no face, or it did not come to a position.
    """

    state: State
    position: int = 0
    nonce: str = ""


@dataclass(frozen=True)
class LogSlice:
    """Entries of the log behind `start`, with the tail, all as of one instant.

    `start` is None when the log does not hold that place: trimmed away, or never reached.
    """

    start: Tail | None
    tail: Tail
    entries: Sequence[Entry]


class Linked(StrEnum):
    """What became of a link call."""

    WRITTEN = "written"
    DONE = "done"  # the image was already done
    GONE = "gone"  # the image is not there any more in this life
    MOVED = (
        "moved"  # the log is no longer the one the query saw, or too short its reach: query again
    )
    SUPERSEDED = "superseded"  # another worker is linking this image, or a chunk is missing


@dataclass(frozen=True)
class Link:
    """A chunk of an image's matches: distance by position of the other image.

    A pair goes into each generation by whose policy it is kept; matches were looked for as far as
    `reach`, and up to `codes_to`. `codes` says how sure each is, by this `calibration`; without one
    there are none. `seen` is the log tail that the
    query was checked against (the fence). The chunks of one query share a random `token` and state
    how many pairs went before, so that a chunk lost with the store's tail is noticed; `last` marks
    the image done. `exact`: as far as is known, no match is missing. The lowest position that was
    linked otherwise stays known.
    """

    image: str
    committed: Committed
    seen: Tail
    token: str
    offset: int
    pairs: Sequence[tuple[int, float]]
    last: bool
    exact: bool = True
    reach: float = math.inf
    codes: Sequence[int] = ()
    calibration: str = ""
    codes_to: int = UNRATED


@dataclass(frozen=True)
class Image:
    """An image as a reader sees it. Position 0 means it has none (no face, or not there yet)."""

    hash: str
    state: State
    names: Sequence[str] = ()
    position: int = 0
    nonce: str = ""
    model: str = ""
    boxes: Sequence[Box] = ()
    width: int = 0
    height: int = 0
    faces_found: int = 0
    code: str = ""
    #: Why its submissions were made, packed, where they said so; where it is asked for by itself.
    bases: Sequence[str] = ()

    @property
    def truncated(self) -> bool:
        """Whether faces were left out because there were more than the limit."""
        return self.faces_found > len(self.boxes)


class Match(NamedTuple):
    """Another image that shows one of the same faces: the smallest distance of their faces, and the
    lowest false match rate, None where it is not known. `score`: its place in the match set.

    A tuple, because a page has a hundred of them."""

    hash: str
    names: Sequence[str]
    distance: float
    position: int
    false_match_rate: float | None = None
    score: float = 0.0


@dataclass(frozen=True)
class Chances:
    """What the false matches to be expected of an image follow from: the calibration, the norms of
    its faces, the faces ever committed, the faces of other live images, and the highest code of a
    match that it has room for."""

    calibration: str
    norms: tuple[tuple[float, float], ...]
    size: int
    others: int
    codes_to: int = UNRATED


@dataclass(frozen=True)
class Filter:
    """Which matches are asked for; None: all. `max_distance`: those at most so far apart.
    `max_false_matches`: the most certain ones, as many as keep the false ones that are to be
    expected of a face at no more than this."""

    max_distance: float | None = None
    max_false_matches: float | None = None


@dataclass(frozen=True)
class MatchPage:
    """An image with a page of its matches, the most certain first, as of one instant. `threshold`
    and `bounds`: the policy of the match sets they are from, None before there is a collection.

    `truncated`: matches were left out because of `bounds.max_matches`. `chances`: None where there
    are no rates.

    Once the image is done, every match with an image at a position up to `complete_through` is
    known to be written; unless not `exact`: then an image at a position up to there was linked
    with what an approximate index found, and matches with it may be missing, in the other's set
    as in its own.
    `next` continues behind this page, None at the end.
    """

    image: Image
    matches: Sequence[Match]
    complete_through: int
    threshold: float | None
    next: "Cursor | None" = None
    exact: bool = True
    bounds: Bounds | None = None
    truncated: bool = False
    chances: Chances | None = None


@dataclass(frozen=True)
class Cursor:
    """Where a page of matches ended: just behind this score and position."""

    score: float
    position: int


@dataclass(frozen=True, eq=False)
class ShownFaces:
    """The faces of a live image as a reader sees them, and what is stored of them, in order."""

    hash: str
    names: Sequence[str]
    boxes: Sequence[Box]
    stored: StoredFaces


@dataclass(frozen=True)
class Erased:
    """An erasure that has begun: hidden already. `position` (0: none) is still to be unlinked.

    `upto` is its place in the order of submissions: it ends what was submitted up to there.
    """

    image: str
    upto: int
    position: int = 0


@dataclass(frozen=True)
class Snapshot:
    """Everything `fsck` looks at, read at one instant."""

    collection: Collection
    positions: Mapping[int, str]
    pending: Mapping[str, int]
    accepted: Mapping[str, float]
    erasing: Sequence[int]
    entries: Sequence[Entry]


ALL = Filter()


class Front(Protocol):
    """What the api needs of a collection, whichever of its editions is served."""

    def check(self) -> None:
        """Raise Unavailable unless the store answers."""

    # -- accept -------------------------------------------------------------------------------
    def accept(self, job: NewJob, backlog: int) -> Job:
        """Make a job durable. Bytes already known as an image only add the name to it.

        Raises Unavailable("backlog_full") when more than `backlog` uploaded bytes would wait,
        in all collections together.
        """

    def job(self, job: str) -> Job:
        """Raises NotFound."""

    # -- erase --------------------------------------------------------------------------------
    def erase(self, image: str, upto: int = 0) -> Erased:
        """Hide an image at once and for every job submitted so far; repeatable.

        With `upto` of an earlier erasure, that erasure is repeated as it was, whatever the store
        has forgotten since; what was submitted after it stays.
        Raises NotFound for an image never seen (without `upto`).
        """

    def unlink(self, position: int) -> bool:
        """Remove a chunk of an erased image's matches from its peers; True when none is left, or
        when no image of this position was erased."""

    # -- read ---------------------------------------------------------------------------------
    def image(self, image: str) -> Image:
        """Raises NotFound."""

    def thumbnail(self, image: str) -> bytes | None:
        """The JPEG that is kept with an image that has been looked at, if there is one."""

    def matches(
        self, image: str, limit: int, after: Cursor | None = None, only: Filter = ALL
    ) -> MatchPage:
        """A page of matches, the most certain first. Raises NotFound; Conflict("no_rates") for
        `max_false_matches` where there are no rates."""

    def shown_faces(self, positions: Sequence[int]) -> dict[int, ShownFaces]:
        """The faces of the images at these positions; those that are gone are left out."""

    def listen(self, timeout: float) -> Iterator[str | None]:
        """Endless: "job:<id>" or "image:<hash>" whenever one changes state, None whenever
        `timeout` seconds pass without any. What changed before the first None may be missed."""


class Store(Front, Protocol):
    """What the processes need of the store: of one edition of a collection."""

    def create(
        self, model: str, threshold: float, calibration: str = "", bounds: Bounds = DEFAULT_BOUNDS
    ) -> Collection:
        """Make the collection unless it exists; return it as it is. What calibration the encodings
        have, if any, is pinned with it: later, if it is of this model and was made without saying,
        by an older version or for another edition."""

    def collection(self) -> Collection:
        """The collection. Raises Unavailable("store_unavailable") when it was never created."""

    # -- work ---------------------------------------------------------------------------------
    def begin(self, job: str) -> Job:
        """Take up a job: counts an attempt while it is accepted. A job whose bytes have become
        an image meanwhile is attached to it. Raises NotFound.

        In an edition that is not served, it waits for what becomes of it in the one that is, and
        ends as it ended there, unless that was as an image: then this is the image to be had.
        """

    def hold(self, jobs: Sequence[str]) -> None:
        """These jobs, begun before, are still in hand: as if begun now, without an attempt more.
        No-op for those that are not accepted any more."""

    def give_back(self, job: str) -> None:
        """The attempt that `begin` counted was none, because it ended by no fault of the picture.
        No-op for a job that is not accepted any more."""

    def uploaded(self, image: str) -> bytes | None:
        """The bytes uploaded for an image that is still to be worked on."""

    def commit(self, commit: Commit) -> Committed:
        """Give the image the next position and store its faces; or find it there already. A job
        that has come to an image is of no other, even if its URL shows another one meanwhile.

        State ERASED: the image was erased after the job was submitted. FAILED: the job had
        failed. Raises NotFound for an unknown job, Misconfigured when the collection is of
        another model, Unavailable("store_unavailable") when there is no collection.
        """

    def fail(self, job: str, code: str, detail: str, image: str = "") -> None:
        """End an accepted job as failed; no-op for any other state. After commit no job fails."""

    # -- match --------------------------------------------------------------------------------
    def log(self, after: int, limit: int) -> LogSlice:
        """Up to `limit` entries with a position above `after`, in order, and the tail as it was
        at `after` (a reader compares it with its own before it trusts them)."""

    def faces(self, positions: Sequence[int]) -> dict[int, Encodings]:
        """The encodings (k, 128) of the images at these positions; erased ones are left out."""

    def faces_as_of(self, positions: Sequence[int]) -> tuple[dict[int, StoredFaces], Tail]:
        """The faces as they are kept, as of one instant, and where the log ended then. For a few
        thousand at once."""

    def add_norms(self, norms: Mapping[int, Norms]) -> None:
        """Keep norms (k, 2) of the images at these positions with their faces; no-op for images
        that have some already, or are gone, and with data before schema 2."""

    def count_faces(self, positions: Sequence[int]) -> int:
        """How many faces the images at these positions have; erased ones have none."""

    def link(self, link: Link) -> Linked:
        """Write a chunk of matches, both directions, if the log is still what `seen` says, no
        generation reaches farther than the query did, and none has rates by another calibration.
        """

    # -- erase --------------------------------------------------------------------------------
    def erasing(self) -> list[int]:
        """Positions of erased images with matches still to be unlinked."""

    # -- sweep --------------------------------------------------------------------------------
    def due_jobs(self, limit: int, age: float) -> list[str]:
        """Accepted jobs not looked after for `age` seconds; they count as looked after now."""

    def due_images(self, limit: int, age: float) -> list[str]:
        """Indexed images not looked after for `age` seconds; they count as looked after now."""

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Whether `holder` has the lease of this name from now on, for so many seconds: unless
        somebody else has it. 0 seconds give it back. Where there is no collection there is none.

        It spares several from doing the same, most of the time, and no more than that: a store
        that loses its tail forgets who had it, and a holder may sleep through its end.
        """

    # -- read ---------------------------------------------------------------------------------
    def images_at(self, positions: Sequence[int]) -> dict[int, str]:
        """The images at some positions; those that are gone are left out."""

    # -- load and check -----------------------------------------------------------------------
    def live(self) -> Iterator[list[int]]:
        """The positions of all live images, in portions and no particular order. An image
        that is live during the whole iteration is there; one that comes or goes may be."""

    def snapshot(self) -> Snapshot:
        """State for `fsck`, with the whole log."""

    def linked(self, positions: Sequence[int], generation: int) -> dict[int, dict[int, float]]:
        """The match sets of a generation by position, as they are: distance by position of the
        other."""

    def scores(self, positions: Sequence[int], generation: int) -> dict[int, dict[int, float]]:
        """The same, with the score of each match: see `Generation.scored`."""

    def limits(self, generation: int) -> dict[int, float]:
        """The positions of images whose match sets are truncated, and the score from which on
        matches are left out there; infinite where it is the other image that left some out."""
