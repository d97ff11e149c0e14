"""Which scopes each route takes. A route says it by a
decorator, the one nearest to its function:

    @routes.get("/images/<image>")
    @needs(Scope.READ)
    def image(image: str) -> Answer: …

`api.guard` sees to it; a test fails for a route without one, which is then good for ADMIN alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from api.collection_of import LONG, collection_of_request
from facematch.keys import EVERY, ApiKey, Scope

_Route = TypeVar("_Route", bound=Callable[..., Any])
_ATTRIBUTE = "_facematch_needs"


class Of(Enum):
    """What a key has to be for."""

    COLLECTION = auto()  # that of the request
    ANY = auto()  # none in particular: the route tells of what the caller may see, and no more
    SERVICE = auto()  # all collections there are and will be


@dataclass(frozen=True)
class Needs:
    """What a key has to be good for: all of the scopes, or else the one in their stead."""

    scopes: tuple[Scope, ...] = ()
    instead: Scope | None = None
    of: Of = Of.COLLECTION

    def __str__(self) -> str:
        """For people."""
        names = " and ".join(self.scopes)
        return f"{names}, or {self.instead}" if self.instead else names

    @property
    def submits(self) -> bool:
        """Whether a picture is put in."""
        return Scope.SUBMIT in self.scopes

    def met_by(self, key: ApiKey) -> bool:
        """Whether this key is."""
        return all(map(key.has, self.scopes)) or bool(self.instead and key.has(self.instead))


#: Of a route that tells nothing of any collection: nobody is asked for a key.
OPEN = Needs()
_UNDECLARED = Needs((Scope.ADMIN,), of=Of.SERVICE)
#: Routes that are not ours to decorate, by endpoint.
_OPEN_ENDPOINTS = frozenset({"static", "openapi.spec"})


def needs(
    *scopes: Scope, instead: Scope | None = None, of: Of = Of.COLLECTION
) -> Callable[[_Route], _Route]:
    """Says which scopes a route takes; at least one."""
    if not scopes:
        raise ValueError("a route that takes no scope is open_to_all")
    return _marked(Needs(scopes, instead, of))


def open_to_all(route: _Route) -> _Route:
    """Says that a route asks nobody for a key."""
    return _marked(OPEN)(route)


def _marked(what: Needs) -> Callable[[_Route], _Route]:
    def mark(route: _Route) -> _Route:
        setattr(route, _ATTRIBUTE, what)
        return route

    return mark


def declared(endpoint: str, route: Callable[..., Any]) -> Needs | None:
    """What a route has said; None where it has said nothing."""
    if endpoint in _OPEN_ENDPOINTS:
        return OPEN
    return getattr(route, _ATTRIBUTE, None)


def needs_of(endpoint: str, route: Callable[..., Any]) -> Needs:
    """What a route takes."""
    return declared(endpoint, route) or _UNDECLARED


def names_a_collection(rule: str) -> bool:
    """Whether the path of a route, as a pattern, has the name of a collection in it."""
    return rule == LONG or rule.startswith(f"{LONG}/")


def may_use(key: ApiKey, needed: Needs) -> bool:
    """Whether a key is for the collection that the request is about."""
    if needed.of is Of.ANY:
        return True
    return key.may_use(EVERY if needed.of is Of.SERVICE else collection_of_request())
