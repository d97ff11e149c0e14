"""The figures that come with facematch (`facematch/sizing.json`), taken from kept results."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kept import Result, read
from benchmarks.match_sets import LISTS
from benchmarks.report import Measure
from facematch.sizing import LOOKED_AT, PORTRAIT, Costs, Pictures, adjusted, rate_at
from facematch.sizing_figures import bare_index, packaged, read_ingest

_UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "bytes": 1.0, "MiB": 2.0**20}
#: Pictures of the ingest that is kept: half of Labeled Faces in the Wild.
_THRESHOLD = 0.6
_PORTRAIT = "250×250 picture to encodings, one core"
_LARGE = "12-megapixel picture with a face of 200 pixels to encodings, one core"


@dataclass(frozen=True)
class _Taken:
    """A cost from a measure of a benchmark, in seconds or bytes."""

    cost: str
    benchmark: str
    measure: str
    of: Callable[[Measure, Result], float] = lambda measure, _: measure.value * _UNITS[measure.unit]


def _each(measure: Measure, result: Result) -> float:
    """Of the baseline, for each face."""
    return (measure.baseline_value or 0) * _UNITS[measure.unit] / float(result.options["faces"])


def _without_faces(measure: Measure, result: Result) -> float:
    """Of a process, without its faces."""
    faces = float(result.options["faces"]) * packaged().costs.index_face_bytes
    return measure.value * _UNITS[measure.unit] - faces


def _each_megapixel(measure: Measure, result: Result) -> float:
    """Of a large picture, beyond those of a portrait."""
    portrait = next(one for one in result.measures if one.name == _PORTRAIT)
    further = measure.value * _UNITS[measure.unit] - portrait.value * _UNITS[portrait.unit]
    return further / (LOOKED_AT - PORTRAIT)


_TAKEN = (
    _Taken("store_bytes", "sizing", "memory of a Redis with nothing in it"),
    _Taken("image_bytes", "sizing", "Redis bytes an image with one face and no match"),
    _Taken("face_bytes", "sizing", "Redis bytes a further face"),
    _Taken("job_bytes", "sizing", "Redis bytes a job"),
    _Taken("log_bytes", "sizing", "Redis bytes an entry of the log"),
    _Taken("set_bytes", "match-sets", "Redis bytes a match set"),
    _Taken("short_match_bytes", "match-sets", f"Redis bytes a match, one way, in {LISTS}"),
    _Taken("long_match_bytes", "match-sets", "Redis bytes a match, one way, in larger sets"),
    _Taken("store_picture", "sizing", "Redis, a picture"),
    _Taken("store_match", "sizing", "Redis, a match both ways"),
    _Taken("match", "sizing", "worker and Redis, a match both ways"),
    _Taken("query", "sizing", "query of one face"),
    _Taken("query_face", "sizing", "query of one face, for each face there"),
    _Taken("query_match", "sizing", "query of one face, for each face found"),
    _Taken("index_face_bytes", "index", "memory of a face"),
    _Taken("milvus_face", "index", "one query, 0.5", _each),
    _Taken("index_bytes", "index", "memory of the index in the end", _without_faces),
    _Taken("megapixel", "encode", _LARGE, _each_megapixel),
    _Taken("more_face", "encode", "face chip to encoding, one thread, batch of 16"),
    _Taken("worker_bytes", "encode", "memory of a worker with two slots"),
)


def renew(file: Path, results: Path, ingest: Path | None) -> list[str]:
    """Put what the results of a folder say into the file, and of an ingest of real pictures what a
    picture takes; the names of what was put. Rates, and what there is no result of, stay.

    Raises OSError, and ValueError for what is no ingest, or for a figure that cannot be.
    """
    content: dict[str, Any] = json.loads(file.read_text())
    found = _costs(read(results)[0])
    for name, cost in found.items():
        if cost["value"] <= 0:
            raise ValueError(
                f"{name} would be {cost['value']:g}: measure it again, on a quiet machine"
            )
        content["costs"][name] = cost
    if ingest is not None:
        own = _of_ingest(ingest, content["costs"])
        content["costs"] |= own
        found |= own
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return list(found)


def _costs(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """By name, as they are in the file; of several results the latest that has the measure."""
    found: dict[str, dict[str, Any]] = {}
    for result in sorted(results, key=lambda result: result.date):
        if result.options.get("short"):
            continue
        measures = {measure.name: measure for measure in reversed(result.measures)}
        for taken in _TAKEN:
            measure = measures.get(taken.measure)
            if taken.benchmark == result.benchmark and measure is not None:
                unit = "bytes" if taken.cost.endswith("_bytes") else "s"
                about = f"{result.date:%Y-%m-%d}, {result.file}: {taken.measure}"
                value = float(f"{taken.of(measure, result):.4g}")
                found[taken.cost] = {"value": value, "unit": unit, "measured": about}
    return found


def _of_ingest(file: Path, costs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a picture takes, so that the model gives the time of this ingest; and the memory of the
    processes that an index and a worker are."""
    ingest = read_ingest(file)
    if ingest.drawn:
        raise ValueError(f"{file} is of drawn faces, which nobody had to look for")
    known = Costs(**{name: float(cost["value"]) for name, cost in costs.items()})
    rate = rate_at(packaged().rates, ingest.threshold or _THRESHOLD)
    pictures = Pictures(ingest.faces or 1.0)
    fitted = adjusted(known, ingest.images, rate, pictures, ingest.core_seconds)
    about = f"{ingest.date:%Y-%m-%d}, {ingest.file.name}: {ingest.images:,} pictures"
    taken = f"{about}, {ingest.core_seconds * 1000:.1f} ms of a core each, without what grows"
    values = {
        "picture": (fitted.picture, "s", taken),
        "index_bytes": (bare_index(known, ingest, pictures), "bytes", f"{about}, without faces"),
        "worker_bytes": (ingest.worker_bytes, "bytes", about),
    }
    return {
        name: {"value": float(f"{value:.4g}"), "unit": unit, "measured": measured}
        for name, (value, unit, measured) in values.items()
        if value is not None
    }
