"""`python -m api_in_memory FOLDER [SECONDS SECONDS [SECONDS [SECONDS]]]`: the api under gunicorn,
on a store and broker in memory. The seconds: how long a client may be silent, and take for a body
in all, and for a head, and take nothing of its answer, of which little is held for it.

A worker in it processes every job except those whose picture begins with "slow": it logs that
it puts them aside.
"""

import socket
import sys
import threading
from pathlib import Path

import structlog
from api_parts import MODEL, Api, FindsNothing, audiences_of, parts_of, stores_of

from api import body, heads, parting
from api.app import create_app
from api.guard import Guard
from api.ledger import Ledger
from api.limiting import Limits
from api.publishing import Publisher
from api.replaying import Replayer
from api.server import Server, bind
from api.waiting import Waiting
from api.wsgi import Service
from facematch import logs
from facematch.broker import MemoryBroker, Queues
from facematch.memory_collections import MemoryCollections
from facematch.memory_keys import MemoryKeys
from facematch.memory_store import MemoryStore
from facematch.settings import Settings
from facematch.startup import Tracing


def make(folder: Path, settings: Settings) -> Service:
    """The api, with a worker that is always there."""
    store, broker = MemoryStore(), MemoryBroker()
    store.create(MODEL, settings.threshold)
    publisher = Publisher(Queues(lambda edition: broker))
    ledger = Ledger(folder)
    ledger.check()
    collections = MemoryCollections(store)
    stores = stores_of(collections)
    replayer = Replayer(stores.of, collections, ledger)
    waiting = Waiting(collections, settings.api_waiters, on_connect=replayer.request)
    keys = MemoryKeys()
    audiences = audiences_of(collections, settings)
    guard = Guard(keys, Limits())
    parts = parts_of(
        *(collections, audiences, ledger, publisher, waiting, replayer, guard),
        searcher=FindsNothing(),
    )
    app = create_app(parts, settings)
    api = Api(
        *(store, broker, publisher, waiting, ledger, replayer, audiences, app, keys),
        collections=collections,
        parts=parts,
    )
    threading.Thread(target=work, args=(api,), daemon=True).start()
    return Service(app, publisher, waiting, replayer, audiences, Tracing(settings, "api"))


def work(api: Api) -> None:
    """Be the worker."""
    while True:
        if api.broker.depth() == 0:
            threading.Event().wait(0.02)
            continue
        job = api.next_job()
        data = api.store.uploaded(api.store.job(job).image) or b""
        if data.startswith(b"slow"):
            structlog.get_logger().info("put aside", job=job)
        else:
            api.link(api.commit(job, data))


def main() -> None:
    """Serve until stopped."""
    if len(sys.argv) > 2:
        body.SILENT_SECONDS, body.BODY_SECONDS = map(float, sys.argv[2:4])
    if len(sys.argv) > 4:
        heads.HEAD_SECONDS = float(sys.argv[4])
    settings = Settings()
    logs.configure(settings, "api")
    listener = bind(settings.host, settings.port)
    if len(sys.argv) > 5:
        parting.STUCK_SECONDS = float(sys.argv[5])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    Server(lambda: make(Path(sys.argv[1]), settings), listener, settings).run()


if __name__ == "__main__":
    main()
