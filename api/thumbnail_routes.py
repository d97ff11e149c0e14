"""The route of the small pictures that are kept of images where the operator wants it."""

from apiflask import APIBlueprint
from flask import Response

from api.openapi import problems
from api.scopes import needs
from facematch.errors import NotFound, Rejected
from facematch.faces import is_image_hash
from facematch.keys import Scope
from facematch.store import Front

_JPEG = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}


def blueprint(store: Front, kept: bool) -> APIBlueprint:
    """`GET /v1/images/<hash>/thumbnail`. `kept`: whether they are to be shown."""
    routes = APIBlueprint("thumbnails", __name__, tag="Images")

    @routes.get("/images/<image>/thumbnail")
    @routes.doc(responses={200: {"description": "A JPEG"} | _JPEG, **problems(400, 404, 503)})
    @needs(Scope.READ)
    def thumbnail(image: str) -> Response:
        """A small picture of an image, where the service keeps them"""
        if not is_image_hash(image):
            raise Rejected("bad_hash")
        found = store.thumbnail(image)
        if found is None or not kept:
            raise NotFound("no_thumbnail")
        return Response(found, content_type="image/jpeg")

    return routes
