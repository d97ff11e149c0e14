"""Has the images of a collection looked at again, for its other edition: each is taken from a
folder, or fetched from a URL that it was submitted under. Used by `facematch.reencode`.

The work is done by the workers of that edition. Begun again, this goes on where they are.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from facematch.broker import Broker
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.ingest.source import entries
from facematch.job import Message, new_job_id
from facematch.progress import Update
from facematch.reencoding import Carried, Carry, Reencoding, Standing
from facematch.store import State

#: Images under way at once; with less than all of the workers' time, so few that they soon rest.
_WINDOW, _SMALL_WINDOW = 200, 16
_PORTION = 500
_LOOK_SECONDS = 0.2
#: In each of these, images are handed out for as long as the share says.
_PERIOD_SECONDS = 2.0
#: Without any image ending for so long, nobody works. A worker that was started too early may rest
#: for five minutes before it is started again.
_PATIENCE_SECONDS = 600.0
_UNFINISHED = (State.ACCEPTED, State.INDEXED)


def pictures_in(folder: Path, progress: Update) -> dict[str, Path]:
    """The files of a folder and its folders, by the SHA-256 of their bytes. Raises
    Rejected("unreadable")."""
    found: dict[str, Path] = {}
    paths = [entry.path for entry in entries(folder) if entry.path is not None]
    for number, path in enumerate(paths, 1):
        with contextlib.suppress(OSError):
            found[image_hash(path.read_bytes())] = path
        progress(number, len(paths))
    return found


@dataclass(frozen=True)
class CarryParts:
    """What it takes to carry images over to the edition with this `number`.

    `broker`: of the queue of that edition's workers. `pictures`: files by the hash of their bytes.
    `backlog`: uploaded bytes that may wait there. `share`: the part of their time that workers are
    given work for.
    """

    reencoding: Reencoding
    broker: Broker
    number: int
    pictures: Mapping[str, Path]
    backlog: int
    share: float = 1.0


def carry_all(parts: CarryParts, progress: Update) -> None:
    """Carry over all images, until each is in the other edition or listed there as failed.

    Raises Conflict("no_reindex") when somebody has given the edition up, Unavailable when the store
    is away, or no worker does anything (service_unavailable), for minutes.
    """
    away: float | None = None
    while True:
        try:
            # Of what is accepted from now on, the store takes care itself.
            before = parts.reencoding.lag(parts.number).before
            away = None
            _Pass(parts, progress).run()
        except Unavailable as error:
            away = away or time.monotonic()
            if error.code != "store_unavailable" or _too_long(away):
                raise
        else:
            if before == 0:
                return
        time.sleep(_LOOK_SECONDS)


def _too_long(since: float) -> bool:
    return time.monotonic() > since + _PATIENCE_SECONDS


class _Pass:
    """Once through all images."""

    def __init__(self, parts: CarryParts, progress: Update) -> None:
        self._parts, self._progress = parts, progress
        self._window = _WINDOW if parts.share >= 1 else _SMALL_WINDOW
        #: Images under way, and where else they may be had.
        self._waiting: dict[str, Iterator[Carry]] = {}
        self._done = self._total = 0
        self._moved = time.monotonic()

    def run(self) -> None:
        images = list(itertools.chain.from_iterable(self._parts.reencoding.images()))
        self._total = len(images)
        for start in range(0, len(images), _PORTION):
            portion = images[start : start + _PORTION]
            for standing in self._parts.reencoding.standing(self._parts.number, portion):
                self._take(standing)
                while len(self._waiting) >= self._window:
                    self._look()
        while self._waiting:
            self._look()

    def _take(self, standing: Standing) -> None:
        sources = _sources(standing, self._parts.pictures)
        if standing.state is State.ACCEPTED or standing.other in (State.DONE, standing.state):
            self._end()
        elif standing.other in _UNFINISHED:
            self._waiting[standing.image] = sources
        else:
            self._try(standing.image, sources, listed=standing.other is State.FAILED)

    def _try(self, image: str, sources: Iterator[Carry], listed: bool) -> None:
        """Have the image looked at from the next source. Without one it is lost; `listed`: that is
        known there already, with a reason."""
        carry = next(sources, None)
        if carry is None:
            if not listed:
                self._carried(Carry(image, "", code="no_source"))
        elif self._carried(carry) is Carried.ACCEPTED:
            with contextlib.suppress(Unavailable):  # or its workers' sweeper does
                self._parts.broker.publish(Message(carry.job))
            self._waiting[image] = sources
            return
        self._end()

    def _carried(self, carry: Carry) -> Carried:
        while True:
            self._rest()
            try:
                return self._parts.reencoding.carry(self._parts.number, carry, self._parts.backlog)
            except Unavailable as error:
                if error.code != "backlog_full":
                    raise
                self._look()

    def _rest(self) -> None:
        """Until the part of the period begins in which work is handed out."""
        into = time.monotonic() % _PERIOD_SECONDS
        if into > self._parts.share * _PERIOD_SECONDS:
            time.sleep(_PERIOD_SECONDS - into)

    def _look(self) -> None:
        """See which images have ended."""
        time.sleep(_LOOK_SECONDS)
        standings = self._parts.reencoding.standing(self._parts.number, list(self._waiting))
        # All before one is tried again: that may have to wait for room, and so look again.
        ended = [
            (standing, self._waiting.pop(standing.image))
            for standing in standings
            if standing.other not in _UNFINISHED
        ]
        for standing, sources in ended:
            if standing.other is State.FAILED:
                self._try(standing.image, sources, listed=True)
            else:
                self._end()
        if _too_long(self._moved):
            raise Unavailable(
                "service_unavailable",
                f"no worker of edition {self._parts.number} has done anything for"
                f" {_PATIENCE_SECONDS:g} s: is there one with the new encoder?",
            )

    def _end(self) -> None:
        self._done += 1
        self._moved = time.monotonic()
        self._progress(self._done, self._total)


def _sources(standing: Standing, pictures: Mapping[str, Path]) -> Iterator[Carry]:
    """Where the bytes of an image may be had: in the folder, behind the URLs among its names."""
    path = pictures.get(standing.image)
    if path is not None:
        name = standing.names[0] if standing.names else path.name
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            if image_hash(data) == standing.image:
                yield Carry(standing.image, new_job_id(), name, data=data)
    for name in standing.names:
        if name.startswith(("http://", "https://")):
            yield Carry(standing.image, new_job_id(), name, url=name)
