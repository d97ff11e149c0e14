"""`facematch export` and `facematch import`: which store they work on, and what they print."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from facematch import exporting, importing, progress
from facematch.archive import ArchiveReader, Manifest
from facematch.collection_name import DEFAULT
from facematch.commands.stores import served_edition, urls
from facematch.commands.text import Document
from facematch.policy import policy_told
from facematch.redis_archiving import RedisArchiving
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_people import RedisPeople
from facematch.redis_store import RedisStore
from facematch.settings import load
from facematch.terminal import printable

_SHOWN = 20

_T = TypeVar("_T")


def export(data: Path | None, path: Path, collection: str = DEFAULT) -> Manifest:
    """Write a collection of a store, see facematch.commands.stores.urls, to a file.

    Raises Misconfigured for a folder without data, and as facematch.exporting.export does.
    """
    return _with_parts(
        *(data, collection),
        lambda store, people, archiving, shown: exporting.export(
            store, people, archiving, path, shown
        ),
    )


def import_(data: Path | None, path: Path, collection: str = DEFAULT) -> importing.Imported:
    """Write an export to a collection of a store. Raises as facematch.importing.import_ does, and
    OSError."""
    with ArchiveReader(path) as archive:
        return _with_parts(
            *(data, collection),
            lambda store, people, archiving, shown: importing.import_(
                store, people, archiving, archive, shown
            ),
        )


def _with_parts(
    data: Path | None,
    collection: str,
    act: Callable[[RedisStore, RedisPeople, RedisArchiving, progress.Update], _T],
) -> _T:
    log_keep = load().log_keep
    with (
        urls(data) as (redis_url, _),
        connect(redis_url) as client,
        contextlib.closing(progress.on(sys.stderr, "images")) as shown,
    ):
        name = served_edition(client, collection)
        store, people = RedisStore(client, name, log_keep=log_keep), RedisPeople(client, name)
        archiving = RedisArchiving(client, name, log_keep=log_keep)
        done = act(store, people, archiving, shown.update)
        # Faces that came are to be grouped.
        RedisCollections(client).touch(collection)
        return done


def export_document(manifest: Manifest, path: Path) -> Document:
    """For a script."""
    return {"file": str(path), "bytes": path.stat().st_size, **asdict(manifest)}


def export_lines(manifest: Manifest, path: Path) -> Iterator[str]:
    """For people."""
    bounds = importing.pinned_of(manifest).generation
    yield (
        f"{manifest.images:,} images with {manifest.faces:,} faces and {manifest.matches:,} matches"
        f" ({policy_told(bounds.threshold, bounds.bounds)})"
    )
    yield f"{printable(str(path))}: {path.stat().st_size:,} bytes"
    if manifest.gone:
        yield f"{len(manifest.gone):,} images were erased meanwhile; an import leaves them out"


def import_document(imported: importing.Imported) -> Document:
    """For a script."""
    return asdict(imported)


def import_lines(imported: importing.Imported) -> Iterator[str]:
    """For people."""
    if imported.ended_before:
        yield "All of it is there already."
        return
    if imported.resumed_at:
        yield f"It went on behind position {imported.resumed_at:,}."
    yield (
        f"{imported.images:,} images with {imported.faces:,} faces, {imported.matches:,} matches"
        f" and {imported.people:,} people"
    )
    for image in imported.refused[:_SHOWN]:
        yield f"  {image} was erased here"
    if len(imported.refused) > _SHOWN:
        yield f"  … {len(imported.refused):,} in all"
