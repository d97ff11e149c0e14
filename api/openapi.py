"""What the OpenAPI document says beyond what follows from the routes and their schemas."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from api.collections_schemas import NAME_PATTERN, CollectionIn
from api.people_schemas import FacesIn, MergeIn, NameIn
from api.problems import CONTENT_TYPE
from api.schemas import Problem, UrlBody

_LONG = "/v1/collections/{collection}"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
}
_URL = {"schema": {"$ref": "#/components/schemas/UrlBody"}}
_BODIES: dict[str, dict[str, Any]] = {
    "/scan/image/{filename}": {"application/octet-stream": _BYTES},
    "/scan/url": {"application/json": _URL},
    "/v1/images": {
        "application/octet-stream": _BYTES,
        "multipart/form-data": _FORM,
        "application/json": _URL,
    },
}


#: Bodies that are JSON whatever their content type, by path and method.
_DOCUMENTS: dict[tuple[str, str], type[BaseModel]] = {
    ("/v1/collections", "post"): CollectionIn,
    ("/v1/people/{person}", "patch"): NameIn,
    ("/v1/people/{person}/merge", "post"): MergeIn,
    ("/v1/people/{person}/split", "post"): FacesIn,
    ("/v1/people/{person}/exclude", "post"): FacesIn,
}


def problems(*statuses: int) -> dict[int, Any]:
    """The error answers of a route, for its documentation."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {CONTENT_TYPE: schema}}
        for status in statuses
    }


def also(status: int, description: str, model: type[BaseModel]) -> dict[int, Any]:
    """A further answer of a route, for its documentation."""
    schema = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return {status: {"description": description, "content": {"application/json": schema}}}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the bodies of requests that are not only JSON, and the schemas they and problems use."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in (Problem, UrlBody):
        schemas[model.__name__] = model.model_json_schema()
    for path, content in _BODIES.items():
        for operations in _mounted(document, path):
            operations["post"]["requestBody"] = {"required": True, "content": content}
    for path, operations in document["paths"].items():
        if path.startswith(_LONG):
            _of_collection(operations)
    for (path, method), form in _DOCUMENTS.items():
        reference = {"$ref": f"#/components/schemas/{form.__name__}"}
        body = {"required": True, "content": {"application/json": {"schema": reference}}}
        for operations in _mounted(document, path):
            operations[method]["requestBody"] = body
        shown = form.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= shown.pop("$defs", {})
        schemas[form.__name__] = shown
    return document


def _of_collection(operations: dict[str, Any]) -> None:
    """What holds of every route of the collection in its path."""
    for operation in operations.values():
        operation["responses"].setdefault("404", problems(HTTPStatus.NOT_FOUND)[404])
        for parameter in operation["parameters"]:
            if parameter["name"] == "collection":
                parameter["schema"]["pattern"] = f"^{NAME_PATTERN}$"


def _mounted(document: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """The operations of a path, and of the same below a collection where there are any."""
    below = path.replace("/v1", _LONG, 1)
    paths = dict.fromkeys((path, below))
    return [document["paths"][one] for one in paths if one in document["paths"]]
