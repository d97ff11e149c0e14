"""What the OpenAPI document says beyond what follows from the routes and their schemas."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from api.collections_schemas import NAME_PATTERN, CollectionIn
from api.people_schemas import FacesIn, MergeIn, NameIn
from api.privacy_schemas import RulesIn
from api.problems import CONTENT_TYPE
from api.schemas import Problem, UrlBody, UrlsBody
from api.webhook_schemas import RedeliverIn, WebhookIn
from facematch.faces import NUMBER_PATTERN

_LONG = "/v1/collections/{collection}"
# APIFlask takes all up to the last colon of a path for the type of an argument.
_MISREAD = {f"/v1/collections/{{{act}": f"{_LONG}/images:{act}" for act in ("batch", "erase")}
_ANY_BYTES = {"type": "string", "format": "binary"}
_SOME_BYTES = _ANY_BYTES | {"minLength": 1}
_BYTES = {"schema": _SOME_BYTES}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": _SOME_BYTES},
        "required": ["file"],
    }
}
_FORMS = {
    "schema": {
        "type": "object",
        "properties": {"files": {"type": "array", "items": _ANY_BYTES, "minItems": 1}},
        "required": ["files"],
    }
}
_URL = {"schema": {"$ref": "#/components/schemas/UrlBody"}}
_PICTURE: dict[str, Any] = {
    "application/octet-stream": _BYTES,
    "multipart/form-data": _FORM,
    "application/json": _URL,
}
_BODIES: dict[str, dict[str, Any]] = {
    "/scan/image/{filename}": {"application/octet-stream": _BYTES},
    "/scan/url": {"application/json": _URL},
    "/v1/images": _PICTURE,
    "/v1/search": _PICTURE,
    "/v1/images:erase": _PICTURE,
    "/v1/images:batch": {
        "application/json": {"schema": {"$ref": "#/components/schemas/UrlsBody"}},
        "multipart/form-data": _FORMS,
        "application/zip": _BYTES,
    },
}


#: Bodies that are JSON whatever their content type, by path and method.
_DOCUMENTS: dict[tuple[str, str], type[BaseModel]] = {
    ("/v1/collections", "post"): CollectionIn,
    ("/v1/people/{person}", "patch"): NameIn,
    ("/v1/privacy", "put"): RulesIn,
    ("/v1/people/{person}/merge", "post"): MergeIn,
    ("/v1/people/{person}/split", "post"): FacesIn,
    ("/v1/people/{person}/exclude", "post"): FacesIn,
    ("/v1/webhooks", "post"): WebhookIn,
    ("/v1/webhooks/{webhook}/redeliver", "post"): RedeliverIn,
}
_MAY_BE_LEFT_OUT = {RedeliverIn}


#: What stands for a thing in a path under /v1, and what it looks like.
_PARAMETERS: dict[str, dict[str, Any]] = {
    "image": {
        "description": "the SHA-256 of the picture's bytes",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "face": {
        "description": "HASH:NUMBER, the hash of the image and the number of the face there",
        "schema": {"type": "string", "pattern": f"^[0-9a-f]{{64}}:{NUMBER_PATTERN}$"},
    },
    "job": {"description": "the `job` of a submission"},
    "person": {"description": "the `id` of a person"},
    "batch": {"description": "the `batch` of a submission of many"},
    "webhook": {"description": "the `webhook` that was made"},
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "seconds after which to ask again",
        "schema": {"type": "integer", "minimum": 0},
    }
}
_ETAG = {"ETag": {"description": "of this answer", "schema": {"type": "string"}}}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "required": False,
    "description": "the `ETag` of an answer that is there already",
    "schema": {"type": "string"},
}
#: What may be asked again: not known yet, asked too often, not there just now.
_AGAIN = (HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_REFERENCE = "#/components/schemas/"
_IMAGE = (
    ("/v1/images/{image}", "image", "hash"),
    ("/v1/images/{image}/matches", "image", "hash"),
)
#: Where an answer of a schema leads: a path, what stands for the thing in it, the answer's member.
_LINKS = {
    "JobOut": (("/v1/jobs/{job}", "job", "job"),),
    "HashOut": _IMAGE,
    "ScanOut": _IMAGE,
    "ImageOut": _IMAGE,
}


def problems(*statuses: int) -> dict[int, Any]:
    """The error answers of a route, for its documentation."""
    schema = {"schema": {"$ref": f"{_REFERENCE}Problem"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {CONTENT_TYPE: schema}}
        for status in statuses
    }


def also(status: int, description: str, model: type[BaseModel]) -> dict[int, Any]:
    """A further answer of a route, for its documentation."""
    schema = {"schema": {"$ref": f"{_REFERENCE}{model.__name__}"}}
    return {status: {"description": description, "content": {"application/json": schema}}}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add what does not follow from the routes: the bodies of requests that are not only JSON, the
    schemas that they and problems use, the form of what is in paths, and headers."""
    document["paths"] = {_MISREAD.get(path, path): told for path, told in document["paths"].items()}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in (Problem, UrlBody, UrlsBody):
        schemas[model.__name__] = model.model_json_schema()
    for path, content in _BODIES.items():
        for operations in _mounted(document, path):
            operations["post"]["requestBody"] = {"required": True, "content": content}
    for path, operations in document["paths"].items():
        if path.startswith(_LONG):
            _of_collection(operations)
    for (path, method), form in _DOCUMENTS.items():
        content = {"application/json": {"schema": {"$ref": f"{_REFERENCE}{form.__name__}"}}}
        body = {"required": form not in _MAY_BE_LEFT_OUT, "content": content}
        for operations in _mounted(document, path):
            operations[method]["requestBody"] = body
        shown = form.model_json_schema(ref_template=_REFERENCE + "{model}")
        schemas |= shown.pop("$defs", {})
        schemas[form.__name__] = shown
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _describe(path, operation)
    _join(document)
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


