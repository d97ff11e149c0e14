"""What the scripts of `facematch.redis_store` return, as the values of `facematch.store`."""

import json
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from facematch.errors import NotFound, Unavailable
from facematch.faces import Box
from facematch.failed_jobs import Failed
from facematch.log import Entry, Tail
from facematch.match_scores import UNRATED, distances_of, rate_of, split, whole_codes_of
from facematch.reencoding import Edition, Editions, Standing
from facematch.reindexing import Phase, Reindex
from facematch.store import (
    DEFAULT_BOUNDS,
    Bounds,
    Chances,
    Collection,
    Cursor,
    Generation,
    Image,
    Job,
    Match,
    MatchPage,
    ShownFaces,
    State,
)
from facematch.stored_faces import StoredFaces, face_count

_NUMBERS = TypeAdapter(list[float])
#: Characters of an image's hash.
_HASH = 64


def texts(values: list[bytes]) -> tuple[str, ...]:
    """The members of a set, in order."""
    return tuple(sorted(value.decode() for value in values))


def collection(values: Any) -> Collection:
    """Of `collection_view` in prelude.lua. Raises Unavailable for none."""
    if not values:
        raise Unavailable("store_unavailable", "the collection was not created yet")
    epoch, model, position, chain = (value.decode() for value in values[:4])
    calibration, size, live_faces = values[4:7]
    generations = tuple(generation(*told) for told in values[7:])
    return Collection(
        *(epoch, model, Tail(int(position), chain), generations),
        calibration=calibration.decode() if calibration else "",
        size=int(size or 0),
        live_faces=int(live_faces or 0),
    )


def generation(
    number: bytes,
    threshold: bytes,
    since: bytes | None,
    to: bytes | None,
    scored: bytes | None,
    *bounds_: bytes | None,
) -> Generation:
    """Of `collection_view` in prelude.lua."""
    return Generation(
        int(number),
        float(threshold),
        None if since is None else int(since),
        int(to or 0),
        bounds(*bounds_),
        scored=bool(scored),
    )


def bounds(max_false_matches: bytes | None, max_matches: bytes | None) -> Bounds:
    """Those of a generation."""
    return Bounds(
        float(max_false_matches) if max_false_matches else None,
        int(max_matches) if max_matches else None,
    )


def page_of(image_hash: str, result: Any) -> MatchPage:
    """Of matches.lua. Raises NotFound for no image."""
    image_ = image(image_hash, result and result[0])
    complete, more, exact, policy, about = result[1:6]
    threshold, scored, *bounds_ = policy
    left_out, calibration_, size, live, length, norms = about
    rated = bool(scored and calibration_)
    matches = _matches(*result[6:], scored=bool(scored), rated=rated)
    chances = None
    if rated and norms:
        pairs = np.frombuffer(norms, dtype="<f4").reshape(-1, 2).tolist()
        others = int(live) - face_count(length)
        own = tuple((float(mean), float(deviation)) for mean, deviation in pairs)
        codes_to = split(float(left_out))[0] if left_out else UNRATED
        chances = Chances(calibration_.decode(), own, int(size), others, codes_to)
    return MatchPage(
        *(image_, matches, int(complete)),
        threshold=float(threshold) if threshold else None,
        next=Cursor(matches[-1].score, matches[-1].position) if more else None,
        exact=bool(exact),
        bounds=bounds(*bounds_) if threshold else None,
        truncated=left_out is not None,
        chances=chances,
    )


def has_rates(result: Any) -> bool:
    """Whether the match sets that matches.lua has looked at have any, or there are none yet."""
    threshold, scored, *_ = result[4]
    return not threshold or bool(scored and result[5][1])


def _matches(
    hashes: bytes, places: bytes, names: Sequence[Any], *, scored: bool, rated: bool
) -> tuple[Match, ...]:
    """Those of matches.lua: by columns, because a page has a hundred of them."""
    if not names:
        return ()
    # As JSON, which is read in a quarter of the time that numpy takes for numbers with spaces.
    text, numbers = hashes.decode(), np.array(_NUMBERS.validate_json(b"[%b]" % places))
    positions, scores = numbers[::2].astype(np.int64), numbers[1::2]
    distances = distances_of(scores) if scored else scores
    rates = map(rate_of, whole_codes_of(scores)) if rated else repeat(None)
    columns = zip(
        [text[at : at + _HASH] for at in range(0, len(text), _HASH)],
        [(name.decode(),) if isinstance(name, bytes) else texts(name) for name in names],
        *(distances.tolist(), positions.tolist(), rates, scores.tolist()),
        strict=False,  # as many rates as are asked for
    )
    return tuple(map(Match._make, columns))


def job(job_id: str, values: Any) -> Job:
    """Of `job_view` in prelude.lua. Raises NotFound for none."""
    if not values:
        raise NotFound("not_found", f"no job {job_id}")
    state, name, url, image, attempts, code, detail = (
        value.decode() if value is not None else "" for value in values[:7]
    )
    found = int(values[8]) if values[8] is not None else None
    return Job(
        *(job_id, State(state), name, url, image, int(attempts), code, detail, found),
        submitted=int(values[7] or 0) / 1e6,
    )


def image(hash_: str, result: Any) -> Image:
    """Of image.lua. Raises NotFound for none."""
    if not result:
        raise NotFound("not_found", f"no image {hash_}")
    fields, names, *bases = result
    state, position, nonce, model, boxes, width, height, found, code = (
        value.decode() if value is not None else "" for value in fields
    )
    return Image(
        hash_,
        State(state),
        texts(names),
        int(position or 0),
        nonce,
        model,
        _boxes(boxes),
        int(width or 0),
        int(height or 0),
        int(found or 0),
        code,
        texts(bases[0]) if bases else (),
    )


def shown_faces(hash_: bytes, names: list[bytes], boxes: bytes, faces: bytes) -> ShownFaces:
    """One of shown_faces.lua."""
    stored = StoredFaces.unpack(faces)
    return ShownFaces(hash_.decode(), texts(names), _boxes(boxes.decode()), stored)


def _boxes(text: str) -> tuple[Box, ...]:
    return tuple(Box(*box) for box in json.loads(text or "[]"))


def reindex(values: Sequence[Any]) -> Reindex:
    """Of `reindex_view` in prelude.lua."""
    reindex_id, phase, generation, former, base, span, ranges, share, begun = (
        value.decode() for value in values[:9]
    )
    left, threshold, former_threshold, *bounds_ = values[9:]
    return Reindex(
        id=reindex_id,
        phase=Phase(phase),
        generation=int(generation),
        threshold=float(threshold),
        former=int(former),
        former_threshold=float(former_threshold),
        base=int(base),
        span=int(span),
        ranges=int(ranges),
        left=int(left),
        share=float(share),
        begun=float(begun),
        bounds=bounds(*bounds_[:2]),
        former_bounds=bounds(*bounds_[2:]),
    )


def entry(entry_id: bytes, fields: list[bytes]) -> Entry:
    """Of a stream entry as a script returns it."""
    return log_entry(entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))


def log_entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    """Of a stream entry as the client returns it."""
    return Entry(
        int(entry_id.partition(b"-")[0]),
        "add" if fields[b"op"] == b"add" else "del",
        fields[b"image"].decode(),
        fields[b"nonce"].decode(),
        int(fields[b"target"]),
        fields[b"chain"].decode(),
    )


def editions(values: Any) -> Editions:
    """Of `editions_view` in prelude.lua."""
    built, told = values
    there = [
        Edition(
            int(number),
            model.decode() if model else "",
            float(threshold or 0),
            encoder.decode() if encoder else "",
            detector.decode() if detector else "",
            bounds(*bounds_) if scored else DEFAULT_BOUNDS,
        )
        for number, model, threshold, encoder, detector, scored, *bounds_ in told
    ]
    return Editions(there[0], there[1] if len(there) > 1 else None, bool(built))


def standing(
    image: str,
    state: bytes | None,
    faces_found: bytes | None,
    other: bytes | None,
    code: bytes | None,
    other_faces_found: bytes | None,
    names: list[bytes],
) -> Standing:
    """How an image stands in two editions; see edition_standing.lua."""
    return Standing(
        image,
        State(state.decode()) if state else None,
        int(faces_found or 0),
        State(other.decode()) if other else None,
        code.decode() if code else "",
        int(other_faces_found or 0),
        texts(names),
    )


def failed(
    code: str,
    job_id: bytes,
    detail: bytes | None,
    name: bytes,
    url: bytes | None,
    image: bytes | None,
    attempts: bytes | None,
    failed_at: bytes | None,
) -> Failed:
    """Of failed_jobs.lua."""
    said, name_, url_, image_ = (
        value.decode() if value else "" for value in (detail, name, url, image)
    )
    tries, time = int(attempts or 0), float(failed_at or 0)
    return Failed(job_id.decode(), code, said, name_, url_, image_, tries, time)
