"""The routes about collections themselves: make one, look at it, erase it."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api import cursors
from api.body import read_document
from api.collection_of import LONG, SHORT
from api.collections_schemas import CollectionIn, CollectionOut, CollectionsOut, CollectionsQuery
from api.dropping import drop
from api.ledger import Ledger
from api.openapi import also, problems
from api.schemas import Answer
from facematch.collections import Collections


def blueprint(collections: Collections, ledger: Ledger) -> APIBlueprint:
    """`POST` and `GET /v1/collections`, `GET` and `DELETE /v1/collections/<collection>`."""
    routes = APIBlueprint("collections", __name__, tag="Collections")

    @routes.post(f"{SHORT}/collections")
    @routes.output(CollectionOut, description="It exists already, as it was asked for")
    @routes.doc(responses=also(201, "Made", CollectionOut) | problems(400, 409, 413, 503))
    def create() -> Answer:
        """Make a collection

        With the model of the service's workers; the policy that it is given is pinned. What is left
        out is as the collection `default` has it.
        """
        asked = read_document(CollectionIn)
        about, made = collections.create(asked.name, asked.policy)
        headers = {"Location": f"{SHORT}/collections/{about.name}"}
        return CollectionOut.of(about), HTTPStatus.CREATED if made else HTTPStatus.OK, headers

    @routes.get(f"{SHORT}/collections")
    @routes.input(CollectionsQuery, location="query")
    @routes.output(CollectionsOut)
    @routes.doc(responses=problems(400, 503))
    def everything(query_data: CollectionsQuery) -> Answer:
        """The collections, by name"""
        after = cursors.decode_name(query_data.cursor) if query_data.cursor else ""
        found, following = collections.page(query_data.limit, after)
        return CollectionsOut.of(found, following)

    @routes.get(LONG)
    @routes.output(CollectionOut)
    @routes.doc(responses=problems(404, 503))
    def about(collection: str) -> Answer:
        """A collection: its model and policy, and what is in it"""
        return CollectionOut.of(collections.about(collection))

    @routes.delete(LONG)
    @routes.doc(responses={204: "Erased", **problems(404, 503)})
    def delete(collection: str) -> Answer:
        """Erase a collection with all that is in it

        Nothing of it is told from then on; workers forget it in the background, and until they
        have, its name is not free. The collection `default` is emptied, and stays.
        """
        drop(collections, ledger, collection)
        return Response(status=HTTPStatus.NO_CONTENT)

    return routes
