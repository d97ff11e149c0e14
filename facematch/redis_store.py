"""The store in Redis or Valkey: with `facematch.redis_reindexing`, `facematch.redis_reencoding`,
`facematch.redis_vitals`, `facematch.redis_failed_jobs`, `facematch.redis_archiving`,
`facematch.redis_batches`, `facematch.redis_events`, `facematch.redis_webhooks` and
`facematch.redis_people` the only home of its keys and scripts. API keys, of no collection,
have those of `facematch.redis_keys`.

All keys of a collection share one hash tag and begin with `fm:{<collection>}:`, those of its
editions but the first with `fm:{<collection>}:~<number>:`. There are for the collection as a whole

    editions           hash    schema (that of all keys here; none: 0); created, the number that the
                               collection was made with (none: before there were others); dropping,
                               up to which number it is being erased, and of the default one
                               kept.*, what it is to be afterwards; if there was ever more than
                               edition 0, or the first was not 0: served, other (their numbers),
                               last (the highest given), built, ended (the later one when one of two
                               was given up last), encoder.<n>, detector.<n>
    editions:dropped   set     numbers of those given up, of which something is left
    bases:<hash>       set     why an image was submitted (facematch.privacy.Basis), of all editions
    submissions        string  the number that was given to a submission or erasure last; with
                               schema 0 in the first edition's meta as well
    fsck               hash    at, when `facematch fsck` last ended; how many findings by invariant
    events             channel "job:<id>" and "image:<hash>" when one changes state
    happened           stream  kind (done, failed, erased, linked), image (its hash), job, about
                               (the code, or the position of what was linked): of the edition that
                               was served then, the last 100,000. Matches are not in it, but looked
                               up when it is read: facematch.events

and for each edition

    meta               hash    epoch, model, calibration (once a worker has said it); position and
                               chain of the log's tail; backlog (bytes uploaded); size, the faces
                               ever committed, and live_faces, those there are, from schema 2 on;
                               generations of match sets (their
                               numbers, with commas), generation (the one served) and
                               last_generation, if there was ever more than 0, and last_reindex,
                               the one that ended last; of each of them
                               threshold[.g], from schema 2 on scored[.g], max_false_matches[.g],
                               max_matches[.g]; approximate_since[.g], the lowest position linked
                               with an answer that may lack matches, and while it is being built
                               building_to[.g], up to where it is not complete
                               import and import_to, the id of an export that is being imported
                               and the position reached; imported, of the one that was
    log                stream  id <position>-0: op, image, nonce, target, chain; never a vector
    positions          hash    position → image, of live images with faces
    image:<hash>       hash    state, position, nonce, model, boxes, width, height, faces_found,
                               code, number, since, erased_at, due, linker, linked, linked_at;
                               gone_at, when its bytes left; thumbnail, a JPEG, where they are kept
    jobs:<hash>        set     jobs that are told of when the image is done, up to 1,000; while it
                               is indexed
    names:<hash>       set     the names the image was submitted under
    faces:<position>   string  encodings, and from schema 2 on norms: facematch.stored_faces
    blob:<hash>        string  uploaded bytes, until a worker has looked at them
    matches[.g]:<position>
                       zset    position of the other image, by score (facematch.match_scores; by
                               distance in what was made before schema 2), in both directions
    limits[.g]         hash    position → score of the last match that was left out of a match set
                               with max_matches, which takes better ones only from then on; or
                               nothing, where it is the other image that left one out
    pending            zset    image, by position: indexed and not yet done
    accepted           zset    job, by the time somebody last looked after it
    failed             zset    code, by the time when the last job with it is forgotten
    failed:<code>      zset    job that has failed with it, by the time when it is forgotten
    erasing            set     positions of erased images whose matches are being removed
    lease:<name>       string  who has it; it expires with the lease
    reindex            hash    id, phase, generation, former, base, span, ranges, share, begun
    reindex:ranges     zset    first position of each range that is not done, by the time somebody
                               last looked after it
    reindex:linking    hash    first position → token and number of pairs of a range half written
    dropped            hash    generation that was given up → position from which on its match sets
                               are still there
    job:<id>           hash    state, name, url, image, attempts, code, detail, number; basis, why
                               it was submitted, until it is known to its image; failed_at,
                               and found if the image was found by the failed attempt; since, if it
                               was tried again after it had failed, or is for an image of another
                               edition: when that began (microseconds, as number)

What there is of each generation has .g, its number, in its name; but not for generation 0.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from facematch import redis_records as decode
from facematch.calibration import Norms
from facematch.collection_name import DEFAULT, whose
from facematch.errors import Conflict, Misconfigured, NotFound, Unavailable
from facematch.faces import Encodings, pack_encodings
from facematch.job import new_job_id
from facematch.log import Tail
from facematch.match_scores import UNRATED, split
from facematch.redis_connection import Redis, Subscription, translated, unless_erasing
from facematch.redis_scripts import Scripted
from facematch.store import (
    ALL,
    DEFAULT_BOUNDS,
    LINK_CHUNK,
    LINKER_SECONDS,
    WORK_SECONDS,
    Bounds,
    Collection,
    Commit,
    Committed,
    Cursor,
    Erased,
    Filter,
    Image,
    Job,
    Link,
    Linked,
    LogSlice,
    MatchPage,
    NewJob,
    ShownFaces,
    Snapshot,
    State,
)
from facematch.stored_faces import StoredFaces, face_count, pack_norms

_PORTION = 1000
#: Images whose faces and names are read by one script: about a millisecond.
_SHOWN = 200
#: Farther than any threshold, and a number for every Lua.
_ANY_REACH = 1e300
#: Position of the other image, distance, code.
_MATCH = struct.Struct("<ddd")


class RedisStore(Scripted):
    """See facematch.store.Store. Safe to share between threads."""

    def __init__(
        self,
        client: Redis,
        name: str = DEFAULT,
        *,
        job_days: float = 7.0,
        log_keep: int = 100_000,
    ) -> None:
        """`name`: that of an edition of a collection; or what stands for the one that is served,
        for the methods of facematch.store.Front. Raises ValueError for any other."""
        super().__init__(client, name)
        self._collection = whose(name)
        self._job_ttl = int(job_days * 86_400)
        self._log_keep = log_keep

    def check(self) -> None:
        """See Store."""
        # Not a ping: data of a newer version is none to work with.
        with unless_erasing(), translated():
            self._run("collection")

    @translated()
    def create(
        self, model: str, threshold: float, calibration: str = "", bounds: Bounds = DEFAULT_BOUNDS
    ) -> Collection:
        """See Store."""
        policy = policy_arguments(threshold, bounds)
        told = self._run("create", new_job_id(), model, *policy, calibration)
        return decode.collection(told)

    @translated()
    def collection(self) -> Collection:
        """See Store."""
        return decode.collection(self._run("collection"))

    # -- accept

    @translated()
    def accept(self, job: NewJob, backlog: int) -> Job:
        """See Store."""
        result = self._run(
            "accept",
            *(job.id, job.name, job.url, job.image, job.data),
            *(new_job_id(), backlog, self._job_ttl, job.basis),
        )
        if result == b"backlog_full":
            raise Unavailable("backlog_full")
        view, edition = result
        return replace(decode.job(job.id, view), edition=int(edition), collection=self._collection)

    @translated()
    def job(self, job: str) -> Job:
        """See Store."""
        return decode.job(job, self._run("job", job))

    # -- work

    @translated()
    def begin(self, job: str) -> Job:
        """See Store."""
        view, in_hand, follows, by, settled = self._run("begin", job, self._job_ttl, WORK_SECONDS)
        return replace(
            decode.job(job, view),
            in_hand=bool(in_hand),
            follows=bool(follows),
            followed_by=int(by) if by else None,
            settled=bool(settled),
        )

    @translated()
    def hold(self, jobs: Sequence[str]) -> None:
        """See Store."""
        self._run("hold", WORK_SECONDS, *jobs)

    @translated()
    def give_back(self, job: str) -> None:
        """See Store."""
        self._run("give_back", job)

    @translated()
    def uploaded(self, image: str) -> bytes | None:
        """See Store."""
        return cast("bytes | None", self._redis.get(self._key("blob", image)))

    @translated()
    def commit(self, commit: Commit) -> Committed:
        """See Store."""
        boxes = [
            [face.box.top, face.box.right, face.box.bottom, face.box.left] for face in commit.faces
        ]
        result = self._run(
            "commit",
            *(commit.job, commit.image, commit.nonce, commit.model),
            pack_encodings([face.encoding for face in commit.faces]),
            json.dumps(boxes, separators=(",", ":")),
            *(commit.width, commit.height, commit.faces_found, self._job_ttl, self._log_keep),
            b"" if commit.norms is None else pack_norms(commit.norms),
            commit.thumbnail,
        )
        if result == b"unknown":
            raise NotFound("not_found", f"no job {commit.job}")
        if result == b"model_mismatch":
            raise Misconfigured(f"the collection is not of the model {commit.model}")
        if result == b"no_collection":
            raise Unavailable("store_unavailable", "the collection is gone")
        if result == b"importing":
            raise Unavailable("store_unavailable", "an export is being imported")
        state = State(result[0].decode())
        if len(result) == 1:
            return Committed(state)
        return Committed(state, int(result[1]), result[2].decode())

    @translated()
    def fail(self, job: str, code: str, detail: str, image: str = "") -> None:
        """See Store."""
        self._run("fail", job, code, detail, image, self._job_ttl)

    # -- match

    @translated()
    def log(self, after: int, limit: int) -> LogSlice:
        """See Store."""
        result = self._run("log", after, limit)
        if result is None:
            raise Unavailable("store_unavailable", "the collection was not created yet")
        start, position, chain, entries = result
        return LogSlice(
            Tail(after, start.decode()) if start else None,
            Tail(int(position), chain.decode()),
            tuple(decode.entry(*entry) for entry in entries),
        )

    @translated()
    def faces(self, positions: Sequence[int]) -> dict[int, Encodings]:
        """See Store."""
        found: dict[int, Encodings] = {}
        for start in range(0, len(positions), _PORTION):
            portion = positions[start : start + _PORTION]
            values = self._redis.mget([self._key("faces", position) for position in portion])
            unpacked = _unpacked(portion, values)
            found.update((position, faces.encodings) for position, faces in unpacked.items())
        return found

    @translated()
    def faces_as_of(self, positions: Sequence[int]) -> tuple[dict[int, StoredFaces], Tail]:
        """See Store."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(self._key("meta"), "position", "chain")
            if positions:
                pipe.mget([self._key("faces", position) for position in positions])
            (position, chain), *values = pipe.execute()
        if position is None:
            raise Unavailable("store_unavailable", "the collection was not created yet")
        found = _unpacked(positions, values[0]) if values else {}
        return found, Tail(int(position), chain.decode())

    @translated()
    def count_faces(self, positions: Sequence[int]) -> int:
        """See Store."""
        count = 0
        for start in range(0, len(positions), _PORTION):
            with self._redis.pipeline(transaction=False) as pipe:
                for position in positions[start : start + _PORTION]:
                    pipe.strlen(self._key("faces", position))
                count += sum(map(face_count, pipe.execute()))
        return count

    @translated()
    def add_norms(self, norms: Mapping[int, Norms]) -> None:
        """See Store."""
        flat = (part for position, own in norms.items() for part in (position, pack_norms(own)))
        self._run("add_norms", *flat)

    @translated()
    def link(self, link: Link) -> Linked:
        """See Store."""
        codes = link.codes or [UNRATED] * len(link.pairs)
        data = b"".join(
            _MATCH.pack(*pair, code) for pair, code in zip(link.pairs, codes, strict=True)
        )
        result = self._run(
            "link",
            *(link.image, link.committed.position, link.committed.nonce),
            *(link.seen.position, link.seen.chain),
            *(link.token, link.offset, int(link.last), LINKER_SECONDS, int(link.exact)),
            *(repr(min(link.reach, _ANY_REACH)), link.codes_to, link.calibration),
            *(len(link.pairs), data),
        )
        return Linked(result.decode())

    # -- erase

    @translated()
    def erase(self, image: str, upto: int = 0) -> Erased:
        """See Store."""
        result = self._run("erase", image, upto or "", self._log_keep)
        if result == b"unknown":
            raise NotFound("not_found", f"no image {image}")
        return Erased(image, upto=int(result[1]), position=int(result[0]))

    @translated()
    def unlink(self, position: int) -> bool:
        """See Store."""
        return bool(self._run("unlink", position, LINK_CHUNK))

    @translated()
    def erasing(self) -> list[int]:
        """See Store."""
        return sorted(int(position) for position in self._redis.smembers(self._key("erasing")))

    # -- sweep

    @translated()
    def due_jobs(self, limit: int, age: float) -> list[str]:
        """See Store."""
        return [job.decode() for job in self._run("due_jobs", age, limit)]

    @translated()
    def due_images(self, limit: int, age: float) -> list[str]:
        """See Store."""
        return [image.decode() for image in self._run("due_images", age, limit, _PORTION)]

    @translated()
    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """See Store."""
        return bool(self._run("lease", name, holder, seconds))

    # -- read

    @translated()
    def image(self, image: str) -> Image:
        """See Store."""
        return decode.image(image, self._run("image", image))

    @translated()
    def thumbnail(self, image: str) -> bytes | None:
        """See Store."""
        return cast("bytes | None", self._run("thumbnail", image))

    @translated()
    def images_at(self, positions: Sequence[int]) -> dict[int, str]:
        """See Store."""
        if not positions:
            return {}
        images = self._redis.hmget(self._key("positions"), list(map(str, positions)))
        return {
            position: cast(bytes, image).decode()
            for position, image in zip(positions, images, strict=True)
            if image
        }

    @translated()
    def matches(
        self, image: str, limit: int, after: Cursor | None = None, only: Filter = ALL
    ) -> MatchPage:
        """See Store."""
        cursor = (repr(after.score), after.position) if after else ("", "")
        asked = map(_or_none, (only.max_distance, only.max_false_matches))
        page = self._run("matches", image, limit, *cursor, *asked)
        found = decode.page_of(image, page)
        if only.max_false_matches is not None and not decode.has_rates(page):
            raise Conflict("no_rates")
        return found

    @translated()
    def shown_faces(self, positions: Sequence[int]) -> dict[int, ShownFaces]:
        """See Store."""
        found: dict[int, ShownFaces] = {}
        for start in range(0, len(positions), _SHOWN):
            told = self._run("shown_faces", *positions[start : start + _SHOWN])
            found.update((int(position), decode.shown_faces(*its)) for position, *its in told)
        return found

    def listen(self, timeout: float) -> Iterator[str | None]:
        """See Store."""
        with (
            translated(),
            closing(Subscription(self._redis, f"{self._base}events", timeout)) as events,
        ):
            yield None
            while True:
                event = events.next(timeout)
                yield event.decode() if event is not None else None

    # -- load and check

    def live(self) -> Iterator[list[int]]:
        """See Store."""
        cursor = 0
        while True:
            with translated():
                cursor, portion = self._redis.hscan(self._key("positions"), cursor, count=_PORTION)
            yield [int(position) for position in portion]
            if cursor == 0:
                return

    @translated()
    def snapshot(self) -> Snapshot:
        """See Store."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._key("positions"))
            pipe.zrange(self._key("pending"), 0, -1, withscores=True)
            pipe.zrange(self._key("accepted"), 0, -1, withscores=True)
            pipe.smembers(self._key("erasing"))
            pipe.xrange(self._key("log"))
            self._run("collection", client=pipe)
            positions, pending, accepted, erasing, log, collection = pipe.execute()
        return Snapshot(
            decode.collection(collection),
            {int(position): image.decode() for position, image in positions.items()},
            {image.decode(): int(position) for image, position in pending},
            {job.decode(): due for job, due in accepted},
            tuple(sorted(map(int, erasing))),
            tuple(decode.log_entry(*entry) for entry in log),
        )

    @translated()
    def linked(self, positions: Sequence[int], generation: int) -> dict[int, dict[int, float]]:
        """See Store."""
        scores = self.scores(positions, generation)
        name = f"scored.{generation}" if generation else "scored"
        if not self._redis.hexists(self._key("meta"), name):
            return scores
        return {
            position: {other: split(score)[1] for other, score in own.items()}
            for position, own in scores.items()
        }

    @translated()
    def scores(self, positions: Sequence[int], generation: int) -> dict[int, dict[int, float]]:
        """See Store."""
        matches = f"matches.{generation}" if generation else "matches"
        found: dict[int, dict[int, float]] = {}
        for start in range(0, len(positions), _PORTION):
            portion = positions[start : start + _PORTION]
            with self._redis.pipeline(transaction=False) as pipe:
                for position in portion:
                    pipe.zrange(self._key(matches, position), 0, -1, withscores=True)
                for position, pairs in zip(portion, pipe.execute(), strict=True):
                    found[position] = {int(other): score for other, score in pairs}
        return found

    @translated()
    def limits(self, generation: int) -> dict[int, float]:
        """See Store."""
        limits = f"limits.{generation}" if generation else "limits"
        told = cast("dict[bytes, bytes]", self._redis.hgetall(self._key(limits)))
        return {int(at): float(score) if score else math.inf for at, score in told.items()}


def policy_arguments(threshold: float, bounds: Bounds) -> tuple[str, object, object]:
    """What scripts take of a policy."""
    false, most = bounds.max_false_matches, bounds.max_matches
    return repr(threshold), _or_none(false), _or_none(most)


def _or_none(value: float | None) -> str:
    return "" if value is None else repr(value)


def _unpacked(positions: Sequence[int], values: Sequence[Any]) -> dict[int, StoredFaces]:
    return {
        position: StoredFaces.unpack(cast(bytes, value))
        for position, value in zip(positions, values, strict=True)
        if value
    }
