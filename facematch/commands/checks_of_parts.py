"""What `facematch doctor` asks the parts of a service: Redis, the broker, the index, the api."""

import http.client
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from facematch.brokers import open_broker
from facematch.commands import index as index_command
from facematch.commands.checks import Check, ok, warning, wrong
from facematch.commands.checks_of_machine import socket_file
from facematch.errors import Misconfigured, Unavailable
from facematch.guarding import only_this_machine
from facematch.indexes import is_milvus
from facematch.job import queue_of
from facematch.keys import Keys
from facematch.policy import policy_told
from facematch.presence import Process
from facematch.redis_connection import Redis
from facematch.redis_durability import check_durable
from facematch.redis_sizes import LISTPACK, LISTPACK_ENTRIES, listpack_entries
from facematch.reencoding import Editions
from facematch.settings import PREFIX, Settings
from facematch.sidecar import socket_path
from facematch.terminal import duration, printable, size
from facematch.vitals import EditionVitals, Others, Server, Vitals

_OLDEST_REDIS = (7, 0)
_CLOCK_SECONDS = 2.0
#: How far numbers may be ahead of the clock: many that were given within one microsecond.
_AHEAD_SECONDS = 10.0
_FULL, _NEARLY_FULL = 0.95, 0.8
_LYING_SECONDS = 180.0
_BEHIND = 10_000
_API_SECONDS = 10.0
_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


def redis(client: Redis, told: Server) -> Iterator[Check]:
    """Its version, how it keeps data, and whether it has room."""
    if told.version == (0, 0):
        yield warning("redis", "it does not tell its version and memory", "allow INFO")
    elif told.version < _OLDEST_REDIS:
        yield wrong("redis", f"it is {told.name}", "use Redis 7 or Valkey 7.2, or later")
    else:
        yield ok("redis", told.name)
    weaknesses = check_durable(client, allow_volatile=True)
    if weaknesses:
        yield wrong(
            "persistence",
            f"it may lose what was acknowledged: {'; '.join(weaknesses)}",
            "set appendonly yes, appendfsync always, no-appendfsync-on-rewrite no,"
            " maxmemory-policy noeviction, and allow CONFIG GET",
        )
    elif told.write_problem:
        yield wrong("persistence", told.write_problem, "look at Redis's disk and at its log")
    else:
        yield ok("persistence", "every write is kept before it is acknowledged")
    entries = listpack_entries(client)
    if entries is not None and entries < LISTPACK_ENTRIES:
        yield warning(
            "match sets",
            f"those of more than {entries:,} take five times the memory for each match",
            f"set {LISTPACK} {LISTPACK_ENTRIES}; what is kept otherwise by then changes over when"
            " it is made anew: facematch reindex",
        )
    if told.memory:
        yield _room(told)


def _room(told: Server) -> Check:
    most = told.most_memory or told.machine_memory
    whose = "its limit, maxmemory" if told.most_memory else "its machine's memory"
    said = f"{size(told.memory)} of {size(most)}, {whose}"
    used = told.memory / most if most else 0.0
    if used > _NEARLY_FULL:
        made = wrong if used > _FULL else warning
        return made("redis memory", said, "give it more: facematch plan says how much is needed")
    return ok("redis memory", said)


def clock(told: Vitals) -> Check:
    """Whether the clocks go together. What counts is Redis's own; the others are in logs and in
    the ledger."""
    if told.ahead > _AHEAD_SECONDS:
        return warning(
            "clock",
            f"Redis's clock was set back by {duration(told.ahead)}: nothing is lost, but what"
            " is left lying is found as much later",
            "keep it right by NTP, and never set it by hand",
        )
    if abs(told.server.clock) > _CLOCK_SECONDS:
        way = "ahead of" if told.server.clock > 0 else "behind"
        return warning(
            "clock",
            f"Redis's clock is {duration(abs(told.server.clock))} {way} this machine's",
            "keep both right by NTP",
        )
    return ok("clock", f"Redis's and this machine's are {abs(told.server.clock):.3f} s apart")


def broker(url: str, editions: Editions) -> Check:
    """Whether it answers, and what was rejected."""
    try:
        with closing(open_broker(url, queue=queue_of(editions.served.number))) as there:
            depth, dead, server = there.depth(), there.dead_letters(), there.server()
    except Misconfigured as error:
        return wrong("broker", str(error), f"set {PREFIX}BROKER_URL")
    except Unavailable as error:
        return wrong(
            "broker",
            f"it does not answer, accepted jobs wait: {error}",
            f"start it, or set {PREFIX}BROKER_URL; where it refuses, look at user and virtual host",
        )
    said = f"{server}, {depth:,} messages wait"
    if dead:
        return warning(
            "broker",
            f"{said}, {dead:,} dead letters: messages that no worker could read",
            "see whether another program or version publishes there; no job is lost with them",
        )
    return ok("broker", said)


def index(client: Redis, url: str) -> Check:
    """Whether it answers, and how far it is."""
    try:
        problem = None if is_milvus(url) else socket_file(Path(socket_path(url)))
        if problem:
            return problem
        told = index_command.status_at(client, url)
    except Misconfigured as error:
        return wrong("index", str(error), f"set {PREFIX}INDEX_URL")
    except Unavailable as error:
        if error.code in ("no_collection", "store_unavailable"):
            return ok("index", f"it answers, and has nothing yet: {error}")
        return wrong("index", f"it does not answer: {error}", "start it, and look at its log")
    said = f"{told.kind}, {told.faces:,} faces, {told.behind:,} behind the log"
    if told.reason and told.ready:
        return wrong(
            "index",
            f"{said}; it cannot follow: {told.reason}",
            f"more memory: {PREFIX}INDEX_MEMORY, or a Milvus",
        )
    if not told.ready:
        return warning("index", f"not ready: {told.reason}", "wait; facematch index status")
    if told.behind > _BEHIND:
        return warning("index", said, "see whether it gets nearer; facematch index rebuild")
    return ok("index", said)


