"""What an export is: a zip file, described in docs/export.md. The only home of that format.

    manifest.json           what the collection is, and how much of it there is
    images/00001.jsonl      a line for each image
    faces/00001.npz         the encodings, norms and matches of the same images, in their order
    people.jsonl            people, what was said of who is who, and what is still to be grouped

Nothing in it is code: numpy reads the arrays without pickle, and what is read is checked.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from facematch.archiving import Arrival, Record
from facematch.errors import Rejected
from facematch.faces import DIMENSIONS, FACES_PER_POSITION, Box, is_image_hash
from facematch.store import Image, State
from facematch.stored_faces import StoredFaces

_FORMAT, _VERSION = "facematch-export", 1
_MANIFEST, _PEOPLE = "manifest.json", "people.jsonl"
#: No number in an export is beyond what a float64 counts exactly.
_MOST = 2**53
#: More than any threshold.
_FARTHEST = 1e6
#: Of a part; more is no export of ours.
_MOST_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Manifest:
    """What is in an export. `position`: where the log ended when it was begun. `gone`: positions of
    images that were erased while it was made. `regroup`: people are to be grouped anew."""

    id: str
    created: str
    by: str
    model: str
    calibration: str
    threshold: float
    max_false_matches: float | None
    max_matches: int | None
    scored: bool
    approximate_since: int | None
    size: int
    position: int
    last_number: int
    parts: int = 0
    images: int = 0
    faces: int = 0
    matches: int = 0
    gone: tuple[int, ...] = ()
    false_pairs: float | None = None
    limit: int | None = None
    reach: int | None = None
    regroup: bool = False
    format: str = _FORMAT
    version: int = _VERSION


@dataclass(frozen=True, eq=False)
class Part:
    """Some images, by ascending position. `matches`: of each those with lower positions: positions
    and scores."""

    arrivals: Sequence[Arrival]
    matches: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]]


@dataclass(frozen=True)
class _Line:
    hash: str
    position: int
    state: State
    names: tuple[str, ...]
    nonce: str
    number: int
    boxes: tuple[tuple[int, int, int, int], ...]
    width: int
    height: int
    faces_found: int


#: Position of an image and number of a face in it.
FacePlace: TypeAlias = tuple[int, int]

_Form = TypeVar("_Form")


@dataclass(frozen=True)
class PeopleLine:
    """A line about people: a person with its faces, each by position and number; or faces that are
    said to be `together`, or `apart` from `others`; or positions of images still to be `ungrouped`.
    """

    person: str | None = None
    name: str = ""
    faces: tuple[FacePlace, ...] = ()
    said: int | None = None
    together: tuple[FacePlace, ...] = ()
    apart: tuple[FacePlace, ...] = ()
    others: tuple[FacePlace, ...] = ()
    ungrouped: tuple[int, ...] = field(default=())


_MANIFEST_FORM = TypeAdapter(Manifest)
_LINE_FORM = TypeAdapter(_Line)
_PEOPLE_FORM = TypeAdapter(PeopleLine)


class ArchiveWriter:
    """Writes one to a path that does not exist before `close`: until then it has another name."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path, self._partial = path, path.with_name(f".{path.name}.partial")
        self._zip = zipfile.ZipFile(self._partial, "w")
        self.parts = 0

    def add(self, part: Part) -> None:
        """Write images."""
        self.parts += 1
        lines = "".join(f"{json.dumps(_line(one.record))}\n" for one in part.arrivals)
        self._write(f"images/{self.parts:05}.jsonl", lines.encode(), zipfile.ZIP_DEFLATED)
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, **_arrays(part))
        self._write(f"faces/{self.parts:05}.npz", out.getvalue(), zipfile.ZIP_STORED)

    def people(self, lines: Iterator[PeopleLine]) -> None:
        """Write what is known of people."""
        info = zipfile.ZipInfo(_PEOPLE, _TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(info, "w", force_zip64=True) as out:
            for line in lines:
                told = {
                    name: value for name, value in asdict(line).items() if value not in ("", ())
                }
                told = {name: value for name, value in told.items() if value is not None}
                out.write(f"{json.dumps(told)}\n".encode())

    def finish(self, manifest: Manifest) -> None:
        """Write what it is, last, and give it its name."""
        text = json.dumps(asdict(replace(manifest, parts=self.parts)), indent=1)
        self._write(_MANIFEST, text.encode(), zipfile.ZIP_DEFLATED)
        self._zip.close()
        self._partial.replace(self._path)

    def __enter__(self) -> "ArchiveWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """What is not finished is taken away."""
        self._zip.close()
        self._partial.unlink(missing_ok=True)

    def _write(self, name: str, data: bytes, how: int) -> None:
        info = zipfile.ZipInfo(name, _TIME)
        info.compress_type = how
        self._zip.writestr(info, data)


#: Two exports of the same are the same bytes, but for the manifest.
_TIME = (1980, 1, 1, 0, 0, 0)


class ArchiveReader:
    """Reads one. Every method raises Rejected("bad_export") for what is no export or is damaged."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        try:
            self._zip = zipfile.ZipFile(path)
            self.manifest = self._manifest()
        except zipfile.BadZipFile as error:
            raise _bad(f"{path.name} is no zip file, or is cut short") from error

    def _manifest(self) -> Manifest:
        try:
            told = json.loads(self._bytes(_MANIFEST))
        except ValueError as error:
            raise _bad(f"{_MANIFEST} is no JSON") from error
        if not isinstance(told, dict) or told.get("format") != _FORMAT:
            raise _bad(f"{_MANIFEST} is not that of an export")
        if told.get("version") != _VERSION:
            raise _bad(f"it is of version {told.get('version')!r}, known here is {_VERSION}")
        manifest = _formed(_MANIFEST_FORM, told, _MANIFEST)
        numbers = (manifest.size, manifest.position, manifest.last_number, manifest.parts)
        whole = all(0 <= number < _MOST for number in numbers)
        if not whole or not 0 < manifest.threshold <= _FARTHEST:
            raise _bad(f"{_MANIFEST} has numbers that cannot be")
        return manifest

    def parts(self, behind: int = 0) -> Iterator[Part]:
        """All images, those without a face first, then by ascending position; those of parts that
        end at a position up to `behind` are left out."""
        last = 0
        for number in range(1, self.manifest.parts + 1):
            name = f"images/{number:05}.jsonl"
            lines = [self._line(name, line) for line in self._bytes(name).splitlines()]
            for line in lines:
                if line.position and line.position <= last:
                    raise _bad(f"{name}: positions do not ascend")
                last = line.position or last
            if last > self.manifest.position:
                raise _bad(f"{name}: position {last} is behind the last one")
            if not lines or 0 < lines[-1].position <= behind:
                continue
            yield self._part(f"faces/{number:05}.npz", lines)

    def people(self) -> Iterator[PeopleLine]:
        """What is known of people."""
        if _PEOPLE not in self._zip.namelist():
            return
        with self._open(_PEOPLE) as lines:
            for line in lines:
                try:
                    told = json.loads(line)
                except ValueError as error:
                    raise _bad(f"{_PEOPLE} has a line that is no JSON") from error
                yield _formed(_PEOPLE_FORM, told, _PEOPLE)

    def __enter__(self) -> "ArchiveReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def _line(self, name: str, text: bytes) -> _Line:
        try:
            told = json.loads(text)
        except ValueError as error:
            raise _bad(f"{name} has a line that is no JSON") from error
        line = _formed(_LINE_FORM, told, name)
        whole = (line.position, line.number, line.width, line.height, line.faces_found)
        right = (
            is_image_hash(line.hash)
            and line.state in (State.INDEXED, State.DONE)
            and all(0 <= number < _MOST for number in whole)
            and bool(line.position) == bool(line.boxes)
            and len(line.boxes) <= FACES_PER_POSITION
        )
        if not right:
            raise _bad(f"{name} has an image that cannot be: {line.hash[:64]!r}")
        return line

    def _part(self, name: str, lines: Sequence[_Line]) -> Part:
        arrays = self._arrays(name)
        try:
            return _joined(lines, arrays, self.manifest.model)
        except (ValueError, IndexError, TypeError) as error:
            raise _bad(f"{name} does not go with its images: {error}") from error

    def _arrays(self, name: str) -> dict[str, NDArray[Any]]:
        data = self._bytes(name)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return {one: arrays[one] for one in _DTYPES}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise _bad(f"{name} has not the arrays of an export") from error

    def _bytes(self, name: str) -> bytes:
        with self._open(name) as member:
            try:
                return member.read()
            except (zipfile.BadZipFile, EOFError, OSError) as error:
                raise _bad(f"{name} is damaged") from error

    def _open(self, name: str) -> IO[bytes]:
        try:
            if self._zip.getinfo(name).file_size > _MOST_BYTES and name != _PEOPLE:
                raise _bad(f"{name} is too large")
            return self._zip.open(name)
        except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise _bad(f"it has no {name} that can be read") from error


#: The arrays of a part. Of n images: how many faces; the faces ever committed with them; whether
#: they have norms; from which score on matches are left out (NaN: none are, infinite: for others'
#: sake); how many matches. Of all their faces: encodings (f, 128), norms (f, 2). Of all matches:
#: position of the other image, score.
_DTYPES = {
    "counts": "<i8",
    "sizes": "<i8",
    "normed": "|b1",
    "limits": "<f8",
    "matched": "<i8",
    "encodings": "<f4",
    "norms": "<f4",
    "others": "<i8",
    "scores": "<f8",
}


def _line(record: Record) -> dict[str, Any]:
    image = record.image
    boxes = tuple((box.top, box.right, box.bottom, box.left) for box in image.boxes)
    return asdict(
        _Line(
            *(image.hash, image.position, image.state, tuple(image.names), image.nonce),
            *(record.number, boxes, image.width, image.height, image.faces_found),
        )
    )


def _arrays(part: Part) -> dict[str, NDArray[Any]]:
    faces = [one.faces for one in part.arrivals]
    limits = [math.nan if one.limit is None else one.limit for one in part.arrivals]
    normless = np.full((0, 2), np.nan)
    arrays: Mapping[str, Any] = {
        "counts": [len(one.encodings) if one else 0 for one in faces],
        "sizes": [one.size if one else 0 for one in faces],
        "normed": [one is not None and one.norms is not None for one in faces],
        "limits": limits,
        "matched": [len(others) for others, _ in part.matches],
        "encodings": np.concatenate(
            [np.empty((0, DIMENSIONS)), *(one.encodings for one in faces if one)]
        ),
        "norms": np.concatenate([normless, *(_norms(one) for one in faces if one)]),
        "others": np.concatenate([np.empty(0), *(others for others, _ in part.matches)]),
        "scores": np.concatenate([np.empty(0), *(scores for _, scores in part.matches)]),
    }
    return {name: np.asarray(array, dtype=_DTYPES[name]) for name, array in arrays.items()}


def _norms(faces: StoredFaces) -> NDArray[Any]:
    return np.full((len(faces.encodings), 2), np.nan) if faces.norms is None else faces.norms


def _joined(lines: Sequence[_Line], arrays: Mapping[str, NDArray[Any]], model: str) -> Part:
    """Raises ValueError for arrays of other lengths or values than they must have."""
    for name, dtype in _DTYPES.items():
        if arrays[name].dtype != np.dtype(dtype):
            raise ValueError(f"{name} is of another type")
    counts, matched = arrays["counts"], arrays["matched"]
    faces, found = [len(line.boxes) for line in lines], int(matched.sum())
    per_image = ("counts", "sizes", "normed", "limits", "matched")
    if any(arrays[name].shape != (len(lines),) for name in per_image) or counts.tolist() != faces:
        raise ValueError("not so many images or faces")
    if arrays["encodings"].shape != (sum(faces), DIMENSIONS):
        raise ValueError("not so many encodings")
    if arrays["norms"].shape != (sum(faces), 2) or (matched < 0).any():
        raise ValueError("not so many norms or matches")
    if arrays["others"].shape != (found,) or arrays["scores"].shape != (found,):
        raise ValueError("not so many matches")
    sound = np.isfinite(arrays["encodings"]).all() and np.isfinite(arrays["scores"]).all()
    if not sound or (arrays["scores"] < 0).any() or (arrays["sizes"] < 0).any():
        raise ValueError("numbers that cannot be")
    arrivals, matches = [], []
    face = match = 0
    for row, line in enumerate(lines):
        next_face, next_match = face + faces[row], match + int(matched[row])
        kept: StoredFaces | None = None
        if line.position:
            norms = arrays["norms"][face:next_face] if arrays["normed"][row] else None
            if norms is not None and not np.isfinite(norms).all():
                raise ValueError("norms that are no numbers")
            encodings = arrays["encodings"][face:next_face]
            kept = StoredFaces(encodings, norms, int(arrays["sizes"][row]))
        limit = float(arrays["limits"][row])
        record = Record(_image(line, model), line.number)
        arrivals.append(Arrival(record, kept, None if math.isnan(limit) else limit))
        others = arrays["others"][match:next_match]
        if ((others < 1) | (others >= line.position)).any():
            raise ValueError("a match that is not with an image before")
        matches.append((others, arrays["scores"][match:next_match]))
        face, match = next_face, next_match
    return Part(arrivals, matches)


def _image(line: _Line, model: str) -> Image:
    return Image(
        *(line.hash, line.state, line.names, line.position, line.nonce, model),
        *(tuple(Box(*box) for box in line.boxes), line.width, line.height, line.faces_found),
    )


def _formed(form: TypeAdapter[_Form], told: object, name: str) -> _Form:
    try:
        return form.validate_python(told)
    except ValidationError as error:
        raise _bad(f"{name} is not of the documented form") from error


def _bad(detail: str) -> Rejected:
    return Rejected("bad_export", f"no export of facematch: {detail}")
