"""The route of events: what happens in the collection, as it happens."""

from collections.abc import Callable
from functools import partial

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, Field

from api.caller import caller
from api.listening import CONTENT_TYPE, Listeners
from api.openapi import problems
from api.scopes import needs
from facematch.events import Kind
from facematch.keys import ApiKey, Scope


class EventsQuery(BaseModel):
    """From where on."""

    after: str = Field(
        "", description="the id of an event: those behind it come; as `Last-Event-ID` does"
    )


_STREAM = {
    "description": "Events, until the client goes",
    "content": {
        CONTENT_TYPE: {
            "schema": {
                "type": "object",
                "properties": {
                    "event": {"type": "string", "enum": [*Kind, "ready", "reset"]},
                    "id": {"type": "string"},
                    "data": {"type": "string", "contentMediaType": "application/json"},
                },
                "required": ["event", "id", "data"],
            }
        }
    },
}


def blueprint(listeners: Listeners, works: Callable[[ApiKey | None], bool]) -> APIBlueprint:
    """The route. `works`: whether who was let in with a key still would be."""
    routes = APIBlueprint("events", __name__, tag="Events")

    @routes.get("/events")
    @routes.input(EventsQuery, location="query")
    @routes.doc(responses={200: _STREAM, **problems(400, 503)})
    @needs(Scope.READ)
    def events(query_data: EventsQuery) -> Response:
        """What happens, as server-sent events

        `done`, `failed`, `matched` and `erased`; `ready` comes first, with the place where it
        begins. With `Last-Event-ID`, or `after`, it goes on behind that event; `reset` says that
        what came behind it is not known any more.
        """
        place = request.headers.get("Last-Event-ID", query_data.after)
        return listeners.answer(place, partial(works, caller()))

    return routes
