"""`facematch collections`: what it prints."""

from collections.abc import Iterator
from dataclasses import asdict

from facematch.collections_client import CollectionAnswer
from facematch.commands.text import Document, _count
from facematch.policy import policy_told
from facematch.store import Bounds


def document(found: CollectionAnswer) -> Document:
    """For a script."""
    return asdict(found)


def line(found: CollectionAnswer) -> str:
    """For people."""
    policy = policy_told(found.threshold, Bounds(found.max_false_matches, found.max_matches))
    under_way = f", {_count(found.jobs, 'job')} under way" if found.jobs else ""
    size = f"{_count(found.images, 'image')}, {_count(found.faces, 'face')}"
    return f"{found.name}: {size}{under_way}; {policy}"


def lines(found: CollectionAnswer) -> Iterator[str]:
    """For people, all that is known."""
    yield line(found)
    yield f"model {found.model}"
    if found.pending:
        yield f"{_count(found.pending, 'image')} without all their matches"