def _describe(path: str, operation: dict[str, Any]) -> None:
    """Say of one operation what its parameters and headers are."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path" and path.startswith("/v1/"):
            parameter |= _PARAMETERS.get(parameter["name"], {})
        if (parameter["in"], parameter["name"]) == ("query", "cursor"):
            # No pattern tells those that were given out.
            parameter["schema"]["format"] = "cursor"
    if "304" in operation["responses"]:
        operation["responses"]["200"].setdefault("headers", {}).update(_ETAG)
        operation["responses"]["304"].setdefault("headers", {}).update(_ETAG)
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
    for status, answer in operation["responses"].items():
        if int(status) in _AGAIN and not path.endswith("/readyz"):
            answer.setdefault("headers", {}).update(_RETRY_AFTER)
        for content in answer.get("content", {}).values():
            links = (
                {}
                if path.startswith(_LONG)
                else _links_of(content["schema"].get("$ref", "").removeprefix(_REFERENCE))
            )
            if links:
                answer["links"] = links


def _links_of(schema: str) -> dict[str, Any]:
    return {
        f"GET {path}": {
            "operationRef": f"#/paths/{path.replace('/', '~1')}/get",
            "parameters": {name: f"$response.body#/{member}"},
        }
        for path, name, member in _LINKS.get(schema, ())
    }


def _join(document: dict[str, Any]) -> None:
    """Give what several models have in them one schema, under its own name: APIFlask gives each
    model one of its own, under the names of both."""
    schemas = document["components"]["schemas"]
    names = {f"{_REFERENCE}{name}": name.rpartition(".")[2] for name in schemas}
    joined: dict[str, Any] = {}
    for name, schema in schemas.items():
        own = joined.setdefault(name.rpartition(".")[2], schema)
        if _renamed(own, names) != _renamed(schema, names):
            raise ValueError(f"two schemas of the name {name}")
    document["components"]["schemas"] = _renamed(joined, names)
    document["paths"] = _renamed(document["paths"], names)


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    """The same with other names referred to."""
    if isinstance(part, dict):
        return {
            key: f"{_REFERENCE}{names[value]}"
            if key == "$ref" and value in names
            else _renamed(value, names)
            for key, value in part.items()
        }
    return [_renamed(one, names) for one in part] if isinstance(part, list) else part
