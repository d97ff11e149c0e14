"""`python -m worker`: chooses the real parts, checks that they can work, consumes until SIGTERM.

`python -m worker model` says what encodings a worker with these settings makes; `check` does, too,
once it has looked at a drawn face the way a worker looks at pictures: for `facematch doctor`.
`look` looks at files named on standard input: for `facematch quality`.
`python -m worker reindex` is `facematch reindex`, for a Job that has the worker's image.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog

from facematch import startup, tracing
from facematch.brokers import open_broker, open_queues
from facematch.collection_name import DEFAULT, edition_name
from facematch.errors import Unavailable
from facematch.indexes import forget, open_feeder, open_neighbours
from facematch.job import REINDEX_QUEUE, Message, queue_of
from facematch.metrics_port import open_port
from facematch.opened import OfCollections
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_durability import check_durable
from facematch.redis_events import RedisEvents
from facematch.redis_people import RedisPeople
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_rewriting import RedisRewriting
from facematch.redis_store import RedisStore
from facematch.redis_webhooks import RedisWebhooks
from facematch.search_workers import listening_place
from facematch.searching import Found, Probe
from facematch.settings import Settings
from facematch.store import Store
from worker.benches import MOST, Bench, opener
from worker.consumer import HANDS_PER_SLOT, consume
from worker.delivering import Delivery, keep_delivering
from worker.encoder import calibration_of, load_encoder
from worker.feeding import keep_feeding
from worker.forgetting import keep_forgetting
from worker.golden import check_golden
from worker.grouping import keep_grouping
from worker.in_hand import InHand
from worker.joining import check, join
from worker.memory import give_back_early
from worker.metrics import Metrics, Readiness, gauges_of
from worker.pipeline import Parts, finish, process
from worker.posting import Poster
from worker.ranges import RangeParts
from worker.rebuilding import HANDS, WAY_SECONDS, keep_rebuilding
from worker.rewriting import keep_rewriting
from worker.rounds import JUST_NOW, LATELY, Rounds, each
from worker.sandbox import Sandbox, SandboxedLooker
from worker.search_server import PER_SLOT, SearchServer
from worker.searching import SearchParts, search
from worker.sweeper import Swept, keep_sweeping
from worker.telling import check_here, child_settings, look, say_model

_Part = TypeVar("_Part")

_log = structlog.get_logger()


def serve(settings: Settings) -> int:
    """Consume until SIGTERM or SIGINT; the jobs in hand are finished first.

    Raises Misconfigured, also when the collection is replaced by one it cannot work with.
    """
    give_back_early()
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    slots = settings.slots or startup.usable_cores()
    hands = slots * HANDS_PER_SLOT
    metrics = Metrics()
    port = open_port(settings)
    if port is not None:
        port.serve(metrics.registry.encode)
    traces = startup.Tracing(settings, "worker")
    with (
        # Its children need not know where traces go. There is one to fetch for each search, too.
        Sandbox(
            child_settings(settings), lookers=slots, fetchers=hands + slots * PER_SLOT
        ) as sandbox,
        traces,
    ):
        return _serve(settings, sandbox, hands, stop, metrics)


def _serve(
    settings: Settings,
    sandbox: Sandbox,
    hands: int,
    stop: threading.Event,
    metrics: Metrics,
) -> int:
    encoder = load_encoder(settings.encoder, settings.detector, settings.max_side)
    looker = SandboxedLooker(sandbox, encoder)
    check_golden(looker, encoder.model)
    client = connect(settings.redis_url.get_secret_value(), part="worker")
    reencoding = RedisReencoding(client)
    collections = RedisCollections(client)

    def open_store(name: str) -> RedisStore:
        return RedisStore(client, name, job_days=settings.job_days, log_keep=settings.log_keep)

    joined = join(
        lambda: check_durable(client, settings.allow_volatile),
        reencoding,
        open_store,
        encoder.model,
        calibration_of(encoder),
        settings,
        stop,
        lambda: collections.drop_some(DEFAULT),
    )
    if joined is None:
        client.close()
        _log.info("stopped")
        return 0
    index_url, broker_url = (
        url.get_secret_value() for url in (settings.index_url, settings.broker_url)
    )
    broker = open_broker(broker_url, prefetch=hands, queue=queue_of(joined.number))
    queues = open_queues(broker_url)
    # Not `stop`: what is in hand then is finished first.
    finished = threading.Event()
    in_hand = InHand(lambda name, jobs: benches.of(name).store.hold(jobs))

    def make_bench(collection: str, name: str, store: Store, calibration: str) -> Bench:
        neighbours = open_neighbours(index_url, name)
        parts = Parts(
            store=store,
            neighbours=neighbours,
            fetch=sandbox.fetch,
            looker=looker,
            model=encoder.model,
            max_attempts=settings.max_attempts,
            calibration=calibration,
            ended=metrics.ended,
        )
        ranges = RangeParts(
            *(store, RedisReindexing(client, name), neighbours),
            give_way=lambda: in_hand.wait_for_none(WAY_SECONDS),
            collection=collection,
        )
        people = RedisPeople(client, name)
        feeder = None if collection == DEFAULT else open_feeder(index_url, store, name)
        delivery = Delivery(
            collection, RedisWebhooks(client, collection), RedisEvents(client, collection)
        )
        editions = RedisReencoding(client, collection)
        return Bench(collection, joined.number, editions, parts, ranges, people, delivery, feeder)

    open_bench = opener(joined.number, encoder.model, open_store, make_bench)
    benches = OfCollections(open_bench, MOST, Bench.close)

    def check_default() -> None:
        if joined.number not in reencoding.editions().numbers:
            _log.info("the edition was given up", edition=joined.number)
            stop.set()
            return
        # Made again if it is gone: somebody has emptied Redis.
        made = joined.store.create(
            encoder.model, joined.threshold, joined.calibration, joined.bounds
        )
        check(made, encoder.model)
        benches.of(DEFAULT).neighbours.check()

    def check_parts() -> None:
        try:
            check_default()
        except Unavailable as error:
            # While that is being emptied, work goes on in the others.
            if error.code != "collection_erasing":
                raise
        sandbox.check()

    ready = Readiness(check_parts)

    def work(message: Message) -> None:
        job, collection = message.job, message.collection
        with tracing.working("process", job, message.traceparent, kind="consumer"):
            with in_hand.having(job, collection), metrics.giving_back():
                ended = process(job, benches.of(collection).parts)
            with contextlib.suppress(Unavailable):  # the sweeper does it, too
                collections.touch(collection)
                if ended.followed_by is not None:
                    told = Message(job, tracing.here(), collection)
                    queues.of(ended.followed_by).publish(told)

    def about(message: Message) -> Mapping[str, str]:
        collection = {} if message.collection == DEFAULT else {"collection": message.collection}
        return {**collection, **tracing.fields(message.job, message.traceparent)}

    def search_in(probe: Probe) -> Found:
        bench = benches.of(probe.asked.collection)
        return search(
            probe,
            SearchParts(
                store=bench.store,
                neighbours=bench.neighbours,
                fetch=partial(sandbox.fetch, hurry=True),
                looker=looker.in_a_hurry,
                served=bench.is_served,
            ),
        )

    place = listening_place(settings.search_url, settings.search_host, settings.search_port)
    searches = place and SearchServer(
        search_in,
        place,
        most=hands // HANDS_PER_SLOT * PER_SLOT,
        max_bytes=settings.max_bytes,
        told=metrics.searched,
    )

    def forget_edition(number: int) -> None:
        forget(index_url, edition_name(DEFAULT, number))

    def forget_collection(name: str) -> None:
        benches.forget(name)
        forget(index_url, edition_name(name, joined.number))

    def forget_some(parts: RangeParts) -> bool:
        done = parts.reindexing.drop_some()
        return done and (parts.collection != DEFAULT or reencoding.drop_some(forget_edition))

    def looked_at(seconds: float, of: Callable[[Bench], _Part]) -> Callable[[], Iterator[_Part]]:
        return each(Rounds(collections, seconds), lambda name: of(benches.of(name)))

    def swept(bench: Bench) -> Swept:
        if bench.collection != DEFAULT:
            about = collections.about(bench.collection)
            if about.jobs or about.pending:
                collections.touch(bench.collection)
        return Swept(bench.store, lambda image: finish(image, bench.parts), bench.collection)

    sweeping = {"seconds": settings.sweep_seconds, "age": settings.sweep_age, "stop": stop}
    ranges = open_broker(broker_url, HANDS, REINDEX_QUEUE)
    threads = [
        _thread(
            keep_sweeping,
            looked_at(LATELY, swept),
            broker,
            **sweeping,
        ),
        _thread(
            keep_rebuilding,
            lambda name: benches.of(name).ranges,
            looked_at(LATELY, lambda bench: bench.ranges),
            ranges,
            forget_some,
            **sweeping,
        ),
        _thread(
            keep_grouping,
            looked_at(JUST_NOW, lambda bench: (bench.store, bench.people)),
            stop,
            give_way=in_hand.wait_for_none,
        ),
        _thread(
            keep_delivering,
            looked_at(LATELY, lambda bench: bench.delivery),
            Poster(settings.fetch_timeout, settings.webhook_allowed).post,
            stop,
        ),
        _thread(keep_forgetting, collections, Rounds(collections, 0), forget_collection, stop),
    ]
    if settings.rewrite_hours:
        threads.append(
            _thread(keep_rewriting, RedisRewriting(client), settings.rewrite_hours, stop)
        )
    feeder = open_feeder(index_url, joined.store, joined.name)
    if feeder is not None:
        threads += [
            _thread(feeder.run, stop),
            _thread(
                keep_feeding,
                looked_at(JUST_NOW, lambda bench: (bench.collection, bench.feeder)),
                stop,
            ),
        ]
    for thread in (*threads, _thread(in_hand.keep, finished)):
        thread.start()
    if searches:
        searches.start()
    metrics.registry.watch(lambda: gauges_of(lambda: in_hand.count, hands, ready))
    _log.info("ready", model=encoder.model, threshold=joined.threshold, edition=joined.number)
    try:
        consume(broker, Message.decode, work, ready, stop, hands, about)
    finally:
        stop.set()
        if searches:
            searches.stop()
        finished.set()
        broker.close()
        queues.close()
        for thread in threads:
            thread.join(timeout=5)
        ranges.close()
        benches.close()
        client.close()
    _log.info("stopped")
    return 0


def _thread(target: Callable[..., object], *args: object, **more: object) -> threading.Thread:
    return threading.Thread(target=target, args=args, kwargs=more, daemon=True)


def main(arguments: Sequence[str]) -> int:
    """Serve, or do what the arguments say to `facematch`."""
    if not arguments:
        return startup.run("worker", serve)
    if list(arguments) == ["model"]:
        return say_model(lambda settings, encoder: None)
    if list(arguments) == ["check"]:
        return say_model(check_here)
    if list(arguments) == ["look"]:
        return look()
    from facematch.cli import main as command

    command(arguments, prog_name="python -m worker")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
