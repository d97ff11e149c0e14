"""`facematch migrate`: what it does to a store, and what it prints."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from facematch.collection_name import DEFAULT
from facematch.commands.stores import urls
from facematch.commands.text import Document
from facematch.errors import NotFound
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_schema import RedisSchema, Standing

#: Seconds. Counting the faces of a million images takes some six.
_PATIENCE = 600.0


def run(data: Path | None, apply: bool) -> Standing:
    """How a store stands (see facematch.commands.stores.urls), or stood before it was brought to
    the schema of this version: that of the oldest collection. Raises Misconfigured for a folder
    without data, Unavailable."""
    with urls(data) as (redis_url, _), connect(redis_url, timeout=_PATIENCE) as client:
        found = [_run(RedisSchema(client), apply)]
        for name in RedisCollections(client).names():
            if name != DEFAULT:
                with contextlib.suppress(NotFound):  # erased meanwhile
                    found.append(_run(RedisSchema(client, name), apply))
        return min(found, key=lambda standing: standing.schema)


def _run(schema: RedisSchema, apply: bool) -> Standing:
    return schema.migrate() if apply else schema.standing()


def document(found: Standing, apply: bool) -> Document:
    """For a script."""
    steps = [{"schema": schema, "what": what} for schema, what in found.steps.items()]
    return {"schema": found.schema, "newest": found.newest, "steps": steps, "applied": apply}


def lines(found: Standing, apply: bool) -> Iterator[str]:
    """For people."""
    if not found.steps:
        yield f"The data is of schema {found.schema}, that of this version: there is nothing to do."
        return
    had = "was" if apply else "is"
    yield f"The data {had} of schema {found.schema}, this version writes {found.newest}:"
    for schema, what in found.steps.items():
        yield f"  {schema}: {what}"
    if apply:
        yield f"Done: it is of schema {found.newest}."
    else:
        yield (
            "Nothing was changed. End all processes of older versions, then run"
            " facematch migrate --apply."
        )
