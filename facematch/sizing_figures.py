"""The figures that `facematch plan` reckons with: the ones that come with facematch
(`sizing.json`, each with where it was measured), and those of an ingest of the user's own.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from facematch.sizing import (
    Costs,
    Machine,
    Pictures,
    Rate,
    adjusted,
    match_bytes,
    rate_at,
    true_matches,
)

#: Entries of the log that are kept unless told (FACEMATCH_LOG_KEEP).
LOG_KEEP = 100_000
_FILE = Path(__file__).with_name("sizing.json")
#: Milliseconds of a core that a part of the service, or its client, computed for a picture.
_PROCESSOR = re.compile("processor (api|worker|index|store|queue|client)")
#: The check of an ingest that fails when somebody interrupted it.
_ENDED = "it came to its end"
_UNITS = {"bytes": 1.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Figures:
    """What a plan is made of, where each cost was measured, by its name, and the rates; and the
    machine that `picture` is of."""

    costs: Costs
    rates: tuple[Rate, ...]
    machine: Machine
    sources: Mapping[str, str]
    rates_source: str


@dataclass(frozen=True)
class Ingest:
    """A measured ingest: so many `images` at a `rate` of pictures a second, on all cores of a
    machine. What is None was not measured. `matches`: the mean size of a match set in the end;
    `image_bytes`: everything in Redis but faces and matches, for each image; `data_bytes`: all
    of it; `processor`: seconds of a core that all parts computed for a picture; `drawn`: of drawn
    faces, so that nobody had to look for them."""

    file: Path
    date: datetime
    machine: Machine
    images: int
    workers: int
    rate: float
    drawn: bool = False
    processor: float | None = None
    threshold: float | None = None
    faces: float | None = None
    matches: float | None = None
    data_bytes: float | None = None
    image_bytes: float | None = None
    face_bytes: float | None = None
    match_bytes: float | None = None
    index_face_bytes: float | None = None
    index_bytes: float | None = None
    store_bytes: float | None = None
    worker_bytes: float | None = None

    @property
    def core_seconds(self) -> float:
        """Of a picture: as computed, if that was measured; or else with all cores busy."""
        return self.processor or self.machine.cores / self.rate


class _Cost(BaseModel):
    value: _Positive
    unit: str
    measured: str


class _Rate(BaseModel):
    threshold: _Positive
    different_people: Annotated[float, Field(gt=0, lt=1)]
    same_person: Annotated[float, Field(ge=0, le=1)]
    spread: Annotated[float, Field(ge=0, le=5)]


class _Rates(BaseModel):
    measured: str
    thresholds: Annotated[list[_Rate], Field(min_length=1)]


class _Machine(BaseModel):
    cores: Annotated[int, Field(ge=1)]
    memory: _Positive


class _File(BaseModel):
    machine: _Machine
    costs: dict[str, _Cost]
    rates: _Rates


class _Measure(BaseModel):
    name: str
    value: float
    unit: str = ""


class _Check(BaseModel):
    name: str
    passed: bool


class _Result(BaseModel):
    """What `python -m benchmarks` keeps, as far as it is needed here."""

    benchmark: str
    date: datetime
    machine: _Machine
    options: dict[str, Any]
    measures: list[_Measure]
    checks: list[_Check] = []


@cache
def packaged() -> Figures:
    """The figures that come with facematch."""
    read = _File.model_validate_json(_FILE.read_bytes())
    rates = tuple(Rate(**rate.model_dump()) for rate in read.rates.thresholds)
    return Figures(
        Costs(**{field.name: read.costs[field.name].value for field in fields(Costs)}),
        tuple(sorted(rates, key=lambda rate: rate.threshold)),
        Machine(read.machine.cores, read.machine.memory),
        {name: cost.measured for name, cost in read.costs.items()},
        read.rates.measured,
    )


def read_ingest(path: Path) -> Ingest:
    """A kept result of `python -m benchmarks ingest`; of a folder, the latest in it.

    Raises ValueError with what is wrong with it.
    """
    if not path.is_dir():
        return _ingest(path)
    found, wrong = [], []
    for file in sorted(path.glob("*.json")):
        try:
            found.append(_ingest(file))
        except ValueError as error:
            wrong.append(str(error))
    if not found:
        why = f": {wrong[0]}" if len(wrong) == 1 else f" among {len(wrong)} JSON files"
        raise ValueError(f"{path} holds no result of `python -m benchmarks ingest`{why}")
    return max(found, key=lambda ingest: ingest.date)


def _ingest(file: Path) -> Ingest:
    try:
        result = _Result.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{file} is no result of a benchmark: {f'{where}: ' if where else ''}{first['msg']}"
        ) from error
    if result.benchmark != "ingest":
        raise ValueError(f"{file} is a result of {result.benchmark!r}, not of an ingest")
    if result.options.get("short"):
        raise ValueError(f"{file} is of a short run, which says nothing of time")
    if any(check.name == _ENDED and not check.passed for check in result.checks):
        raise ValueError(f"{file} is of an ingest that was interrupted")
    values = {measure.name: measure for measure in result.measures}
    images = _option(result, file, "pictures")
    faces, found = _value(values, "faces"), _value(values, "matches, in both directions")
    return Ingest(
        file=file,
        date=result.date,
        machine=Machine(result.machine.cores, result.machine.memory),
        images=int(images),
        workers=int(_option(result, file, "workers")),
        rate=_positive(values, "pictures a second", file),
        drawn=result.options.get("source") == "drawn",
        processor=sum(
            measure.value / 1000 for name, measure in values.items() if _PROCESSOR.fullmatch(name)
        )
        or None,
        threshold=_maybe(result.options, "threshold"),
        faces=faces / images if faces else None,
        matches=found / images if found else None,
        data_bytes=_value(values, "Redis bytes"),
        image_bytes=_value(values, "Redis bytes an image"),
        face_bytes=_value(values, "Redis bytes a face"),
        match_bytes=_value(values, "Redis bytes a match"),
        index_face_bytes=_value(values, "index bytes a face"),
        index_bytes=_value(values, "memory index"),
        store_bytes=_value(values, "memory store"),
        worker_bytes=_value(values, "memory worker"),
    )


def _option(result: _Result, file: Path, name: str) -> float:
    value = _maybe(result.options, name)
    if value is None or value < 1:
        raise ValueError(f"{file} does not say how many {name} there were (options)")
    return value


def _maybe(options: Mapping[str, Any], name: str) -> float | None:
    value = options.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def _positive(values: Mapping[str, _Measure], name: str, file: Path) -> float:
    value = _value(values, name)
    if value is None:
        raise ValueError(f"{file} has no measure {name!r}")
    return value


def _value(values: Mapping[str, _Measure], name: str) -> float | None:
    measure = values.get(name)
    if measure is None or not math.isfinite(measure.value) or measure.value <= 0:
        return None
    return measure.value * _UNITS.get(measure.unit, 1.0)


def adapted(figures: Figures, ingest: Ingest, pictures: Pictures, threshold: float) -> Figures:
    """The figures with which the model gives what was measured, as far as it was: the mean
    match set at this threshold, what a picture takes, and bytes. The others stay.

    Raises ValueError for a threshold beyond the rates.
    """
    source = f"{ingest.file.name}, {ingest.date:%Y-%m-%d}"
    rates = _observed(figures.rates, ingest, pictures, threshold)
    rate = rate_at(rates, threshold)
    costs = adjusted(figures.costs, ingest.images, rate, pictures, ingest.core_seconds)
    measured: dict[str, float | None] = {
        "image_bytes": _image_bytes(costs, ingest, pictures),
        "index_face_bytes": ingest.index_face_bytes,
        "index_bytes": bare_index(costs, ingest, pictures),
        "worker_bytes": ingest.worker_bytes,
    }
    if ingest.match_bytes is not None:
        # How many it has of either kind of set is the model's: only the mean was measured.
        factor = ingest.match_bytes / match_bytes(costs, ingest.images, rate, pictures)
        for name in ("set_bytes", "short_match_bytes", "long_match_bytes"):
            measured[name] = getattr(costs, name) * factor
    known = {name: value for name, value in measured.items() if value is not None}
    return Figures(
        replace(costs, **known),
        rates,
        ingest.machine,
        {**figures.sources, **dict.fromkeys(["picture", *known], source)},
        figures.rates_source if ingest.matches is None else f"{source}; {figures.rates_source}",
    )


def bare_index(costs: Costs, ingest: Ingest, pictures: Pictures) -> float | None:
    """Bytes of the process of an index without its faces; None where that was not measured."""
    if ingest.index_bytes is None:
        return None
    each = ingest.index_face_bytes or costs.index_face_bytes
    left = ingest.index_bytes - ingest.images * pictures.faces * each
    return left if left > 0 else None


def _image_bytes(costs: Costs, ingest: Ingest, pictures: Pictures) -> float | None:
    """Of an image with its first face, without its job and its entry of the log."""
    if ingest.image_bytes is None or ingest.face_bytes is None:
        return None
    faces = pictures.faces * ingest.face_bytes - (pictures.faces - 1) * costs.face_bytes
    logged = min(1.0, LOG_KEEP / ingest.images) * costs.log_bytes
    left = ingest.image_bytes + faces - costs.job_bytes - logged
    return left if left > 0 else None


def _observed(
    rates: Sequence[Rate], ingest: Ingest, pictures: Pictures, threshold: float
) -> tuple[Rate, ...]:
    """The rates, all by the factor by which this ingest found more at its threshold, or fewer."""
    if ingest.matches is None:
        return tuple(rates)
    rate = rate_at(rates, threshold)
    chance = (ingest.matches - true_matches(ingest.images, rate, pictures)) / ingest.images
    if not 0 < chance < 1:
        return tuple(rates)
    found = -math.expm1(math.log1p(-chance) / pictures.faces**2)
    factor = found / rate.different_people
    return tuple(
        replace(each, different_people=min(0.99, each.different_people * factor)) for each in rates
    )
