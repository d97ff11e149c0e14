"""`python -m worker`: chooses the real parts, checks that they can work, consumes until SIGTERM.

`python -m worker model` says what encodings a worker with these settings makes; `check` does, too,
once it has looked at a drawn face the way a worker looks at pictures: for `facematch doctor`.
`look` looks at files named on standard input: for `facematch quality`.
`python -m worker reindex` is `facematch reindex`, for a Job that has the worker's image.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from facematch import logs, startup, tracing
from facematch.brokers import open_broker, open_queues
from facematch.collection_name import DEFAULT, edition_name
from facematch.errors import Misconfigured, Unavailable
from facematch.indexes import forget, open_feeder, open_neighbours
from facematch.job import REINDEX_QUEUE, Message, queue_of
from facematch.metrics_port import open_port
from facematch.redis_connection import connect
from facematch.redis_durability import check_durable
from facematch.redis_people import RedisPeople
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.settings import Settings, load
from worker.consumer import HANDS_PER_SLOT, consume
from worker.encoder import Encoder, calibration_of, load_encoder
from worker.fetch import FetchLimits
from worker.frames import ChildSettings
from worker.golden import check_golden
from worker.grouping import keep_grouping
from worker.in_hand import InHand
from worker.joining import check, join
from worker.looking import PictureLimits
from worker.memory import give_back_early
from worker.metrics import Metrics, Readiness, gauges_of
from worker.pipeline import Parts, finish, process
from worker.ranges import RangeParts
from worker.rebuilding import HANDS, WAY_SECONDS, keep_rebuilding
from worker.requested import answer_all
from worker.sandbox import Sandbox, SandboxedLooker
from worker.sweeper import keep_sweeping

#: A picture of 1600 × 1600 pixels took 5 to 7 seconds of processor time with the detector `cnn`,
#: about 1 with `hog`: each may take some ten times what it needs.
_CNN_TIMES = 8

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
        # Its children need not know where traces go.
        Sandbox(_child_settings(settings), lookers=slots, fetchers=hands) as sandbox,
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
    joined = join(
        lambda: check_durable(client, settings.allow_volatile),
        reencoding,
        lambda name: RedisStore(
            client, name, job_days=settings.job_days, log_keep=settings.log_keep
        ),
        encoder.model,
        calibration_of(encoder),
        settings,
        stop,
    )
    if joined is None:
        client.close()
        _log.info("stopped")
        return 0
    store, broker_url = joined.store, settings.broker_url.get_secret_value()
    broker = open_broker(broker_url, prefetch=hands, queue=queue_of(joined.number))
    neighbours = open_neighbours(settings.index_url.get_secret_value(), joined.name)
    feeder = open_feeder(settings.index_url.get_secret_value(), store, joined.name)
    queues = open_queues(broker_url)
    parts = Parts(
        store=store,
        neighbours=neighbours,
        fetch=sandbox.fetch,
        looker=looker,
        model=encoder.model,
        max_attempts=settings.max_attempts,
        calibration=joined.calibration,
        ended=metrics.ended,
    )
    sweeper = threading.Thread(
        target=keep_sweeping,
        args=(store, broker, lambda image: finish(image, parts)),
        kwargs={"seconds": settings.sweep_seconds, "age": settings.sweep_age, "stop": stop},
        daemon=True,
    )

    def check_parts() -> None:
        if joined.number not in reencoding.editions().numbers:
            _log.info("the edition was given up", edition=joined.number)
            stop.set()
            return
        # Made again if it is gone: somebody has emptied Redis.
        made = store.create(encoder.model, joined.threshold, joined.calibration, joined.bounds)
        check(made, encoder.model)
        neighbours.check()
        sandbox.check()

    ready = Readiness(check_parts)
    # Not `stop`: what is in hand then is finished first.
    in_hand, finished = InHand(store.hold), threading.Event()
    holder = threading.Thread(target=in_hand.keep, args=(finished,), daemon=True)

    def work(message: Message) -> None:
        job = message.job
        with tracing.working("process", job, message.traceparent, kind="consumer"):
            with in_hand.having(job), metrics.giving_back():
                ended = process(job, parts)
            if ended.followed_by is not None:
                with contextlib.suppress(Unavailable):  # the sweeper does it, too
                    queues.of(ended.followed_by).publish(Message(job, tracing.here()))

    def about(message: Message) -> Mapping[str, str]:
        return tracing.fields(message.job, message.traceparent)

    def forget_edition(number: int) -> None:
        forget(settings.index_url.get_secret_value(), edition_name(DEFAULT, number))

    feeding = threading.Thread(target=feeder.run, args=(stop,), daemon=True) if feeder else None
    ranges = open_broker(broker_url, HANDS, REINDEX_QUEUE)
    reindexing = RedisReindexing(client, joined.name)
    grouping = threading.Thread(
        target=keep_grouping,
        args=(store, RedisPeople(client, joined.name), stop),
        kwargs={"give_way": in_hand.wait_for_none},
        daemon=True,
    )
    rebuilding = threading.Thread(
        target=keep_rebuilding,
        args=(
            RangeParts(
                store,
                reindexing,
                neighbours,
                give_way=lambda: in_hand.wait_for_none(WAY_SECONDS),
            ),
            ranges,
            lambda: reindexing.drop_some() and reencoding.drop_some(forget_edition),
        ),
        kwargs={"seconds": settings.sweep_seconds, "age": settings.sweep_age, "stop": stop},
        daemon=True,
    )
    for thread in filter(None, (sweeper, holder, feeding, rebuilding, grouping)):
        thread.start()
    metrics.registry.watch(lambda: gauges_of(lambda: in_hand.count, hands, ready))
    _log.info("ready", model=encoder.model, threshold=joined.threshold, edition=joined.number)
    try:
        consume(broker, Message.decode, work, ready, stop, hands, about)
    finally:
        stop.set()
        finished.set()
        broker.close()
        queues.close()
        for thread in filter(None, (sweeper, feeding, rebuilding, grouping)):
            thread.join(timeout=5)
        ranges.close()
        neighbours.close()
        client.close()
    _log.info("stopped")
    return 0


def _child_settings(settings: Settings) -> ChildSettings:
    return ChildSettings(
        encoder=settings.encoder,
        detector=settings.detector,
        picture=PictureLimits(
            settings.max_pixels, settings.max_side, settings.max_faces, settings.keep_thumbnails
        ),
        fetch=FetchLimits(
            settings.max_bytes,
            settings.fetch_timeout,
            settings.fetch_redirects,
            settings.fetch_allowed,
        ),
        memory=settings.picture_memory,
        cpu_seconds=settings.picture_seconds * (_CNN_TIMES if settings.detector == "cnn" else 1),
    )


def main(arguments: Sequence[str]) -> int:
    """Serve, or do what the arguments say to `facematch`."""
    if not arguments:
        return startup.run("worker", serve)
    if list(arguments) == ["model"]:
        return _say_model(lambda settings, encoder: None)
    if list(arguments) == ["check"]:
        return _say_model(_check)
    if list(arguments) == ["look"]:
        return _look()
    from facematch.cli import main as command

    command(arguments, prog_name="python -m worker")
    return 0


def _check(settings: Settings, encoder: Encoder) -> None:
    with Sandbox(_child_settings(settings), lookers=1, fetchers=1) as sandbox:
        check_golden(SandboxedLooker(sandbox, encoder), encoder.model)


def _look() -> int:
    # What anything else may print, a library or a child, goes where complaints go.
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        settings = load()
        logs.configure(settings, "worker")
        encoder = load_encoder(settings.encoder, settings.detector, settings.max_side)
        about = {"model": encoder.model, "calibration": calibration_of(encoder)}
        slots = settings.slots or startup.usable_cores()
        with Sandbox(_child_settings(settings), lookers=slots, fetchers=1) as sandbox:
            looker = SandboxedLooker(sandbox, encoder)
            check_golden(looker, encoder.model)
            told.write(json.dumps(about) + "\n")
            answer_all(sys.stdin, told, looker, slots * HANDS_PER_SLOT)
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _say_model(check: Callable[[Settings, Encoder], None]) -> int:
    try:
        settings = load()
        # On standard output there is the answer alone.
        logs.configure(settings, "worker")
        encoder = load_encoder(settings.encoder, settings.detector, settings.max_side)
        check(settings, encoder)
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{encoder.model}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
