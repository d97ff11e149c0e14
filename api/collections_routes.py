"""The routes about collections themselves: make one, look at it, erase it."""

from collections.abc import Collection
from contextlib import suppress
from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api import cursors
from api.auditing import note
from api.body import read_document
from api.caller import own_collections
from api.collection_of import LONG, SHORT
from api.collections_schemas import CollectionIn, CollectionOut, CollectionsOut, CollectionsQuery
from api.dropping import drop
from api.ledger import Ledger
from api.openapi import also, problems
from api.schemas import Answer
from api.scopes import Of, needs
from facematch.collections import CollectionAbout, Collections
from facematch.errors import NotFound
from facematch.keys import Scope


def blueprint(collections: Collections, ledger: Ledger) -> APIBlueprint:
    """`POST` and `GET /v1/collections`, `GET` and `DELETE /v1/collections/<collection>`."""
    routes = APIBlueprint("collections", __name__, tag="Collections")

    @routes.post(f"{SHORT}/collections")
    @routes.output(CollectionOut, description="It exists already, as it was asked for")
    @routes.doc(responses=also(201, "Made", CollectionOut) | problems(400, 409, 413, 503))
    @needs(Scope.ADMIN, of=Of.SERVICE)
    def create() -> Answer:
        """Make a collection

        With the model of the service's workers; the policy that it is given is pinned. What is left
        out is as the collection `default` has it.
        """
        asked = read_document(CollectionIn)
        about, made = collections.create(asked.name, asked.policy)
        note(collection=about.name)
        headers = {"Location": f"{SHORT}/collections/{about.name}"}
        return CollectionOut.of(about), HTTPStatus.CREATED if made else HTTPStatus.OK, headers

    @routes.get(f"{SHORT}/collections")
    @routes.input(CollectionsQuery, location="query")
    @routes.output(CollectionsOut)
    @routes.doc(responses=problems(400, 503))
    @needs(Scope.READ, of=Of.ANY)
    def everything(query_data: CollectionsQuery) -> Answer:
        """The collections, by name: those that the API key is for"""
        after = cursors.decode_name(query_data.cursor) if query_data.cursor else ""
        own = own_collections()
        if own is None:
            found, following = collections.page(query_data.limit, after)
        else:
            found, following = _page_of(own, collections, query_data.limit, after)
        return CollectionsOut.of(found, following)

    @routes.get(LONG)
    @routes.output(CollectionOut)
    @routes.doc(responses=problems(404, 503))
    @needs(Scope.READ)
    def about(collection: str) -> Answer:
        """A collection: its model and policy, and what is in it"""
        return CollectionOut.of(collections.about(collection))

    @routes.delete(LONG)
    @routes.doc(responses={204: "Erased", **problems(404, 503)})
    @needs(Scope.ADMIN)
    def delete(collection: str) -> Answer:
        """Erase a collection with all that is in it

        Nothing of it is told from then on; workers forget it in the background, and until they
        have, its name is not free. The collection `default` is emptied, and stays.
        """
        drop(collections, ledger, collection)
        return Response(status=HTTPStatus.NO_CONTENT)

    return routes


def _page_of(
    own: Collection[str], collections: Collections, limit: int, after: str
) -> tuple[list[CollectionAbout], str]:
    """As `collections.page`, of these alone: what else there is, not even a cursor may tell."""
    found: list[CollectionAbout] = []
    names = sorted(name for name in own if name > after)
    for name in names[:limit]:
        with suppress(NotFound):
            found.append(collections.about(name))
    return found, names[limit - 1] if len(names) > limit else ""
