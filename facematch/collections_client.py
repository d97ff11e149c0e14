"""The part of the REST client that is about collections themselves: `Client.collections`."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import TypeAdapter

from facematch.people_client import Read
from facematch.rest import COLLECTIONS, Rest

_PAGE = 1000


@dataclass(frozen=True)
class CollectionAnswer:
    """A collection: the `model` of its encodings, its policy, and what is in it: images with faces,
    their faces, images whose matches are not all written, submissions that have not ended.
    `max_false_matches` and `max_matches` are None where there is no such bound."""

    name: str
    model: str
    threshold: float
    max_false_matches: float | None
    max_matches: int | None
    images: int
    faces: int
    pending: int
    jobs: int


@dataclass(frozen=True)
class CollectionsAnswer:
    """A page of the collections, by name. `next` is the cursor of the next page."""

    collections: tuple[CollectionAnswer, ...]
    next: str | None


_COLLECTION = TypeAdapter(CollectionAnswer)
_COLLECTIONS = TypeAdapter(CollectionsAnswer)


class CollectionsClient:
    """Raises what `facematch.client.Client` raises; NotFound("unknown_collection") for one that is
    not there."""

    def __init__(self, rest: Rest, read: Read) -> None:
        self._rest, self._got = rest, read

    def create(
        self,
        name: str,
        *,
        threshold: float | None = None,
        max_false_matches: float | None = None,
        max_matches: int | None = None,
    ) -> CollectionAnswer:
        """Make a collection, or find it there as it is asked for. What is left out is as the
        default one has it; 0 for a bound: none.

        Raises Rejected with the code collection_exists when it is there with another policy.
        """
        asked = {
            "name": name,
            "threshold": threshold,
            "max_false_matches": max_false_matches,
            "max_matches": max_matches,
        }
        return self._got(_COLLECTION, self._rest.ask("POST", COLLECTIONS, body=asked))

    def page(self, limit: int = 100, cursor: str | None = None) -> CollectionsAnswer:
        """A page of up to `limit` (at most 1,000)."""
        parameters: dict[str, str | int | float] = {"limit": limit}
        if cursor:
            parameters["cursor"] = cursor
        return self._got(_COLLECTIONS, self._rest.ask("GET", COLLECTIONS, parameters))

    def all(self) -> Iterator[CollectionAnswer]:
        """All of them, by name, read page by page."""
        page = self.page(_PAGE)
        yield from page.collections
        while page.next is not None:
            page = self.page(_PAGE, page.next)
            yield from page.collections

    def get(self, name: str) -> CollectionAnswer:
        """The collection of this name."""
        return self._got(_COLLECTION, self._rest.ask("GET", _path(name)))

    def delete(self, name: str) -> None:
        """Erase a collection with all that is in it; the default one is emptied, and stays."""
        self._rest.ask("DELETE", _path(name))


def _path(name: str) -> str:
    return f"{COLLECTIONS}/{quote(name, safe='')}"
