"""Who makes the request that is being answered: the API key that came with it, and what its route
takes. Set by `api.guard`, read by whoever tells different callers different things."""

from flask import g

from api.collection_of import collection_of_request
from api.scopes import OPEN, Needs
from facematch.keys import EVERY, ApiKey


def recognise(key: ApiKey | None, needed: Needs) -> None:
    """From now on this request is of this key; None: of anybody, where nobody is asked for one."""
    g.caller, g.needed = key, needed


def caller() -> ApiKey | None:
    """The key; None where nobody was asked for one."""
    key: ApiKey | None = g.get("caller")
    return key


def is_submitting() -> bool:
    """Whether the request puts pictures in."""
    needed: Needs = g.get("needed", OPEN)
    return needed.submits


def own_collections() -> frozenset[str] | None:
    """The collections that the caller may know of, which need not exist; None: all there are."""
    key = caller()
    return None if key is None or EVERY in key.collections else key.collections


def tenant() -> str:
    """Whose share of what there is little of the request takes: that of its key, or where nobody is
    asked for one that of its collection."""
    key = caller()
    return f"key {key.id}" if key else f"collection {collection_of_request()}"
