"""Server-sent events for many listeners: one thread writes to all of them, so that who listens for
hours keeps no thread of the server's busy.

Under gunicorn the connection is taken over from it once the request is understood. Elsewhere (a
test client) the thread of the request writes.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakSet
from wsgiref.types import StartResponse, WSGIEnvironment

import structlog
from flask import Response
from werkzeug.local import LocalProxy

from api.collection_of import collection_of_request
from facematch.errors import NotFound, Unavailable
from facematch.events import EventPage, Events, document_of

CONTENT_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 15.0
#: What a client is to wait for before it comes again.
_RETRY_MILLISECONDS = 2000
_PORTION = 500
#: Who has so many bytes to read gets no more until some are gone; and is sent away when none has
#: gone for so long.
_MOST_PENDING = 256 * 1024
_STUCK_SECONDS = 30.0
#: Events within this time go out together.
_GATHER_SECONDS = 0.05
_WAIT_SECONDS = 0.5
_PAUSE = 1.0

_log = structlog.get_logger()


@dataclass(eq=False)
class _Listener:
    connection: socket.socket
    place: str
    pending: bytearray
    chunked: bool
    may_hear: Callable[[], bool]
    moved: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)

    def add(self, data: bytes) -> None:
        """Something more to send."""
        if data and self.chunked:
            self.pending += b"%x\r\n" % len(data) + data + b"\r\n"
        else:
            self.pending += data


class Listeners:
    """Those who listen to one collection. It starts its thread when the first one comes, and that
    ends with the last."""

    def __init__(
        self, events: Events, has_room: Callable[[], bool], heartbeat: float = HEARTBEAT_SECONDS
    ) -> None:
        self._events = events
        self._has_room = has_room
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []
        self._others = 0
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def listening(self) -> int:
        """How many listen now."""
        return len(self._listeners) + self._others

    def answer(self, place: str, may_hear: Callable[[], bool] = lambda: True) -> Response:
        """The stream of what happens behind a place; "": from now on. `may_hear`: asked now and
        then whether they still may; raises Unavailable where that cannot be told.

        Raises Rejected("bad_cursor"), Unavailable: also when too many listen already.
        """
        if self._stopped.is_set() or not self._has_room():
            raise Unavailable("service_unavailable", "too many listen already")
        page = self._events.since(place, _PORTION)
        first = f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
        if page.gone:
            first += _message("reset", page.place)
        elif not place:
            first += _message("ready", page.place)
        return _Stream(self, first + _encoded(page), page.place, may_hear)

    def stop(self) -> None:
        """Let all go, now and from now on."""
        self._stopped.set()
        with self._lock:
            gone, self._listeners = self._listeners, []
        for one in gone:
            one.connection.close()

    def take_over(
        self,
        connection: socket.socket,
        head: bytes,
        first: bytes,
        place: str,
        may_hear: Callable[[], bool],
        *,
        chunked: bool,
    ) -> None:
        """Write to this connection from now on: `head` and what is `first`, then what happens
        behind the place."""
        connection.setblocking(False)
        listener = _Listener(connection, place, bytearray(head), chunked, may_hear)
        listener.add(first)
        _send(listener)
        with self._lock:
            self._listeners.append(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="listeners", daemon=True)
                self._thread.start()
        if self._stopped.is_set():
            self.stop()

    def written_here(self, first: bytes, place: str) -> Iterator[bytes]:
        """What is to be sent, for a server that cannot hand its connection over."""
        self._others += 1
        try:
            yield first
            told = time.monotonic()
            while not self._stopped.is_set():
                page = self._events.since(place, _PORTION)
                place = page.place
                if page.events:
                    yield _encoded(page)
                elif time.monotonic() - told >= self._heartbeat:
                    yield b":\n\n"
                else:
                    if not page.more:
                        self._events.wait(place, min(_WAIT_SECONDS, self._heartbeat))
                    continue
                told = time.monotonic()
        except (NotFound, Unavailable) as error:
            _log.warning("a listener is sent away", code=error.code)
        finally:
            self._others -= 1

    def _run(self) -> None:
        while True:
            with self._lock:
                listeners = list(self._listeners)
                if not listeners:
                    self._thread = None
                    return
            try:
                self._tell(listeners)
            except NotFound:  # the collection was erased: whoever comes again is told so
                self._let_go(set(listeners))
            except Unavailable as error:
                _log.warning("no events to tell", code=error.code)
                self._stopped.wait(_PAUSE)
            except Exception:  # noqa: BLE001 - a dead thread would leave everybody listening
                _log.exception("an error nobody planned for")
                self._stopped.wait(_PAUSE)

    def _tell(self, listeners: Iterable[_Listener]) -> None:
        """Send everybody what there is, then wait for more."""
        pages: dict[str, tuple[EventPage, bytes]] = {}
        gone: set[_Listener] = set()
        end, more, busy = "", False, False
        try:
            for one in listeners:
                if len(one.pending) < _MOST_PENDING:
                    if one.place not in pages:
                        page = self._events.since(one.place, _PORTION)
                        first = _message("reset", page.place) if page.gone else b""
                        pages[one.place] = page, first + _encoded(page)
                    page, data = pages[one.place]
                    one.add(data)
                    one.place = page.place
                    more |= page.more
                    end = end if page.more else page.place
        finally:
            for one in listeners:
                if not one.pending and time.monotonic() - one.moved >= self._heartbeat:
                    one.add(b":\n\n")
                if not self._may_still_hear(one) or not _send(one):
                    gone.add(one)
                busy |= bool(one.pending)
            self._let_go(gone)
        if more:
            return
        if end and not busy:
            self._events.wait(end, min(_WAIT_SECONDS, self._heartbeat))
        self._stopped.wait(_GATHER_SECONDS)

    def _may_still_hear(self, one: _Listener) -> bool:
        now = time.monotonic()
        if now - one.asked < self._heartbeat:
            return True
        one.asked = now
        try:
            return one.may_hear()
        except Unavailable:
            return True  # nothing can be told meanwhile either

    def _let_go(self, gone: set[_Listener]) -> None:
        if gone:
            with self._lock:
                self._listeners = [one for one in self._listeners if one not in gone]
            for one in gone:
                one.connection.close()


class Audiences:
    """Those who listen to any collection, at most `places` of them together."""

    def __init__(
        self,
        events_of: Callable[[str], Events],
        places: int,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`events_of`: those of the collection of this name."""
        self._events_of, self._heartbeat = events_of, heartbeat
        self._places = places
        self._lock = threading.Lock()
        self._of: dict[str, Listeners] = {}
        # Also those that are in `_of` no more, since nobody listened, and somebody was just coming.
        self._there: WeakSet[Listeners] = WeakSet()

    @property
    def here(self) -> Listeners:
        """What stands for those of the collection of whichever request it is used in."""
        return cast(Listeners, LocalProxy(lambda: self.of(collection_of_request())))

    def of(self, name: str) -> Listeners:
        """Those who listen to one collection."""
        with self._lock:
            if name not in self._of:
                self._of = {other: one for other, one in self._of.items() if one.listening}
                events = self._events_of(name)
                self._of[name] = Listeners(events, self._has_room, self._heartbeat)
                self._there.add(self._of[name])
            return self._of[name]

    @property
    def listening(self) -> int:
        """How many listen now."""
        with self._lock:
            return sum(one.listening for one in self._there)

    def stop(self) -> None:
        """Let all go, now and from now on."""
        self._places = 0
        with self._lock:
            there = list(self._there)
        for one in there:
            one.stop()

    def _has_room(self) -> bool:
        return self.listening < self._places