def collection(editions: Editions, model: str | None, given: Settings) -> Iterator[Check]:
    """Whether it is one that a worker with these settings, which makes `model`, may work for."""
    served = editions.served
    if not served.model:
        yield ok("collection", "none yet: the first worker makes it")
        return
    there = [edition.model for edition in (served, editions.other) if edition]
    if model is not None and model not in there:
        yield wrong(
            "collection",
            f"it has encodings of {served.model}, a worker here makes {model}",
            f"set {PREFIX}ENCODER back, or change over: facematch reindex --encoder",
        )
        return
    told = policy_told(served.threshold, served.bounds)
    said = f"edition {served.number} of {served.model}, {told}"
    kept = {
        "threshold": served.threshold,
        "max_false_matches": served.bounds.max_false_matches or 0,
        "max_matches": served.bounds.max_matches or 0,
    }
    idle = [
        name
        for name, value in kept.items()
        if name in given.model_fields_set and getattr(given, name) != value
    ]
    for name in idle:
        yield warning(
            "collection",
            f"{said}: it keeps that, {PREFIX}{name.upper()}={getattr(given, name):g} does nothing",
            f"change over: facematch reindex --{name.replace('_', '-')}",
        )
    if not idle:
        yield ok("collection", said)


def keys(there: Keys, given: Settings, embedded: bool) -> Check:
    """Whether callers are asked for a key, and whether anybody has one that works."""
    found = there.keys()
    working = sum(key.is_alive(time.time()) for key in found)
    if given.guarded_elsewhere:
        said = f"nobody is asked for an API key: {PREFIX}GUARDED_ELSEWHERE is set"
        if not found:
            return ok("keys", said)
        return warning(
            "keys", f"{said}, and there are {len(found):,}", "unset it to have them asked"
        )
    if found and not working:
        fix = "facematch keys create NAME"
        return warning("keys", "none of the API keys works: nobody is let in", fix)
    if found:
        return ok("keys", f"{working:,} that work, {len(found) - working:,} that have ended")
    if embedded or only_this_machine(given.host):
        return ok("keys", "none: nobody on this machine is asked for one")
    return warning(
        "keys",
        f"none: an api that listens on {given.host} does not start",
        f"facematch keys create NAME, or {PREFIX}GUARDED_ELSEWHERE where something else asks",
    )


def processes(there: Sequence[Process] | None, own_version: str) -> Iterator[Check]:
    """Which there are, and whether they are of one version."""
    if there is None:
        yield warning(
            "processes", "Redis does not tell which there are", "allow CLIENT LIST and SETNAME"
        )
        return
    parts: defaultdict[str, list[Process]] = defaultdict(list)
    for process in there:
        parts[process.part].append(process)
    for part in ("api", "worker", "index"):
        if not parts[part] and not (part == "index" and parts["worker"]):
            yield warning(
                "processes", f"no {part} is connected to Redis", f"start it: python -m {part}"
            )
    versions = {process.version for process in there} | {own_version}
    told = ", ".join(f"{len(parts[part])} {part}" for part in sorted(parts) if parts[part])
    if len(versions) > 1:
        yield warning(
            "versions",
            f"there are processes of {printable(', '.join(sorted(versions)))}",
            "bring all to one version; facematch status says which are of which",
        )
    elif there:
        yield ok("processes", f"{printable(told)}, all of {own_version}")


def others(told: Others) -> Iterator[Check]:
    """The other collections, where there are any."""
    lying = {name: one.left_lying for name, one in told.busy.items() if not one.in_hand}
    worst = max(lying, key=lambda name: lying[name], default="")
    if worst and lying[worst] > _LYING_SECONDS:
        since = duration(lying[worst])
        said = f"nobody has looked after an accepted job of {worst} for {since}"
        yield wrong("collections", said, "see whether workers run, and what they log")
    elif told.count:
        yield ok("collections", f"{told.count:,} beside default, {told.erasing:,} being erased")


def jobs(edition: EditionVitals) -> Check:
    """Whether what was accepted is worked on."""
    # While many wait their turn, those in hand say that somebody works on them.
    if edition.left_lying > _LYING_SECONDS and not edition.in_hand:
        return wrong(
            "jobs",
            f"nobody has looked after an accepted job for {duration(edition.left_lying)}",
            "see whether workers run, and what they log",
        )
    return ok("jobs", f"{edition.jobs:,} accepted, {edition.pending:,} being linked")


def api(url: str) -> Check:
    """Whether it is ready."""
    try:
        parts = urlsplit(url)
        connection = _CONNECTIONS[parts.scheme](_host(parts), parts.port, timeout=_API_SECONDS)
    except (KeyError, ValueError, http.client.InvalidURL):
        return wrong("api", f"{printable(url)} is no URL of an api", "set FACEMATCH_URL")
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        with connection.getresponse() as response:
            body = response.read(500).decode(errors="replace")
            if response.status == http.HTTPStatus.OK:
                return ok("api", f"ready at {printable(url)}")
            said = f"not ready at {printable(url)}: {printable(body.strip())}"
            return wrong("api", said, "what it names has to be there first")
    # ValueError: of a name or a path that cannot be sent.
    except (OSError, ValueError, http.client.HTTPException) as error:
        fix = "start it, or set FACEMATCH_URL"
        return wrong("api", f"no answer at {printable(url)}: {error}", fix)
    finally:
        connection.close()


def _host(parts: SplitResult) -> str:
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname
