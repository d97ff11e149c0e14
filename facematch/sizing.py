"""How much a collection of pictures takes: processors, memory, hours and false matches.

A model with a few measured figures (`facematch.sizing_figures`), for `facematch plan`. With n
images there, of f faces each, taking in one more costs, in seconds of one core:

    work(n) = picture + megapixel × (pixels looked at - 0.0625 million) + (f - 1) × more_face
            + f × (query + query_face × f × n)
            + (query_match + match) × matches(n)
    matches(n) = same person's images that are found + (1 - (1 - rate)^(f × f)) × n

`rate` is the share of the pairs of faces of different people that lie within the threshold: in a
growing collection everything grows with it. An ingest of N pictures costs the integral of `work`
over 0…N, spread over all cores; and nothing is faster than Redis, which is one thread with work of
its own for each picture and match. Every match is kept twice, once for each of its images.

Match sets are not all alike: some faces have many more look-alikes than others. Their number
is taken as log-normal with a measured spread, because Redis keeps a set of up to 1,024 in a
fifth of the memory that a larger one takes for each match.

Not in it: networks and disks slower than a core; jobs that fail; the api's readers. Bytes are those
of the Valkey of the embedded service; redis-server takes up to half as much again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean

#: A sidecar takes at most this share of a machine's memory unless told (FACEMATCH_INDEX_MEMORY).
INDEX_SHARE = 0.8
#: Redis takes up to twice its data while it writes its file anew, which it does from 64 MB on;
#: 181 MB were seen with 90 MB of data.
STORE_ROOM, REWRITTEN_FROM = 2.0, 64 * 2**20
#: A set of more matches than this is kept in another way (zset-max-listpack-entries).
SHORT_SET = 1024
#: float32, as Milvus keeps a face; what else it needs was not measured.
MILVUS_FACE_BYTES = 512
MONTH_HOURS = 730
DAY_SECONDS = 86_400
#: Millions of pixels: of the pictures that were measured (250 × 250), and looked at at the most.
PORTRAIT, LOOKED_AT = 0.0625, 1.92
_STEPS = 64
_QUANTILES = [NormalDist().inv_cdf((step + 0.5) / 200) for step in range(200)]


@dataclass(frozen=True)
class Rate:
    """What a threshold does: the share of pairs of faces of different people, and of one person,
    that lie within it. `spread`: the standard deviation of the logarithm of how many faces of
    others lie within it of a face."""

    threshold: float
    different_people: float
    same_person: float
    spread: float


@dataclass(frozen=True)
class Costs:
    """What was measured. Seconds are those of one core; bytes are Redis's own count
    (`used_memory`) where they are its.

    picture           everything done for a picture of 250 × 250 pixels with one face in an empty
                      collection
    megapixel         each further million of pixels, as far as faces are looked for in them: in
                      1600 × 1200 at the most, unless told (FACEMATCH_MAX_SIDE)
    more_face         each further face of it
    query             asking the index for one face; for each face there: `query_face`; for each
                      face found: `query_match`
    match             comparing and writing one match, both ways
    milvus_face       Milvus's part of a query for each face there: all are compared, as float32
    store_picture     Redis's part of a picture; of a match, both ways: `store_match`
    image_bytes       an image with one face and no match, without its job; `face_bytes`: each
                      further face
    job_bytes         a job, kept for a week
    log_bytes         an entry of the log, of which the last 100,000 are kept
    set_bytes         a match set that is not empty
    short_match_bytes a match in a set of up to 1,024, one way; in a larger one: `long_match_bytes`
    index_face_bytes  a face in the index; the process itself: `index_bytes`
    store_bytes       a Redis with nothing in it (RSS)
    worker_bytes      a worker with two slots
    """

    picture: float
    megapixel: float
    more_face: float
    query: float
    query_face: float
    query_match: float
    match: float
    milvus_face: float
    store_picture: float
    store_match: float
    image_bytes: float
    face_bytes: float
    job_bytes: float
    log_bytes: float
    set_bytes: float
    short_match_bytes: float
    long_match_bytes: float
    index_face_bytes: float
    index_bytes: float
    store_bytes: float
    worker_bytes: float


@dataclass(frozen=True)
class Pictures:
    """What the pictures are like: faces in each, images that show one person, and millions of
    pixels in each."""

    faces: float = 1.0
    per_person: float = 5.0
    megapixels: float = PORTRAIT


@dataclass(frozen=True)
class Machine:
    """What a worker with its index, or Redis, runs on. `memory` in bytes."""

    cores: int
    memory: float


def rate_at(rates: Sequence[Rate], threshold: float) -> Rate:
    """What a threshold does, between two that were measured: rates by their logarithms.

    Raises ValueError beyond those measured.
    """
    ordered = sorted(rates, key=lambda rate: rate.threshold)
    least, most = ordered[0].threshold, ordered[-1].threshold
    if not least <= threshold <= most:
        raise ValueError(
            f"{threshold:g} is not within {least:g} and {most:g}, for which rates were measured"
        )
    above = next(rate for rate in ordered if rate.threshold >= threshold)
    below = max(
        (rate for rate in ordered if rate.threshold <= threshold), key=lambda rate: rate.threshold
    )
    if above is below:
        return above
    part = (threshold - below.threshold) / (above.threshold - below.threshold)

    def between(a: float, b: float) -> float:
        return a + (b - a) * part

    logarithm = between(math.log(below.different_people), math.log(above.different_people))
    return Rate(
        threshold,
        math.exp(logarithm),
        between(below.same_person, above.same_person),
        between(below.spread, above.spread),
    )


def false_matches(images: float, rate: Rate, pictures: Pictures) -> float:
    """How many images of other people are in the match set of one, among so many."""
    # Any pair of their faces makes two images match. expm1 and log1p: rates are small.
    chance = -math.expm1(pictures.faces**2 * math.log1p(-rate.different_people))
    return chance * images


def true_matches(images: float, rate: Rate, pictures: Pictures) -> float:
    """How many images of the same person are in the match set of one, among so many."""
    return rate.same_person * min(pictures.per_person - 1, images)


def matches(images: float, rate: Rate, pictures: Pictures) -> float:
    """The mean size of a match set, among so many images."""
    found = true_matches(images, rate, pictures) + false_matches(images, rate, pictures)
    return min(images, found)


def work(
    costs: Costs, images: float, rate: Rate, pictures: Pictures, milvus: bool = False
) -> float:
    """Seconds of one core for one more picture when so many images are there; without what it
    takes `milvus`, where the index is one."""
    query = costs.query + (0 if milvus else costs.query_face * pictures.faces * images)
    pairs = (costs.query_match + costs.match) * matches(images, rate, pictures)
    larger = min(pictures.megapixels, LOOKED_AT) - PORTRAIT
    looking = costs.picture + larger * costs.megapixel + (pictures.faces - 1) * costs.more_face
    return looking + pictures.faces * query + pairs


def milvus_work(costs: Costs, images: float, pictures: Pictures) -> float:
    """Seconds of one of Milvus's cores for one more picture, when it compares all faces."""
    return pictures.faces * costs.milvus_face * pictures.faces * images


