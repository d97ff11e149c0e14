"""What the OpenAPI document says beyond what follows from the routes and their schemas."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from api.people_schemas import FacesIn, MergeIn, NameIn
from api.problems import CONTENT_TYPE
from api.schemas import Problem, UrlBody, UrlsBody
from api.webhook_schemas import RedeliverIn, WebhookIn

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
}
_FORMS = {
    "schema": {
        "type": "object",
        "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        "required": ["files"],
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
    "/v1/images:batch": {
        "application/json": {"schema": {"$ref": "#/components/schemas/UrlsBody"}},
        "multipart/form-data": _FORMS,
        "application/zip": _BYTES,
    },
}


#: Bodies that are JSON whatever their content type, by path and method.
_DOCUMENTS: dict[tuple[str, str], type[BaseModel]] = {
    ("/v1/people/{person}", "patch"): NameIn,
    ("/v1/people/{person}/merge", "post"): MergeIn,
    ("/v1/people/{person}/split", "post"): FacesIn,
    ("/v1/people/{person}/exclude", "post"): FacesIn,
    ("/v1/webhooks", "post"): WebhookIn,
    ("/v1/webhooks/{webhook}/redeliver", "post"): RedeliverIn,
}
_MAY_BE_LEFT_OUT = {RedeliverIn}


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
    for model in (Problem, UrlBody, UrlsBody):
        schemas[model.__name__] = model.model_json_schema()
    for path, content in _BODIES.items():
        document["paths"][path]["post"]["requestBody"] = {"required": True, "content": content}
    for (path, method), form in _DOCUMENTS.items():
        reference = {"$ref": f"#/components/schemas/{form.__name__}"}
        content = {"application/json": {"schema": reference}}
        body = {"required": form not in _MAY_BE_LEFT_OUT, "content": content}
        document["paths"][path][method]["requestBody"] = body
        shown = form.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= shown.pop("$defs", {})
        schemas[form.__name__] = shown
    return document
