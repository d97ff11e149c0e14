"""`GET /docs`: the OpenAPI document for people to read, without a script."""

from typing import Any

from apiflask import APIBlueprint
from flask import current_app, render_template

from api.scopes import open_to_all

_METHODS = ("get", "post", "put", "patch", "delete")
_COLLECTION = "/v1/collections/{collection}"


def blueprint() -> APIBlueprint:
    """`GET /docs`."""
    routes = APIBlueprint("docs", __name__)

    @routes.get("/docs")
    @routes.doc(hide=True)
    @open_to_all
    def docs() -> str:
        document: Any = current_app.spec  # type: ignore[attr-defined] # of APIFlask
        return render_template(
            "docs.html",
            document=document,
            operations=[
                (path, method, operations[method])
                for path, operations in sorted(document["paths"].items(), key=_place)
                if not path.startswith(f"{_COLLECTION}/")
                for method in _METHODS
                if method in operations
            ],
            schemas=sorted(document["components"]["schemas"].items()),
            type_of=type_of,
        )

    return routes


def _place(item: tuple[str, Any]) -> tuple[bool, str]:
    """What is of the versioned interface comes first."""
    path, _ = item
    return not path.startswith("/v1/"), path


def type_of(schema: dict[str, Any]) -> list[tuple[str, str]]:
    """A schema in few words: (words, the schema of ours that they name, "" for none)."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [(name, name)]
    if "anyOf" in schema:
        found: list[tuple[str, str]] = []
        for one in schema["anyOf"]:
            found += [(" or ", ""), *type_of(one)] if found else type_of(one)
        return found
    if schema.get("type") == "array":
        return [("list of ", ""), *type_of(schema.get("items", {}))]
    words = str(schema.get("format") or schema.get("type", "anything"))
    bounds = [
        f"{sign} {schema[name]}"
        for name, sign in (
            *(("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤")),
            *(("minLength", "length ≥"), ("maxLength", "length ≤"), ("pattern", "like")),
        )
        if name in schema
    ]
    if "enum" in schema:
        bounds.append("one of " + ", ".join(map(str, schema["enum"])))
    if schema.get("default") not in (None, ""):
        bounds.append(f"default {schema['default']}")
    return [(f"{words} ({', '.join(bounds)})" if bounds else words, "")]
