"""What a stored match takes: bytes in Valkey and in Redis, and time to write, by how large a match
set is kept as a list (zset-max-listpack-entries)."""

import shutil
import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.filling import MODEL
from benchmarks.report import Check, Measure, Report
from benchmarks.store_bytes import THRESHOLD, add, server
from facematch.faces import DIMENSIONS
from facematch.match_scores import UNRATED, scores_of
from facematch.redis_connection import Redis
from facematch.redis_sizes import LISTPACK, LISTPACK_ENTRIES
from facematch.redis_store import RedisStore
from facematch.store import Link

#: As servers come.
_USUAL = 128
_SHORT_SETS, _LONG_SETS = (300, 900), (1500, 3000)
_SMALL_SETS = (20, 100)
_MUST = 40
_POSITIONS = 10_000_000
_PORTION = 1000
_ANY = 1_000_000
LISTS = f"sets of up to {LISTPACK_ENTRIES:,}"


def run(short: bool) -> Report:
    """Measure. `short`: a few matches, and no figure means much."""
    sizes, others, rounds = ((20, 200), 20, 1) if short else ((100, 1000, 5000), 100, 5)
    report = Report("match-sets", {"sizes": list(sizes), "short": short})
    programs = {"": "", "Redis": shutil.which("redis-server") or ""}
    found = {}
    for name, program in programs.items():
        if name and not program:
            print("redis-server: not installed, skipped", flush=True)
            continue
        with server(program) as client:
            told: Any = client.info("server")
            found[f"{name} {told['redis_version']}" if name else ""] = _bytes(client)
    ours = found.pop("")
    name, theirs = next(iter(found.items()), ("", {}))
    for what, value in ours.items():
        report.measures.append(Measure(what, value, "bytes", name, theirs.get(what)))
    worst = max(one[f"Redis bytes a match, one way, in {LISTS}"] for one in (ours, *found.values()))
    detail = f"{worst:.1f} bytes at the most, {_MUST} may be"
    report.checks.append(Check("bytes a match, one way", worst <= _MUST, detail))
    for size in sizes:
        seconds = {
            entries: _linking(entries, size, min(others, size), rounds)
            for entries in (_USUAL, LISTPACK_ENTRIES, _ANY)
        }
        usual = seconds[_USUAL] * 1000
        for entries, words in ((LISTPACK_ENTRIES, ""), (_ANY, ", lists of any length")):
            what = f"writing the {size:,} matches of an image{words}"
            value = seconds[entries] * 1000
            report.measures.append(Measure(what, value, "ms", f"{LISTPACK} {_USUAL}", usual))
    return report


def _bytes(client: Redis) -> Mapping[str, float]:
    client.config_set(LISTPACK, LISTPACK_ENTRIES)
    few, some = (_taken(client, size) for size in _SMALL_SETS)
    each = (some - few) / (_SMALL_SETS[1] - _SMALL_SETS[0])
    own = few - _SMALL_SETS[0] * each

    def mean(sizes: tuple[int, ...], *, rated: bool = True) -> float:
        return fmean((_taken(client, size, rated=rated) - own) / size for size in sizes)

    found = {
        "Redis bytes a match set": own,
        f"Redis bytes a match, one way, in {LISTS}": mean(_SHORT_SETS),
        "Redis bytes a match, one way, in larger sets": mean(_LONG_SETS),
    }
    client.config_set(LISTPACK, _USUAL)
    # As it was before there were rates.
    for words, sizes in (("100", _SMALL_SETS[1:]), ("300 and 900", _SHORT_SETS)):
        what = f"before: a distance alone, {LISTPACK} {_USUAL}, sets of {words}"
        found[what] = mean(sizes, rated=False)
    return found


def _taken(client: Redis, size: int, *, rated: bool = True) -> float:
    """Of a match set with so many matches: the mean of some."""
    rng = np.random.default_rng(size)
    taken = []
    for number in range(8):
        key = _key(_POSITIONS + number)
        client.delete(key)
        _fill(client, key, size, rng, rated=rated)
        taken.append(int(client.memory_usage(key, samples=0) or 0))
        client.delete(key)
    return fmean(taken)


def _fill(
    client: Redis, key: str, size: int, rng: np.random.Generator, *, rated: bool = True
) -> None:
    """Matches like those of a collection of ten million images."""
    members = rng.choice(_POSITIONS, size, replace=False) + _POSITIONS
    values = rng.uniform(0.3, THRESHOLD, size)
    if rated:
        values = scores_of(rng.integers(UNRATED // 2, UNRATED, size), values)
    pairs = list(zip(members.tolist(), values.tolist(), strict=True))
    for start in range(0, size, _PORTION):
        client.zadd(key, dict(pairs[start : start + _PORTION]))


def _linking(entries: int, size: int, others: int, rounds: int) -> float:
    """Seconds to write so many matches of an image, whose own set and those of the other images
    have as many then: the least of some rounds, from as many as are in one call."""
    rng = np.random.default_rng(7)
    with server() as client:
        client.config_set(LISTPACK, entries)
        store = RedisStore(client)
        store.create(MODEL, THRESHOLD)
        faces = rng.random((others + rounds, 1, DIMENSIONS), dtype=np.float32)
        peers = [add(store, encoding)[1].position for encoding in faces[:others]]
        for position in peers:
            _fill(client, _key(position), size - 1, rng)
        seconds = []
        for encoding in faces[others:]:
            image, place = add(store, encoding)
            if size > others:
                _fill(client, _key(place.position), size - others, rng)
            pairs = list(zip(peers, rng.uniform(0.3, THRESHOLD, others).tolist(), strict=True))
            codes = sorted(rng.integers(UNRATED // 2, UNRATED, others).tolist())
            seen = store.collection().tail
            link = Link(image, place, seen, "t", 0, pairs, last=True, codes=codes)
            began = time.perf_counter()
            store.link(link)
            seconds.append(time.perf_counter() - began)
            for position in peers:
                client.zrem(_key(position), place.position)
        return min(seconds) / others * size


def _key(position: int) -> str:
    return f"fm:{{default}}:matches:{position}"
