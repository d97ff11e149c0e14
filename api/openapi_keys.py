"""What the OpenAPI document says of keys: how they are sent, which scopes each route takes, and
what is answered to whom it is not good enough."""

import re
from typing import Any

from apiflask import APIFlask

from api.openapi import problems
from api.scopes import OPEN, needs_of

_ARGUMENT = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`fm_…`, of `facematch keys`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "the same"},
}
#: 404: what the key is not for is not there.
_ANSWERS = (401, 403, 404, 429)


def complete(document: dict[str, Any], app: APIFlask) -> dict[str, Any]:
    """Add it."""
    document.setdefault("components", {})["securitySchemes"] = _SCHEMES
    for rule in app.url_map.iter_rules():
        needed = needs_of(rule.endpoint, app.view_functions[rule.endpoint])
        path = document["paths"].get(_ARGUMENT.sub(r"{\1}", rule.rule), {})
        for method in rule.methods or ():
            operation = path.get(method.lower())
            if operation is None:
                continue
            if needed == OPEN:
                operation["security"] = []
                continue
            # An empty one: a service on this machine alone may ask nobody.
            operation["security"] = [{scheme: []} for scheme in _SCHEMES] + [{}]
            operation["x-scopes"] = list(needed.scopes)
            if needed.instead:
                operation["x-scope-instead"] = needed.instead
            for status, told in problems(*_ANSWERS).items():
                operation["responses"].setdefault(str(status), told)
    return document
