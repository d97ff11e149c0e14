"""The route of events: what happens in the collection, as it happens."""

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, Field

from api.listening import CONTENT_TYPE, Listeners
from api.openapi import problems


class EventsQuery(BaseModel):
    """From where on."""

    after: str = Field(
        "", description="the id of an event: those behind it come; as `Last-Event-ID` does"
    )


_STREAM = {
    "description": "Events, until the client goes",
    "content": {CONTENT_TYPE: {"schema": {"type": "string"}}},
}


def blueprint(listeners: Listeners) -> APIBlueprint:
    """The route under /v1."""
    routes = APIBlueprint("events", __name__, url_prefix="/v1", tag="Events")

    @routes.get("/events")
    @routes.input(EventsQuery, location="query")
    @routes.doc(responses={200: _STREAM, **problems(400, 503)})
    def events(query_data: EventsQuery) -> Response:
        """What happens, as server-sent events

        `done`, `failed`, `matched` and `erased`; `ready` comes first, with the place where it
        begins. With `Last-Event-ID`, or `after`, it goes on behind that event; `reset` says that
        what came behind it is not known any more.
        """
        return listeners.answer(request.headers.get("Last-Event-ID", query_data.after))

    return routes
