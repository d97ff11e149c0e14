"""`facematch events`: what it prints, and the file in which it notes how far it is."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from facematch.commands.text import Document, _chance
from facematch.errors import Misconfigured
from facematch.events_client import EventAnswer
from facematch.terminal import printable

_COLOURS: Mapping[str, str] = {"done": "green", "failed": "red", "matched": "cyan", "reset": "red"}
_TOLD: Mapping[str, str] = {
    "ready": "it begins here",
    "reset": "what happened before this is not known any more: look at what there is",
}


class Place:
    """The id of the event behind which to go on, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")

    def read(self) -> str:
        """The one that is noted; "" where there is none. Raises Misconfigured."""
        try:
            return self._path.read_text().strip()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{self._path} cannot be read: {error}") from error

    def note(self, event: str) -> None:
        """Note another one, in one step. Raises Misconfigured."""
        try:
            self._part.write_text(f"{event}\n")
            os.replace(self._part, self._path)
        except OSError as error:
            raise Misconfigured(f"{self._path} cannot be written: {error}") from error


def document(event: EventAnswer) -> Document:
    """For a script; what an event has nothing to say of is left out."""
    return {name: value for name, value in asdict(event).items() if value is not None}


def line(event: EventAnswer) -> str:
    """For people."""
    at = time.time() if event.time is None else event.time
    kind = click.style(f"{printable(event.type):<8}", fg=_COLOURS.get(event.type))
    return f"{clock(at)}  {kind}  {_about(event)}"


def clock(at: float) -> str:
    """A time in seconds since 1970, as clocks here show it."""
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _about(event: EventAnswer) -> str:
    if event.type in _TOLD:
        return _TOLD[event.type]
    if event.match is not None and event.distance is not None:
        rate = event.false_match_rate
        sure = "" if rate is None else f", by chance {_chance(rate)}"
        return f"{event.hash}  also on {event.match}, distance {event.distance:.4f}{sure}"
    what = event.hash or (f"job {event.job}" if event.job else "")
    return f"{what}: {event.code}" if event.code else what
