"""`facematch doctor`: whether a service can work here, and what to fix."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import facematch
from facematch import redis_server, valkey
from facematch.commands import checks_of_machine as machine
from facematch.commands import checks_of_parts as parts
from facematch.commands import webhook_checks
from facematch.commands.checks import Check, Level, ok, warning, wrong
from facematch.commands.quietly import quiet
from facematch.commands.text import Document
from facematch.data_folder import default_data, holds_data, running_service
from facematch.embedded import free_port, redis_url_of
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, connect
from facematch.redis_keys import RedisKeys
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_vitals import RedisOthers, RedisVitals
from facematch.redis_webhooks import RedisWebhooks
from facematch.settings import PREFIX, Settings, load

_MARKS = {Level.OK: "ok", Level.WARNING: "look", Level.WRONG: "WRONG"}
_HOST, _PORT = "127.0.0.1", 5000


def examine(data: Path | None) -> list[Check]:
    """All that can be told of a data folder, or of what the settings name; with neither, of the
    default folder."""
    checks = [
        ok("version", f"facematch {facematch.__version__}, Python {platform.python_version()}")
    ]
    try:
        given = load()
    except Misconfigured as error:
        return [*checks, wrong("settings", str(error), "set it as README says")]
    checks += machine.settings(given, os.environ)
    checks += [machine.memory(given), machine.cache()]
    with quiet():
        if data is None and "redis_url" in given.model_fields_set:
            checks += _clustered(given)
        else:
            checks += _embedded(given, data or default_data())
    return checks


def _clustered(given: Settings) -> Iterator[Check]:
    yield machine.ledger(Path(given.ledger), ours=False)
    redis_url, index_url = given.redis_url, given.index_url
    yield from _asked(
        given,
        redis_url.get_secret_value(),
        given.broker_url.get_secret_value(),
        index_url.get_secret_value(),
        embedded=False,
    )
    if url := os.environ.get(f"{PREFIX}URL"):
        yield parts.api(url)


def _embedded(given: Settings, folder: Path) -> Iterator[Check]:
    yield machine.disk("data", folder, "the data of the service")
    its_ledger = given.ledger if "ledger" in given.model_fields_set else folder / "ledger"
    yield machine.ledger(Path(its_ledger), ours=True)
    service = running_service(folder)
    if service is None:
        yield from _could_serve()
    try:
        if not holds_data(folder):
            yield ok("data", f"nothing yet in {folder}: facematch serve begins there")
            model, _ = machine.models({})
            yield model
            return
        with redis_url_of(folder) as redis_url:
            service = running_service(folder)
            index_url = service.index_url if service else None
            broker_url = redis_url if service else None
            yield from _asked(given, redis_url, broker_url, index_url, embedded=True)
    except Unavailable as error:
        yield _away(error)
    except Misconfigured as error:
        yield wrong("data", str(error), "let this user read and write it")
    if service is None:
        yield ok("service", "it does not run: facematch serve starts it")
    else:
        yield parts.api(service.url)


def _could_serve() -> Iterator[Check]:
    """What would keep a service from starting."""
    try:
        valkey.command(Path("/"), Path("/valkey.sock"))
    except Misconfigured as error:
        yield wrong("valkey", str(error), "run a cluster with a Redis of your own")
    try:
        free_port(_HOST, _PORT)
    except Misconfigured as error:
        yield warning("port", str(error), "serve on another one: --port, or PORT= for make")


def _asked(
    given: Settings,
    redis_url: str,
    broker_url: str | None,
    index_url: str | None,
    *,
    embedded: bool,
) -> Iterator[Check]:
    try:
        with connect(redis_url) as client:
            yield from _parts(client, given, broker_url, index_url, embedded=embedded)
    except Misconfigured as error:
        yield wrong("redis", str(error), f"set {PREFIX}REDIS_URL")
    except Unavailable as error:
        yield _away(error)


def _away(error: Unavailable) -> Check:
    if error.code == "newer_data":
        return wrong("data", str(error), "run that version of facematch")
    return wrong(
        "redis",
        f"it does not answer: {error}",
        f"start it, or set {PREFIX}REDIS_URL; where it refuses, look at the password",
    )


def _parts(
    client: Redis,
    given: Settings,
    broker_url: str | None,
    index_url: str | None,
    *,
    embedded: bool,
) -> Iterator[Check]:
    yield from parts.redis(client, redis_server.server(client))
    vitals = RedisVitals(client).read()
    yield parts.clock(vitals)
    yield parts.keys(RedisKeys(client), given, embedded)
    editions = RedisReencoding(client).editions()
    served = editions.served
    # Embedded, what the collection was made with counts.
    own = {f"{PREFIX}ENCODER": served.encoder, f"{PREFIX}DETECTOR": served.detector}
    models, model = machine.models({k: v for k, v in own.items() if v} if embedded else {})
    yield models
    yield from parts.collection(editions, model, given)
    if broker_url is not None:
        yield parts.broker(broker_url, editions)
    if index_url is not None:
        yield parts.index(client, index_url)
        yield from parts.processes(redis_server.processes(client), facematch.__version__)
        yield parts.jobs(vitals.served)
        yield from parts.others(RedisOthers(client).read())
        yield from _webhooks(client)


def _webhooks(client: Redis) -> Iterator[Check]:
    there = {}
    for name in RedisCollections(client).names():
        with suppress(NotFound):  # erased meanwhile
            there[name] = webhook_checks.look(RedisWebhooks(client, name))
    if found := webhook_checks.check(there):
        yield found


def is_wrong(checks: Sequence[Check]) -> bool:
    """Whether anything is."""
    return any(check.level is Level.WRONG for check in checks)


def document(checks: Sequence[Check]) -> Document:
    """For a script."""
    return {"wrong": is_wrong(checks), "checks": [asdict(check) for check in checks]}


def lines(checks: Sequence[Check]) -> Iterator[str]:
    """For people."""
    for check in checks:
        yield f"{_MARKS[check.level]:<6} {check.what:<13} {check.said}"
        if check.fix:
            yield f"{'':<20} -> {check.fix}"
    counts = {level: sum(check.level is level for check in checks) for level in Level}
    warnings, wrongs = counts[Level.WARNING], counts[Level.WRONG]
    yield f"{wrongs:,} wrong, {warnings:,} worth a look, {counts[Level.OK]:,} as they should be"
