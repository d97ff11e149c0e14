"""What a check of `facematch doctor` comes to."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a part of a service is."""

    OK = "ok"
    WARNING = "warning"  # it works, and is worth a look
    WRONG = "wrong"  # something does not work, or may lose what it was given


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do about it, "" where nothing is to be done."""

    what: str
    level: Level
    said: str
    fix: str = ""


def ok(what: str, said: str) -> Check:
    """As it should be."""
    return Check(what, Level.OK, said)


def warning(what: str, said: str, fix: str) -> Check:
    """Worth a look."""
    return Check(what, Level.WARNING, said, fix)


def wrong(what: str, said: str, fix: str) -> Check:
    """To be fixed."""
    return Check(what, Level.WRONG, said, fix)
