"""`facematch erasure-report`: what is left of an erased image, place by place, with evidence."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from facematch.commands.index import Status, status_at
from facematch.commands.stores import ledger_folder, urls
from facematch.commands.text import Document
from facematch.erasure_ledger import written_in
from facematch.errors import FacematchError, NotFound
from facematch.redis_connection import Redis, connect
from facematch.redis_erasures import RedisErasures, Traces
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_rewriting import Kept, RedisRewriting
from facematch.redis_store import RedisStore

_DAY = 86_400
#: Looking at every key of a large collection.
_PATIENCE = 60.0


class Found(StrEnum):
    """How it is at a place."""

    GONE = "gone"
    LEFT = "left"
    EXPIRES = "expires"
    NOT_ASKED = "not asked"


@dataclass(frozen=True)
class Evidence:
    """What was found at a place, and what says so."""

    place: str
    found: Found
    detail: str


@dataclass(frozen=True)
class Report:
    """Of one image. `erased`: when, in seconds since 1970, None where it was not."""

    image: str
    collection: str
    erased: float | None
    evidence: tuple[Evidence, ...]

    @property
    def clean(self) -> bool:
        """Whether it is erased, and nothing was found of it anywhere that was asked
        but what expires by itself."""
        left = any(one.found is Found.LEFT for one in self.evidence)
        return self.erased is not None and not left


def report(data: Path | None, collection: str, image: str, rewrite: bool) -> Report:
    """Look for an image in the store that facematch.commands.stores.urls says. `rewrite`: have the
    append-only file written anew first.

    Raises Misconfigured for a folder without data, NotFound for an image that was never there,
    Unavailable.
    """
    with (
        urls(data) as (redis_url, index_url),
        connect(redis_url, timeout=_PATIENCE) as client,
    ):
        rewriting = RedisRewriting(client)
        if rewrite:
            rewriting.rewrite()
        editions = RedisReencoding(client, collection).editions()
        erasures = RedisErasures(client, collection)
        traces = [erasures.traces(image, edition.number) for edition in editions.all]
        folder = ledger_folder(data)
        written = _written(folder, collection, image)
        if not any(one.state for one in traces) and not written:
            raise NotFound("not_found", f"no image {image}")
        upto = max((one.erased_at for one in traces if one.erased_at), default=None)
        erased = max((one.gone_at for one in traces if one.gone_at), default=None)
        alive = any(one.state not in ("", "erased") for one in traces)
        evidence = [*map(_in_store, traces), *map(_in_given_up, erasures.given_up())]
        evidence.append(_in_ledger(folder, written, upto))
        if erased is not None:
            kept = rewriting.kept()
            evidence += [_in_file(kept, erased), _in_snapshots(kept, erased), *_in_replicas(kept)]
            evidence.append(_in_index(client, index_url, collection))
        evidence.append(_in_jobs(traces))
        evidence.append(
            Evidence("backups", Found.NOT_ASKED, "yours to expire; the ledger outlives them")
        )
        return Report(image, collection, None if alive else erased, tuple(evidence))


def _written(folder: Path, collection: str, image: str) -> list[tuple[str, int]]:
    """Where in the ledger it is, and up to which number."""
    return [
        (f"{one.file.name}, line {one.line}, {one.time}", one.record.upto)
        for one in written_in(folder)
        if one.record.collection == collection and one.record.image == image
    ]


def _in_store(traces: Traces) -> Evidence:
    place = "store" if not traces.edition else f"store, edition {traces.edition}"
    if traces.state not in ("", "erased"):
        return Evidence(place, Found.LEFT, f"the image is there, {traces.state}")
    if traces.left:
        what = ", ".join(f"{count} {name}" for name, count in traces.left.items())
        under_way = "; its matches are still being removed" if traces.unlinking else ""
        return Evidence(place, Found.LEFT, what + under_way)
    if traces.unlinking:
        return Evidence(place, Found.LEFT, "its place among those to be unlinked")
    detail = "no encodings, names, bytes, people, match sets; its hash alone is kept, as erased"
    return Evidence(place, Found.GONE, detail)


def _in_given_up(edition: int) -> Evidence:
    """Erasures do not reach it."""
    detail = "it was given up, and is being forgotten as a whole"
    return Evidence(f"store, edition {edition}", Found.LEFT, detail)


def _in_ledger(folder: Path, written: list[tuple[str, int]], erased: float | None) -> Evidence:
    """That it stands there is what keeps a restored backup from bringing it back."""
    there = [where for where, upto in written if erased is None or upto / 1e6 >= erased]
    if there:
        return Evidence("ledger", Found.GONE, f"written: {there[-1]}")
    if not folder.is_dir():
        return Evidence(
            "ledger", Found.LEFT, f"not found: no {folder} here; ask where the api's is"
        )
    return Evidence("ledger", Found.LEFT, "not written: a restored backup would bring it back")


def _in_file(kept: Kept, erased: float) -> Evidence:
    place = "append-only file"
    if not kept.appends:
        return Evidence(place, Found.GONE, "Redis has none")
    if kept.rewritten is not None and kept.rewritten > erased:
        return Evidence(place, Found.GONE, f"written anew since: {_time(kept.rewritten)}")
    return Evidence(place, Found.LEFT, "not written anew since; --rewrite does it now")


def _in_snapshots(kept: Kept, erased: float) -> Evidence:
    place = "snapshots"
    if kept.saved is not None and kept.saved > erased:
        return Evidence(place, Found.GONE, f"made anew since: {_time(kept.saved)}")
    if kept.saved is not None:
        return Evidence(place, Found.LEFT, f"the last one is of {_time(kept.saved)}")
    if kept.snapshots:
        return Evidence(place, Found.LEFT, "Redis has made none since it started")
    return Evidence(place, Found.GONE, "Redis makes none by itself, nor has it since it started")


def _in_replicas(kept: Kept) -> Iterator[Evidence]:
    if kept.replicas:
        detail = f"{kept.replicas} connected; each has files of its own"
        yield Evidence("replicas", Found.NOT_ASKED, detail)


def _in_index(client: Redis, index_url: str | None, collection: str) -> Evidence:
    place = "index"
    if index_url is None:
        return Evidence(place, Found.NOT_ASKED, "no service runs here")
    store_tail = RedisStore(client, collection).collection().tail.position
    try:
        told: Status = status_at(client, index_url, collection)
    except FacematchError as error:
        return Evidence(place, Found.NOT_ASKED, str(error))
    if told.position >= store_tail:
        return Evidence(place, Found.GONE, f"it has applied the log up to {told.position:,}")
    detail = f"it has applied the log up to {told.position:,} of {store_tail:,}"
    return Evidence(place, Found.LEFT, detail)


def _in_jobs(traces: list[Traces]) -> Evidence:
    jobs = sum(one.jobs for one in traces)
    if not jobs:
        return Evidence("submissions", Found.GONE, "none is remembered")
    days = max(one.jobs_seconds for one in traces) / _DAY
    detail = f"{jobs} remembered with the name or URL it came with, for {days:.1f} days at most"
    return Evidence("submissions", Found.EXPIRES, detail)


def document(told: Report) -> Document:
    """For a script."""
    return asdict(told) | {"clean": told.clean}


def lines(told: Report) -> Iterator[str]:
    """For people."""
    when = "not erased" if told.erased is None else f"erased {_time(told.erased)}"
    yield f"{told.image} of {told.collection}: {when}"
    for one in told.evidence:
        yield f"  {one.place:<18}{one.found:<11}{one.detail}"
    yield "nothing is left where it was looked for" if told.clean else "something is left"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