class _Stream(Response):
    """An answer that goes on; its server is rid of it."""

    def __init__(
        self, listeners: Listeners, first: bytes, place: str, may_hear: Callable[[], bool]
    ) -> None:
        super().__init__(content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
        # For a proxy before it: what is kept back is of no use.
        self.headers["X-Accel-Buffering"] = "no"
        del self.headers["Content-Length"]
        self._listeners, self._first, self._place = listeners, first, place
        self._may_hear = may_hear

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        connection = environ.get("gunicorn.socket")
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        if not isinstance(connection, socket.socket):
            self.response = self._listeners.written_here(self._first, self._place)
            return super().__call__(environ, start_response)
        chunked = environ["SERVER_PROTOCOL"] != "HTTP/1.0"
        head = self._head(("Transfer-Encoding: chunked",) if chunked else ())
        ours = _taken(connection)
        self._listeners.take_over(
            ours, head, self._first, self._place, self._may_hear, chunked=chunked
        )
        # gunicorn's word for a connection that somebody else has.
        raise StopIteration

    def _head(self, more: Iterable[str]) -> bytes:
        named = (f"{name}: {value}" for name, value in self.headers)
        lines = (f"HTTP/1.1 {self.status}", *named, *more, "Connection: close", "", "")
        return "\r\n".join(lines).encode("latin-1")


def _taken(connection: socket.socket) -> socket.socket:
    """The connection, under another descriptor. What its former owner still does to it, he does to
    one that leads nowhere: gunicorn ends the conversation, not only its own part in it."""
    ours = connection.dup()
    nowhere, other_end = socket.socketpair()
    with nowhere, other_end:
        os.dup2(nowhere.fileno(), connection.fileno(), inheritable=False)
    return ours


def _send(listener: _Listener) -> bool:
    """Send what goes; whether the listener is still there."""
    try:
        # Nobody has anything to say here: what comes is the end.
        with suppress(BlockingIOError):
            if not listener.connection.recv(1024):
                return False
        while listener.pending:
            sent = listener.connection.send(listener.pending)
            del listener.pending[:sent]
            listener.moved = time.monotonic()
    except BlockingIOError:
        return time.monotonic() - listener.moved < _STUCK_SECONDS
    except OSError:
        return False
    return True


def _encoded(page: EventPage) -> bytes:
    return b"".join(
        _message(str(event.kind), event.id, document_of(event)) for event in page.events
    )


def _message(kind: str, place: str, document: Any = None) -> bytes:
    data = json.dumps({} if document is None else document, separators=(",", ":"))
    return f"event: {kind}\nid: {place}\ndata: {data}\n\n".encode()