def store_work(costs: Costs, images: float, rate: Rate, pictures: Pictures) -> float:
    """Seconds of Redis for one more picture when so many images are there."""
    return costs.store_picture + costs.store_match * matches(images, rate, pictures)


def mean_over(images: float, cost: Callable[[float], float]) -> float:
    """The mean of what a picture costs while a collection grows from nothing to so many."""
    return fmean(cost(images * (step + 0.5) / _STEPS) for step in range(_STEPS))


def ingest_seconds(
    costs: Costs,
    images: float,
    rate: Rate,
    pictures: Pictures,
    cores: float,
    milvus_cores: float = 0.0,
) -> float:
    """How long taking in so many pictures from the first on takes on so many cores; and on so many
    of Milvus's, where the index is one."""
    milvus = milvus_cores > 0
    taken = [
        mean_over(images, lambda there: work(costs, there, rate, pictures, milvus)) / cores,
        mean_over(images, lambda there: store_work(costs, there, rate, pictures)),
    ]
    if milvus:
        scan = mean_over(images, lambda there: milvus_work(costs, there, pictures))
        taken.append(scan / milvus_cores)
    return images * max(taken)


def match_set_bytes(costs: Costs, images: float, rate: Rate, pictures: Pictures) -> float:
    """Bytes of the match set of an image in Redis, on average, among so many images."""
    true, false = true_matches(images, rate, pictures), false_matches(images, rate, pictures)
    shift = rate.spread**2 / 2
    sizes = (
        min(images, true + false * math.exp(rate.spread * place - shift)) for place in _QUANTILES
    )
    return fmean(_set_bytes(costs, size) for size in sizes)


def _set_bytes(costs: Costs, size: float) -> float:
    each = costs.short_match_bytes if size <= SHORT_SET else costs.long_match_bytes
    # Of an empty set nothing is kept.
    return -math.expm1(-size) * costs.set_bytes + size * each


def match_bytes(costs: Costs, images: float, rate: Rate, pictures: Pictures) -> float:
    """Bytes of a match in Redis, one way, on average: with its part of the set it is in."""
    return match_set_bytes(costs, images, rate, pictures) / matches(images, rate, pictures)


def redis_bytes(
    costs: Costs, images: float, rate: Rate, pictures: Pictures, jobs: float, log_keep: int
) -> float:
    """Bytes of a collection in Redis, with so many jobs of the last week and log entries."""
    faces = costs.image_bytes + (pictures.faces - 1) * costs.face_bytes
    sets = match_set_bytes(costs, images, rate, pictures)
    kept = min(images, log_keep) * costs.log_bytes + min(images, jobs) * costs.job_bytes
    return costs.store_bytes + images * (faces + sets) + kept


def redis_peak(held: float) -> float:
    """Bytes that a Redis with so many takes at its most."""
    return held * STORE_ROOM if held >= REWRITTEN_FROM else held


def index_bytes(costs: Costs, images: float, pictures: Pictures) -> float:
    """Bytes of one sidecar that holds so many images."""
    return costs.index_bytes + images * pictures.faces * costs.index_face_bytes


def faces_in(costs: Costs, machine: Machine) -> int:
    """How many faces a sidecar holds on such a machine, with its worker beside it."""
    room = min(
        INDEX_SHARE * machine.memory, machine.memory - costs.worker_bytes - costs.index_bytes
    )
    return max(0, int(room / costs.index_face_bytes))


def advised(rates: Sequence[Rate], images: float, pictures: Pictures, most: float) -> Rate | None:
    """The loosest measured threshold with at most so many false matches an image; None: none."""
    found = [rate for rate in rates if false_matches(images, rate, pictures) <= most]
    return max(found, key=lambda rate: rate.threshold, default=None)


def adjusted(
    costs: Costs,
    images: float,
    rate: Rate,
    pictures: Pictures,
    core_seconds: float,
) -> Costs:
    """The costs with which an ingest of so many pictures takes so many seconds of a core for each.

    The difference is put on what every picture costs. Where the growing part alone would take
    longer than all did, it is made smaller until it takes nine tenths.
    """
    empty = replace(costs, picture=0.0)
    growing = mean_over(images, lambda there: work(empty, there, rate, pictures))
    factor = min(1.0, 0.9 * core_seconds / growing)
    smaller = {
        name: getattr(costs, name) * factor
        for name in ("megapixel", "more_face", "query", "query_face", "query_match", "match")
    }
    return replace(costs, **smaller, picture=core_seconds - growing * factor)
