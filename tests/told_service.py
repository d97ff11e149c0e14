"""The real api behind real HTTP, on a store in memory, with a worker that goes by the words of a
"picture":

    ann 1        a picture of one face; it matches every other picture that begins with "ann"
    nobody …     no face        broken …   fails as not_an_image
    slow …       is never looked at until `work_on_slow`

URLs are "fetched" from `web`. The service can be stopped and started again on its port.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from api_parts import Api, running_api
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from facematch.collection_name import DEFAULT
from facematch.faces import image_hash
from facematch.job import Message
from facematch.store import State

DISTANCE = 0.25


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class ToldService:
    """A running service; see the module."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.web: dict[str, bytes] = {}
        self.submissions: list[str] = []
        self._folder = folder
        self._settings = settings
        self._slow: list[str] = []
        self._done: dict[str, bytes] = {}
        self._stopped = threading.Event()
        self._server: BaseWSGIServer | None = None
        self._port = 0
        self._wipes = 0
        self._open()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer on the port."""
        app = self.api.app
        self._server = make_server(
            "127.0.0.1", self._port, app, threaded=True, request_handler=_Quiet
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._port = self._server.server_port
        self._serving = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._serving.start()

    def stop(self) -> None:
        """Answer no more; what was accepted stays, and is worked on."""
        if self._server is not None:
            self._server.shutdown()
            # It closes the port itself, and a close beside it would return before that is done.
            self._serving.join()
            self._server = None

    def wipe(self) -> None:
        """Lose everything that is stored."""
        self._close()
        self._done.clear()
        self._slow.clear()
        self._open()

    @property
    def slow(self) -> int:
        """How many slow pictures have come that nobody has looked at."""
        return len(self._slow)

    def work_on_slow(self) -> None:
        """Look at the slow pictures that have come so far."""
        while self._slow:
            self._finish(self._slow.pop())

    def close(self) -> None:
        """Stop everything."""
        self.stop()
        self._close()

    def _open(self) -> None:
        self._wipes += 1
        self._stopped.clear()
        self._parts = running_api(self._folder / f"life-{self._wipes}", **self._settings)
        self.api: Api = self._parts.__enter__()
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def _close(self) -> None:
        self._stopped.set()
        self._worker.join()
        self._parts.__exit__(None, None, None)

    def _work(self) -> None:
        while not self._stopped.is_set():
            delivery = self.api.broker.receive(0.05)
            if delivery is not None:
                message = Message.decode(delivery.body)
                if message.collection == DEFAULT:  # it knows no other
                    self._look_at(message.job)
                delivery.ack()

    def _look_at(self, job_id: str) -> None:
        store = self.api.store
        job = store.job(job_id)
        self.submissions.append(job.name)
        data = self.web.get(job.url) if job.url else store.uploaded(job.image)
        if data is not None and data.startswith(b"slow"):
            self._slow.append(job_id)
        else:
            self._finish(job_id)

    def _finish(self, job_id: str) -> None:
        store = self.api.store
        job = store.begin(job_id)
        if job.state is not State.ACCEPTED:
            return
        data = self.web.get(job.url) if job.url else store.uploaded(job.image)
        if data is None:
            store.fail(job_id, "unreachable", "nobody there")
        elif data.startswith(b"broken"):
            store.fail(job_id, "not_an_image", "no picture", image_hash(data))
        elif data.startswith(b"nobody"):
            self.api.commit(job_id, data, faces=0)
        else:
            commit = self.api.commit(job_id, data)
            person = data.split()[0]
            alike = [d for h, d in self._done.items() if d.split()[0] == person]
            others = [(d, DISTANCE) for d in alike if image_hash(d) != commit.image]
            self.api.link(commit, others)
            self._done[commit.image] = data


@contextmanager
def told_service(folder: Path, **settings: object) -> Iterator[ToldService]:
    """A running service, stopped in the end. It logs only what is wrong: it is in the process of
    the command whose output is looked at."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    service = ToldService(folder, **settings)
    service.start()
    try:
        yield service
    finally:
        service.close()
        structlog.configure(**before)
