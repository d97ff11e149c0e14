"""From what is wanted and what was measured to how many machines, how long, and what becomes of it.

Pure functions for `facematch plan`; the model is in `facematch.sizing`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facematch.sizing import (
    DAY_SECONDS,
    INDEX_SHARE,
    MILVUS_FACE_BYTES,
    MONTH_HOURS,
    Machine,
    Pictures,
    Rate,
    advised,
    faces_in,
    false_matches,
    index_bytes,
    ingest_seconds,
    match_bytes,
    match_set_bytes,
    matches,
    milvus_work,
    rate_at,
    redis_bytes,
    redis_peak,
    store_work,
    true_matches,
    work,
)
from facematch.sizing_figures import LOG_KEEP, Figures, Ingest

#: What a plan must agree with: the part by which it may be off.
WITHIN = 0.25
_JOB_DAYS = 7


@dataclass(frozen=True)
class Wanted:
    """What a plan is asked for.

    `threshold` None: the loosest with at most `most_false` false matches an image. `workers` None:
    as many as `per_day` needs, `headroom` times over, one a machine, with a slot a core.
    """

    images: int
    per_day: int
    pictures: Pictures
    machine: Machine
    threshold: float | None = None
    workers: int | None = None
    headroom: float = 2.0
    most_false: float = 10.0


@dataclass(frozen=True)
class Setting:
    """What a threshold means among so many images: the share of one person's pairs that it finds,
    and false matches in the match set of an image. `redis_bytes` and `hours` of the whole."""

    threshold: float
    same_person: float
    false_matches: float
    redis_bytes: float
    hours: float


@dataclass(frozen=True)
class Plan:
    """The answer. Bytes, hours, and pictures a second; `same_person`: the share of one person's
    pairs that is found; `advised`: whether false matches keep to what is wanted; `busy` and
    `redis_busy`: shares of the workers' cores, and of Redis's one, at `headroom` times the daily
    load. `redis_peak_bytes`: while it writes its file anew. `reindex_bytes`: what match sets take
    once more while a reindex makes them anew. `milvus_from`: images from which on a sidecar does
    not fit beside a worker on such a machine."""

    images: int
    per_day: int
    threshold: float
    advised: bool
    index: str
    workers: int
    busy: float
    redis_busy: float
    first_hours: float
    first_rate: float
    last_rate: float
    index_bytes: float
    redis_bytes: float
    redis_peak_bytes: float
    reindex_bytes: float
    same_person: float
    true_matches: float
    false_matches: float
    milvus_from: int
    milvus_machines: int
    redis_machines: int
    machines: int
    machine_hours: float
    settings: tuple[Setting, ...]
    remarks: tuple[str, ...]


def planned(wanted: Wanted, figures: Figures) -> Plan:
    """What it takes. Raises ValueError for a threshold beyond the rates that were measured."""
    rate, is_advised = _rate(wanted, figures.rates)
    costs, pictures, machine = figures.costs, wanted.pictures, wanted.machine
    images = wanted.images
    a_second = wanted.per_day * wanted.headroom / DAY_SECONDS
    milvus_from = int(faces_in(costs, machine) / pictures.faces) + 1
    milvus = images >= milvus_from
    working = work(costs, images, rate, pictures, milvus)
    needed = max(1, math.ceil(a_second * working / machine.cores))
    workers = wanted.workers or needed
    milvus_machines = _milvus(wanted, figures, a_second) if milvus else 0
    cores, milvus_cores = workers * machine.cores, milvus_machines * machine.cores
    seconds = ingest_seconds(costs, images, rate, pictures, cores, milvus_cores)
    redis = _redis(wanted, figures, rate, seconds)
    peak = redis_peak(redis)
    redis_machines = math.ceil(peak / machine.memory)
    held = 0.0 if milvus else index_bytes(costs, images, pictures)
    together = workers == 1 and not milvus
    if together and held + costs.worker_bytes + peak <= machine.memory:
        machines = 1
    else:
        machines = workers + milvus_machines + redis_machines
    settings = tuple(_settings(wanted, figures, cores, milvus_cores))
    redis_busy = a_second * store_work(costs, images, rate, pictures)
    return Plan(
        images=images,
        per_day=wanted.per_day,
        threshold=rate.threshold,
        advised=is_advised,
        index="milvus" if milvus else "sidecar",
        workers=workers,
        busy=a_second * working / cores,
        redis_busy=redis_busy,
        first_hours=seconds / 3600,
        first_rate=_speed(wanted, figures, rate, cores, 0, milvus_cores),
        last_rate=_speed(wanted, figures, rate, cores, images, milvus_cores),
        index_bytes=held,
        redis_bytes=redis,
        redis_peak_bytes=peak,
        reindex_bytes=images * match_set_bytes(costs, images, rate, pictures),
        same_person=rate.same_person,
        true_matches=true_matches(images, rate, pictures),
        false_matches=false_matches(images, rate, pictures),
        milvus_from=milvus_from,
        milvus_machines=milvus_machines,
        redis_machines=redis_machines,
        machines=machines,
        machine_hours=machines * MONTH_HOURS,
        settings=settings,
        remarks=tuple(_remarks(wanted, figures.rates, rate, workers < needed, redis_busy, peak)),
    )


def _rate(wanted: Wanted, rates: Sequence[Rate]) -> tuple[Rate, bool]:
    """What is used, and whether it keeps false matches within what is wanted."""
    found = advised(rates, wanted.images, wanted.pictures, wanted.most_false)
    if wanted.threshold is None:
        strictest = min(rates, key=lambda rate: rate.threshold)
        return found or strictest, found is not None
    rate = rate_at(rates, wanted.threshold)
    false = false_matches(wanted.images, rate, wanted.pictures)
    return rate, false <= wanted.most_false


def _milvus(wanted: Wanted, figures: Figures, a_second: float) -> int:
    """Machines for Milvus: by its memory, and by comparing all faces."""
    machine, pictures = wanted.machine, wanted.pictures
    held = wanted.images * pictures.faces * MILVUS_FACE_BYTES
    busy = a_second * milvus_work(figures.costs, wanted.images, pictures)
    return max(1, math.ceil(held / (INDEX_SHARE * machine.memory)), math.ceil(busy / machine.cores))


def _redis(wanted: Wanted, figures: Figures, rate: Rate, seconds: float) -> float:
    """At its most: jobs are kept for a week, those of the first ingest or of the daily load."""
    week = _JOB_DAYS * DAY_SECONDS
    first = wanted.images * min(1.0, week / max(seconds, 1e-9))
    jobs = max(first, wanted.per_day * _JOB_DAYS)
    return redis_bytes(figures.costs, wanted.images, rate, wanted.pictures, jobs, LOG_KEEP)


def _speed(
    wanted: Wanted, figures: Figures, rate: Rate, cores: float, there: float, milvus_cores: float
) -> float:
    """Pictures a second when so many are there."""
    costs, pictures, milvus = figures.costs, wanted.pictures, milvus_cores > 0
    taken = [
        work(costs, there, rate, pictures, milvus) / cores,
        store_work(costs, there, rate, pictures),
    ]
    if milvus:
        taken.append(milvus_work(costs, there, pictures) / milvus_cores)
    return 1 / max(taken)


def _settings(
    wanted: Wanted, figures: Figures, cores: float, milvus_cores: float
) -> Iterator[Setting]:
    costs, pictures, images = figures.costs, wanted.pictures, wanted.images
    for rate in sorted(figures.rates, key=lambda rate: -rate.threshold):
        seconds = ingest_seconds(costs, images, rate, pictures, cores, milvus_cores)
        yield Setting(
            rate.threshold,
            rate.same_person,
            false_matches(images, rate, pictures),
            _redis(wanted, figures, rate, seconds),
            seconds / 3600,
        )


def _remarks(
    wanted: Wanted,
    rates: Sequence[Rate],
    rate: Rate,
    too_few: bool,
    redis_busy: float,
    peak: float,
) -> Iterator[str]:
    pictures, most = wanted.pictures, wanted.most_false
    false = false_matches(wanted.images, rate, pictures)
    if false > most:
        found = advised(rates, wanted.images, pictures, most)
        least = min(rates, key=lambda each: each.threshold)
        instead = (
            f"{found.threshold:g} keeps to {most:g}"
            if found
            else f"no threshold that was measured keeps to {most:g}: {least.threshold:g} has"
            f" {false_matches(wanted.images, least, pictures):,.0f}"
        )
        yield f"{false:,.0f} of an image's matches are false at {rate.threshold:g}; {instead}"
    if too_few:
        yield f"{wanted.workers} are too few workers for {wanted.per_day:,} a day"
    if redis_busy > 1:
        yield (
            f"Redis, which is one thread, would be busy {redis_busy:,.1f} times over: take a"
            " stricter threshold, or fewer a day"
        )
    if peak > wanted.machine.memory:
        yield (f"Redis needs a machine with {peak / 1e9:,.0f} GB: a collection is in one Redis")


@dataclass(frozen=True)
class Agreement:
    """What was measured beside what the plan says. `room`: what is planned is the most that it may
    take, as Redis does while it writes its file anew: that may have been seen or not."""

    name: str
    measured: float
    planned: float
    unit: str
    room: bool = False

    @property
    def off(self) -> float:
        """By which part of what was measured the plan is off."""
        return self.planned / self.measured - 1

    @property
    def agrees(self) -> bool:
        """Whether that is little enough; of room, whether there is."""
        return self.off >= 0 if self.room else abs(self.off) <= WITHIN


def compared(
    ingest: Ingest, figures: Figures, pictures: Pictures, threshold: float
) -> list[Agreement]:
    """A measured ingest beside what these figures say of it: its time, and where they were
    measured matches, the memory of Redis and that of an index. Raises ValueError for a threshold
    beyond the rates."""
    rate, costs, images = rate_at(figures.rates, threshold), figures.costs, ingest.images
    cores = ingest.machine.cores
    seconds = ingest_seconds(costs, images, rate, pictures, cores)
    redis = redis_bytes(costs, images, rate, pictures, images, LOG_KEEP)
    within, at_most = False, True
    index = index_bytes(costs, images, pictures)
    of_match = match_bytes(costs, images, rate, pictures)
    rows = (
        ("time of the ingest", images / ingest.rate, seconds, "s", within),
        ("processor time a picture", ingest.processor, seconds / images * cores, "s", within),
        ("matches of an image", ingest.matches, matches(images, rate, pictures), "", within),
        ("Redis bytes a match", ingest.match_bytes, of_match, "B", within),
        ("data in Redis", ingest.data_bytes, redis - costs.store_bytes, "B", within),
        ("memory of Redis, at most", ingest.store_bytes, redis_peak(redis), "B", at_most),
        ("memory of an index", ingest.index_bytes, index, "B", within),
    )
    return [
        Agreement(name, measured, says, unit, room)
        for name, measured, says, unit, room in rows
        if measured
    ]
