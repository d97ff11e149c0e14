"""`facematch status`: how a service does, at a glance."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import facematch
from facematch import redis_server
from facematch.collection_name import DEFAULT
from facematch.commands import index as index_command
from facematch.commands import reindex_text, webhook_checks
from facematch.commands.index import Status as IndexStatus
from facematch.commands.quietly import quiet
from facematch.commands.reindex import there_in
from facematch.commands.reindex_parts import Parts, parts_of
from facematch.commands.reindex_text import There
from facematch.commands.text import Document
from facematch.commands.webhook_checks import WebhookTold
from facematch.errors import FacematchError, Unavailable
from facematch.job import QUEUE, REINDEX_QUEUE, queue_of
from facematch.presence import Process
from facematch.redis_failed_jobs import RedisFailedJobs
from facematch.redis_vitals import RedisVitals
from facematch.redis_webhooks import RedisWebhooks
from facematch.reencoding import Editions
from facematch.store import Collection
from facematch.terminal import duration, printable, size
from facematch.vitals import EditionVitals, Server, Vitals

_Told = TypeVar("_Told")


@dataclass(frozen=True)
class Queues:
    """The broker's server, how many messages wait in each queue, and how many were rejected."""

    server: str
    waiting: Mapping[str, int]
    dead_letters: int


@dataclass(frozen=True)
class Problem:
    """A part that does not answer, and why."""

    part: str
    code: str
    detail: str


@dataclass(frozen=True)
class Overview:
    """How a service does. None where a part does not tell, which is then among the `problems`;
    `collection`: None before there is one; `processes`: None where Redis does not tell."""

    version: str
    processes: Sequence[Process] | None
    vitals: Vitals
    failed: Mapping[str, int]
    editions: Editions
    reindex: There
    webhooks: Sequence[WebhookTold]
    collection: Collection | None
    queues: Queues | None
    index: IndexStatus | None
    problems: Sequence[Problem]


def look(data: Path | None, collection: str = DEFAULT) -> Overview:
    """Of a data folder, or of what the settings name. Raises Misconfigured, and Unavailable when
    the store does not answer: without it nothing is known."""
    problems: list[Problem] = []

    def asked(part: str, ask: Callable[[], _Told]) -> _Told | None:
        try:
            return ask()
        except FacematchError as error:
            problems.append(Problem(part, error.code, str(error)))
            return None

    with quiet(), parts_of(data, collection) as parts:
        editions = parts.reencoding.editions()
        return Overview(
            version=facematch.__version__,
            processes=redis_server.processes(parts.client),
            vitals=RedisVitals(parts.client, collection).read(),
            failed=RedisFailedJobs(parts.client, collection).codes(),
            editions=editions,
            reindex=there_in(parts),
            webhooks=webhook_checks.look(RedisWebhooks(parts.client, collection)),
            collection=_collection(parts, editions),
            queues=asked("broker", lambda: _queues(parts, editions)),
            index=asked("index", lambda: _index(parts)),
            problems=problems,
        )


def _collection(parts: Parts, editions: Editions) -> Collection | None:
    if not editions.served.model:
        return None
    return parts.store(editions.served.number).collection()


def _queues(parts: Parts, editions: Editions) -> Queues:
    if parts.broker_url is None:
        raise Unavailable("service_unavailable", "the service does not run")
    names = [queue_of(number) for number in sorted(editions.numbers)] + [REINDEX_QUEUE]
    waiting = {}
    for name in names:
        with parts.broker(name) as broker:
            waiting[name] = broker.depth()
    with parts.broker(QUEUE) as broker:
        return Queues(broker.server(), waiting, broker.dead_letters())


def _index(parts: Parts) -> IndexStatus:
    if parts.index_url is None:
        raise Unavailable("service_unavailable", "the service does not run")
    return index_command.status_at(parts.client, parts.index_url, parts.collection)


def document(told: Overview) -> Document:
    """For a script."""
    return {**asdict(told), **reindex_text.document(told.reindex)}


def lines(told: Overview) -> Iterator[str]:
    """For people."""
    for what, said in _rows(told):
        yield f"{what:<13}{said}"


def _rows(told: Overview) -> Iterator[tuple[str, str]]:
    servers = [told.vitals.server.name] + ([told.queues.server] if told.queues else [])
    yield "versions", f"facematch {told.version}, {', '.join(dict.fromkeys(servers))}"
    yield "processes", _processes(told.processes)
    yield "jobs", _jobs(told.vitals.served)
    yield "images", _images(told.vitals.served)
    yield "failed", _failed(told.failed)
    yield "collection", _collection_line(told)
    if told.queues:
        waiting = ", ".join(f"{name} {count:,}" for name, count in told.queues.waiting.items())
        yield "queues", f"{waiting}; {told.queues.dead_letters:,} dead letters"
    if told.index:
        for number, line in enumerate(index_command.status_lines(told.index)):
            yield "" if number else "index", line
    if told.webhooks:
        yield "webhooks", webhook_checks.line(told.webhooks)
    if told.vitals.server.memory:
        yield "memory", _memory(told.vitals.server)
    for number, line in enumerate(reindex_text.lines(told.reindex)):
        yield "" if number else "reindex", line
    for problem in told.problems:
        yield problem.part, f"NOT THERE: {printable(problem.detail)} ({problem.code})"


def _processes(there: Sequence[Process] | None) -> str:
    if there is None:
        return "Redis does not tell (CLIENT LIST is refused)"
    kinds = Counter((process.part, process.version) for process in there)
    words = [f"{count} {part} {version}" for (part, version), count in sorted(kinds.items())]
    return printable(", ".join(words)) or "none is connected to Redis"


def _jobs(edition: EditionVitals) -> str:
    accepted = f"{edition.jobs:,} accepted"
    if edition.jobs:
        oldest = duration(edition.oldest_job)
        accepted += f" ({edition.in_hand:,} in hand, the oldest for {oldest})"
    return f"{accepted}, {size(edition.upload_bytes)} uploaded wait"


def _images(edition: EditionVitals) -> str:
    pending = f"{edition.pending:,} without all their matches"
    if edition.pending:
        pending += f" (the oldest for {duration(edition.oldest_pending)})"
    return f"{edition.images:,} with faces, {pending}, {edition.erasures:,} being erased"


def _failed(codes: Mapping[str, int]) -> str:
    worst = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{printable(code)} {count:,}" for code, count in worst)
    return f"{sum(codes.values()):,}" + (f": {told}" if told else "")


def _collection_line(told: Overview) -> str:
    if told.collection is None:
        return "none yet: the first worker makes it"
    there, served = told.collection, told.editions.served
    return (
        f"edition {served.number} of {there.model}, threshold {there.threshold:g}, at position"
        f" {there.tail.position:,}"
    )


def _memory(server: Server) -> str:
    most = f" of {size(server.most_memory)}" if server.most_memory else ""
    return f"Redis takes {size(server.memory)}{most}"
