"""Results that are kept as JSON (`benchmarks.report`), read back: what is none is named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.report import Check, Measure, Series

#: No result is nearly as large; what is, is something else.
_MOST_BYTES = 32 << 20

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Machine(BaseModel):
    """Where a result was measured; `memory` in bytes."""

    model_config = ConfigDict(frozen=True)

    cpu: str
    cores: int
    memory: _Finite
    python: str = ""
    system: str = ""
    versions: dict[str, str] = {}

    def __str__(self) -> str:
        """For people, without versions."""
        python = f", Python {self.python}" if self.python else ""
        return f"{self.cpu}, {self.cores} cores, {self.memory / 2**30:.0f} GB{python}"

    @property
    def kind(self) -> tuple[str, int, int, str]:
        """What must be the same for times to be compared: a few bytes of memory are not it."""
        return self.cpu, self.cores, round(self.memory / 2**30), self.python


class _Measure(BaseModel):
    name: str
    value: _Finite
    unit: str
    baseline: str = ""
    baseline_value: _Finite | None = None
    more_is_better: bool = False


class _Check(BaseModel):
    name: str
    passed: bool
    detail: str


class _Series(BaseModel):
    name: str
    unit: str
    x: str
    points: list[tuple[_Finite, _Finite]]


class _Result(BaseModel):
    benchmark: str
    date: datetime
    machine: Machine
    options: dict[str, Any]
    measures: list[_Measure]
    checks: list[_Check]
    series: list[_Series] = []


@dataclass(frozen=True)
class Result:
    """A run that was kept, and the name of its file."""

    file: str
    benchmark: str
    date: datetime
    machine: Machine
    options: Mapping[str, Any]
    measures: Sequence[Measure]
    checks: Sequence[Check]
    series: Sequence[Series] = ()

    @property
    def key(self) -> str:
        """The same for runs of one benchmark with the same options."""
        return f"{self.benchmark} {json.dumps(self.options, sort_keys=True)}"


@dataclass(frozen=True)
class Broken:
    """A file that is no result, and why."""

    file: str
    why: str


def read(folder: Path) -> tuple[list[Result], list[Broken]]:
    """All results of a folder, by benchmark and file, and what else is in its JSON files."""
    results, broken = [], []
    for file in sorted(folder.glob("*.json")):
        try:
            results.append(_read(file))
        except OSError as error:
            broken.append(Broken(file.name, error.strerror or str(error)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            broken.append(Broken(file.name, f"{where}: {first['msg']}" if where else first["msg"]))
        except ValueError as error:
            broken.append(Broken(file.name, str(error)))
    return sorted(results, key=lambda result: (result.benchmark, result.file)), broken


def _read(file: Path) -> Result:
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError("too large for a result")
    read = _Result.model_validate_json(file.read_bytes())
    return Result(
        file.name,
        read.benchmark,
        read.date,
        read.machine,
        read.options,
        [Measure(**measure.model_dump()) for measure in read.measures],
        [Check(**check.model_dump()) for check in read.checks],
        [Series(**series.model_dump()) for series in read.series],
    )
