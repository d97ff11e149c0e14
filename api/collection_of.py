"""Which collection a request is about: that in its path, or the default one.

Every blueprint is of one collection, whose parts it is given, and is mounted twice: under `/v1` and
under `/v1/collections/<collection>`. What it is given then stands for the part of the collection of
the request (`Parts`), which whoever works on the request need not know. Outside of a request it
stands for that of the default one.
"""

from typing import Any, Generic, TypeVar, cast

from apiflask import APIBlueprint, APIFlask
from flask import g, has_request_context, request
from werkzeug.local import LocalProxy

from facematch.collection_name import DEFAULT, is_name
from facematch.errors import NotFound
from facematch.opened import OfCollections

SHORT = "/v1"
LONG = "/v1/collections/<collection>"
#: What the name of a blueprint ends with where it is mounted under LONG.
_SUFFIX = "-of-collection"

_Part = TypeVar("_Part")


class Parts(OfCollections[_Part], Generic[_Part]):
    """A part of each collection. Opening one asks nobody: it may be of one that is not there."""

    @property
    def here(self) -> _Part:
        """What stands for that of the collection of whichever request it is used in."""
        return cast(_Part, LocalProxy(lambda: self.of(collection_of_request())))


def collection_of_request() -> str:
    """The collection that the request is about; the default one where there is no request."""
    return str(g.get("collection", DEFAULT)) if has_request_context() else DEFAULT


def path_here(path: str) -> str:
    """A path below that of the collection of the request: `path` begins with a slash."""
    name = collection_of_request()
    prefix = SHORT if name == DEFAULT else LONG.replace("<collection>", name)
    return prefix + path


def mount(
    app: APIFlask,
    blueprint: APIBlueprint,
    *,
    of_collection: bool = True,
    short: str | None = SHORT,
    long: str = LONG,
) -> None:
    """Register a blueprint of routes below `short`: for the default collection, and if wanted for
    that in the path below `long`. The blueprint itself has no `url_prefix`."""
    app.register_blueprint(blueprint, url_prefix=short)
    if of_collection:
        app.register_blueprint(blueprint, url_prefix=long, name=blueprint.name + _SUFFIX)


def choose(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """For `url_value_preprocessor`: note the collection of the request, and take it out of what the
    function of a blueprint of one collection is given."""
    del endpoint
    if values is not None and "collection" in values:
        g.collection = values["collection"]
        if (request.blueprint or "").endswith(_SUFFIX):
            del values["collection"]


def require_name() -> None:
    """For `before_request`, the last one: an error before them would leave out what they begin.
    Raises NotFound("unknown_collection") for what is no name."""
    if not is_name(collection_of_request()):
        raise NotFound("unknown_collection")
