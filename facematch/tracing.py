"""The trace of an image: what is done for its job in api, worker and index, told as one story.

The id of a job is the id of its trace. So whoever takes up a job knows the trace: after a lost
message, from a process of an older version, on a second try. Messages to workers and requests to
the index say besides, as a W3C `traceparent`, below which span the story goes on.

`trace_id`, `job` and `image` are in the lines of the log in any case. Spans are made where there
is a tracer: `use`. What one may tell is what was decided: it has no room for anything else.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import structlog

from facematch.errors import FacematchError

TRACEPARENT, BAGGAGE = "traceparent", "baggage"

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
#: All that spans tell, besides their names, times and, of those that failed, a code.
Fact: TypeAlias = Literal["job", "image", "state", "code"]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACE = re.compile(r"[0-9a-f]{32}")
_CARRIED = re.compile(r"(?:^|,)(job|image)=([A-Za-z0-9_.:~-]{1,100})(?=,|$)")
_SAMPLED = 1
_NOBODY = "0"


@dataclass(frozen=True)
class Context:
    """A span, of this process or (`remote`) another one: trace and span, 32 and 16 hexadecimal
    digits; `sampled`: whether it is kept."""

    trace: str
    span: str
    sampled: bool
    remote: bool = False

    def encode(self) -> str:
        """As a `traceparent`."""
        return f"00-{self.trace}-{self.span}-{int(self.sampled):02x}"

    @classmethod
    def decode(cls, text: str) -> "Context | None":
        """What another process has sent; None for anything that is no `traceparent`."""
        found = _TRACEPARENT.fullmatch(text)
        if found is None:
            return None
        version, trace, span, flags, more = found.groups()
        if version == "ff" or (version == "00" and more):
            return None
        if not (trace.strip(_NOBODY) and span.strip(_NOBODY)):
            return None
        return cls(trace, span, bool(int(flags, 16) & _SAMPLED), remote=True)


class Span(Protocol):
    """One that has begun."""

    @property
    def context(self) -> Context:
        """What the spans below it are told."""

    def tell(self, fact: Fact, value: str) -> None:
        """Add a fact."""

    def fail(self, code: str) -> None:
        """It did not succeed: an error's code."""

    def end(self, at: int) -> None:
        """It is over since `at`, nanoseconds since 1970."""


class Tracer(Protocol):
    """Makes spans, and sends them somewhere when they have ended. Never raises, never waits."""

    def start(
        self,
        name: str,
        kind: Kind,
        trace: str,
        above: Context | None,
        caller: Context | None,
        at: int,
    ) -> Span:
        """Begin a span at `at`, nanoseconds since 1970. `above`: the one it is a part of, which is
        of the same trace; `caller`: of another trace, what led to it."""


_tracer: Tracer | None = None
#: The span that the thread is in, or the one of another process that its work is below.
_above: ContextVar[Context | None] = ContextVar("above", default=None)
#: The outermost span that the thread is in: what is decided is told there.
_outermost: ContextVar[Span | None] = ContextVar("outermost", default=None)


def use(tracer: Tracer | None) -> None:
    """From now on spans of this process are made by this one; None: there are none."""
    global _tracer
    _tracer = tracer


def trace_of(job: str) -> str:
    """The id of a job's trace: of a job of ours, its own id."""
    if _TRACE.fullmatch(job) and job.strip(_NOBODY):
        return job
    return hashlib.sha256(job.encode()).hexdigest()[:32]


def fields(job: str, traceparent: str = "") -> Mapping[str, str]:
    """What every line of the log has that is written for a job."""
    above = Context.decode(traceparent)
    return {"job": job, "trace_id": above.trace if above else trace_of(job)}


@contextmanager
def working(
    name: str, job: str, traceparent: str = "", *, kind: Kind, image: str = "", caller: str = ""
) -> Iterator[None]:
    """Around what a process does for a job: its outermost span, which `note` adds to.

    `traceparent`: what came with the job; `caller`: what a client sent of a trace of its own. Of
    what the log has, only `image` is bound here: see `fields`.
    """
    above = Context.decode(traceparent)
    token = _above.set(above)
    try:
        with _span(name, kind, above.trace if above else trace_of(job), Context.decode(caller)):
            _tell("job", job)
            note(image=image)
            yield
    finally:
        _above.reset(token)


@contextmanager
def part(name: str, kind: Kind = "internal") -> Iterator[None]:
    """Around a part of it: a span below the one that the thread is in, if it is in one."""
    above = _above.get()
    if _tracer is None or above is None:
        yield
        return
    with _span(name, kind, above.trace, None):
        yield


def past(name: str, seconds: float, ago: float = 0.0) -> None:
    """A part that took so long, and was over so many seconds ago."""
    tracer, above = _tracer, _above.get()
    if tracer is None or above is None:
        return
    end = time.time_ns() - int(ago * 1e9)
    began = end - int(seconds * 1e9)
    tracer.start(name, "internal", above.trace, above, None, began).end(end)


def note(*, image: str = "", state: str = "", code: str = "") -> None:
    """Tell what is known or decided by now; from here on the log names the image, too."""
    if image:
        structlog.contextvars.bind_contextvars(image=image)
        _tell("image", image)
    if state:
        _tell("state", state)
    if code:
        _tell("code", code)


def here() -> str:
    """The `traceparent` for what this leads to elsewhere; "" where there is none."""
    above = _above.get()
    return above.encode() if above else ""


def headers() -> Mapping[str, str]:
    """What a request to another part of this service says of the work it is for."""
    bound = structlog.contextvars.get_contextvars()
    carried = [f"{name}={bound[name]}" for name in ("job", "image") if name in bound]
    told = {BAGGAGE: ",".join(carried), TRACEPARENT: here()}
    return {name: value for name, value in told.items() if value}


@contextmanager
def answering(name: str, told: Mapping[str, str]) -> Iterator[bool]:
    """Around the answer to such a request: whether it is for a job. `told`: its headers, by
    lower-case name; what is no form of ours in them is disregarded.
    """
    structlog.contextvars.clear_contextvars()
    carried = dict(_CARRIED.findall(told.get(BAGGAGE, "")))
    job, image = carried.get("job", ""), carried.get("image", "")
    if not job:
        yield False
        return
    traceparent = told.get(TRACEPARENT, "")
    structlog.contextvars.bind_contextvars(**fields(job, traceparent))
    with working(name, job, traceparent, kind="server", image=image):
        yield True


@contextmanager
def _span(name: str, kind: Kind, trace: str, caller: Context | None) -> Iterator[None]:
    tracer = _tracer  # which another thread may take away
    if tracer is None:
        yield
        return
    span = tracer.start(name, kind, trace, _above.get(), caller, time.time_ns())
    above = _above.set(span.context)
    outermost = None if _outermost.get() else _outermost.set(span)
    try:
        yield
    except BaseException as error:
        # The text of an error may name what was seen.
        span.fail(error.code if isinstance(error, FacematchError) else "internal_error")
        raise
    finally:
        _above.reset(above)
        if outermost is not None:
            _outermost.reset(outermost)
        span.end(time.time_ns())


def _tell(fact: Fact, value: str) -> None:
    span = _outermost.get()
    if span is not None:
        span.tell(fact, value)
