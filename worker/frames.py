"""What a worker and its sandboxed children say to each other: the one home of this format.

    frame     4 bytes   length of the head, little-endian
              head      JSON, UTF-8: what it is, and everything that is small
              body      bytes: a picture, or crops in C order with a thumbnail behind them

A child may have been taken over by the picture it looked at, so nothing in a frame is run, and
what comes from a child is checked before it is used.

The nursery, which is trusted, is asked for things in JSON, and answers each with a number.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from facematch.errors import REFUSALS
from facematch.faces import FACES_PER_POSITION, Box
from worker.fetch import FetchLimits
from worker.looking import PictureLimits, Seen
from worker.thumbnail import is_thumbnail

#: Of a message to the nursery or from it.
MESSAGE_BYTES = 4096

_LENGTH = struct.Struct("<I")
#: Of the head of a frame: the boxes of 256 faces are ten thousand.
_MAX_HEAD = 64 * 1024
_MAX_DETAIL = 500
_MAX_SECONDS = 86_400.0


@dataclass(frozen=True)
class ChildSettings:
    """All that a child is told. `memory`: bytes for a picture that is looked at alone, others have
    half of them. `cpu_seconds`: for one picture."""

    encoder: str
    detector: str
    picture: PictureLimits
    fetch: FetchLimits
    memory: int
    cpu_seconds: int

    def encode(self) -> str:
        """JSON."""
        fields = asdict(self)
        fields["fetch"]["allowed"] = sorted(self.fetch.allowed)
        return json.dumps(fields)

    @classmethod
    def decode(cls, text: str) -> "ChildSettings":
        """The inverse of `encode`."""
        fields = json.loads(text)
        fields["picture"] = PictureLimits(**fields["picture"])
        allowed = frozenset((host, port) for host, port in fields["fetch"].pop("allowed"))
        fields["fetch"] = FetchLimits(**fields["fetch"], allowed=allowed)
        return cls(**fields)


@dataclass(frozen=True)
class Fetch:
    """Task: the bytes behind a URL."""

    url: str


@dataclass(frozen=True)
class Look:
    """Task: the faces of the picture with these bytes. `alone`: no other is looked at meanwhile."""

    data: bytes
    alone: bool = False


@dataclass(frozen=True)
class Fetched:
    """Outcome of Fetch."""

    data: bytes


@dataclass(frozen=True)
class Refused:
    """Outcome: this can never be processed; see facematch.errors.Rejected."""

    code: str
    detail: str


@dataclass(frozen=True)
class Exhausted:
    """Outcome: there was not enough memory."""


@dataclass(frozen=True)
class Broken:
    """Outcome: an error that nobody planned for; its kind, and where in our code it came out."""

    where: str


@dataclass(frozen=True)
class Fork:
    """Request: a child, which gets the socket that comes along. Answered with its process id."""


@dataclass(frozen=True)
class Wait:
    """Request: wait until this child of the nursery has ended. Answered with its exit status."""

    pid: int


Task: TypeAlias = Fetch | Look
#: Seen is the outcome of Look.
Outcome: TypeAlias = Fetched | Seen | Refused | Exhausted | Broken
Request: TypeAlias = Fork | Wait

#: What the nursery says, unasked, when it can fork.
READY = b"ready"


def encode_request(request: Request) -> bytes:
    """A message to the nursery."""
    return json.dumps({"wait": request.pid} if isinstance(request, Wait) else {}).encode()


def decode_request(message: bytes) -> Request:
    """The inverse of `encode_request`."""
    request = json.loads(message)
    return Wait(request["wait"]) if request else Fork()


def encode_answer(number: int) -> bytes:
    """What the nursery answers."""
    return b"%d" % number


def decode_answer(message: bytes) -> int:
    """The inverse of `encode_answer`."""
    return int(message)


def encode_task(task: Task) -> bytes:
    """A frame."""
    match task:
        case Fetch(url):
            return _frame({"task": "fetch", "url": url})
        case Look(data, alone):
            return _frame({"task": "look", "alone": alone}, data)


def decode_task(frame: bytes) -> Task:
    """The inverse of `encode_task`. Raises ValueError."""
    head, body = _parts(frame)
    return Fetch(head["url"]) if head["task"] == "fetch" else Look(body, head["alone"])


def encode_outcome(outcome: Outcome) -> bytes:
    """A frame."""
    match outcome:
        case Fetched(data):
            return _frame({"outcome": "fetched"}, data)
        case Refused(code, detail):
            return _frame({"outcome": "refused", "code": code, "detail": detail[:_MAX_DETAIL]})
        case Exhausted():
            return _frame({"outcome": "exhausted"})
        case Broken(where):
            return _frame({"outcome": "broken", "where": where[:_MAX_DETAIL]})
        case Seen():
            head = {
                "outcome": "seen",
                "width": outcome.width,
                "height": outcome.height,
                "boxes": [(box.top, box.right, box.bottom, box.left) for box in outcome.boxes],
                "total": outcome.total,
                "shape": outcome.crops.shape,
                "dtype": outcome.crops.dtype.str,
                "seconds": (outcome.decoding, outcome.finding),
                "thumbnail": len(outcome.thumbnail),
            }
            return _frame(head, np.ascontiguousarray(outcome.crops).tobytes() + outcome.thumbnail)


def decode_outcome(frame: bytes) -> Outcome:
    """The inverse of `encode_outcome`. Raises ValueError for whatever no child of ours says."""
    head, body = _parts(frame)
    try:
        match head["outcome"]:
            case "fetched":
                return Fetched(body)
            case "refused" if head["code"] in REFUSALS:
                return Refused(head["code"], str(head["detail"])[:_MAX_DETAIL])
            case "exhausted":
                return Exhausted()
            case "broken":
                return Broken(str(head["where"])[:_MAX_DETAIL])
            case "seen":
                return _seen(head, body)
    except (LookupError, TypeError) as error:
        raise ValueError("not an outcome") from error
    raise ValueError("not an outcome")


def _seen(head: Mapping[str, Any], body: bytes) -> Seen:
    boxes = [Box(*map(_natural, box)) for box in head["boxes"]]
    if len(boxes) > FACES_PER_POSITION or head["shape"][0] != len(boxes):
        raise ValueError("not a crop for each box")
    dtype = {"|u1": np.uint8, "<f4": np.float32}[head["dtype"]]
    shape = [_natural(count) for count in head["shape"]]
    decoding, finding = map(_seconds, head["seconds"])
    end = len(body) - _natural(head.get("thumbnail", 0))
    if end < 0 or not is_thumbnail(body[end:]):
        raise ValueError("not a thumbnail")
    return Seen(
        width=_natural(head["width"]),
        height=_natural(head["height"]),
        boxes=boxes,
        total=_natural(head["total"]),
        crops=np.frombuffer(body[:end], dtype).reshape(shape),
        decoding=decoding,
        finding=finding,
        thumbnail=body[end:],
    )


def _natural(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError("not a count")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, float) or not 0 <= value < _MAX_SECONDS:
        raise ValueError("not a time")
    return value


def _frame(head: Mapping[str, object], body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return b"".join((_LENGTH.pack(len(text)), text, body))


def _parts(frame: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        (length,) = _LENGTH.unpack_from(frame)
        if length > _MAX_HEAD:
            raise ValueError("too long a head")
        start = _LENGTH.size + length
        head = json.loads(frame[_LENGTH.size : start])
    except (struct.error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not a frame") from error
    if not isinstance(head, dict) or start > len(frame):
        raise ValueError("not a frame")
    return head, frame[start:]
