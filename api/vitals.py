"""Looks at the store and the queue every few seconds, for metrics: one thread.

Whoever asks for metrics gets what was seen last, and so never waits for a store that is away.
"""

import threading
from collections.abc import Callable, Iterator

import structlog

from facematch.broker import Queues
from facematch.errors import Unavailable
from facematch.metrics import Gauge, gauge
from facematch.reindexing import Phase
from facematch.vitals import Checked, EditionVitals, Others, Vitals

LOOK_SECONDS = 2.0
#: What was missed because an approximate index was asked for is what was asked for.
_APPROXIMATE = "approximate"

#: Of each edition.
_OF_EDITION: dict[str, tuple[str, Callable[[EditionVitals], float]]] = {
    "jobs_waiting": ("Jobs accepted and not ended, with those in hand", lambda one: one.jobs),
    "jobs_oldest_seconds": ("Since the oldest of them was submitted", lambda one: one.oldest_job),
    "images": ("Images with faces that are there", lambda one: one.images),
    "images_pending": ("Images whose matches are not all written", lambda one: one.pending),
    "images_pending_oldest_seconds": (
        "Since the first of them was submitted",
        lambda one: one.oldest_pending,
    ),
    "log_position": ("Where the log ends", lambda one: one.position),
    "log_entries": ("Entries of the log that are kept", lambda one: one.entries),
    "erasures_due": (
        "Images that were erased, hidden already, and are still to be taken out of match sets",
        lambda one: one.erasures,
    ),
    "upload_bytes": ("Uploaded bytes that wait for workers", lambda one: one.upload_bytes),
    "reindex_ranges": ("Ranges of a reindex", lambda one: one.ranges),
    "reindex_ranges_left": ("Of these, not done", lambda one: one.ranges_left),
}

#: Of each other collection in which something was done lately.
_OF_OTHER: tuple[tuple[str, str, Callable[[EditionVitals], float]], ...] = (
    ("jobs_waiting", "Jobs accepted and not ended, in that collection", lambda one: one.jobs),
    ("jobs_oldest_seconds", "Since the oldest was submitted", lambda one: one.oldest_job),
    (
        "images_pending_oldest_seconds",
        "Since the first image whose matches are not all written was submitted",
        lambda one: one.oldest_pending,
    ),
)

_log = structlog.get_logger()


class Watch:
    """What was seen last."""

    def __init__(
        self,
        read: Callable[[], Vitals],
        read_others: Callable[[], Others],
        queues: Queues,
        upload_limit: int,
        seconds: float,
    ) -> None:
        """`read`, and `read_others` of the other collections, raise Unavailable. `seconds`: between
        two looks."""
        self._read, self._read_others = read, read_others
        self._others: Others | None = None
        self._queues = queues
        self._upload_limit = upload_limit
        self._seconds = seconds
        self._seen: Vitals | None = None
        self._depths: dict[int, int] = {}
        self._broker_up = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitals", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end, soon."""
        self._stopped.set()

    def look(self) -> None:
        """Once."""
        try:
            self._seen = self._read()
        except Unavailable:
            self._seen = None
        try:
            self._others = self._read_others()
        except Unavailable:
            self._others = None
        editions = self._seen.editions if self._seen else ()
        try:
            self._depths = {
                number: self._queues.of(number).depth()
                for number in (one.number for one in editions)
            }
            if not editions:
                self._queues.of(0).depth()
            self._broker_up = True
        except Unavailable:
            self._depths, self._broker_up = {}, False

    def gauges(self) -> Iterator[Gauge]:
        """What was seen last; nothing of a store that was away."""
        seen = self._seen
        yield gauge("store_up", "1 when Redis answers", seen is not None)
        yield gauge("broker_up", "1 when the message broker answers", self._broker_up)
        yield gauge(
            "upload_limit_bytes",
            "Uploaded bytes that may wait, in all collections",
            self._upload_limit,
        )
        depths = [((str(number),), depth) for number, depth in self._depths.items()]
        yield Gauge("queue_depth", "Messages that wait in the broker", depths, ("edition",))
        if seen is None:
            return
        yield gauge("store_memory_bytes", "Memory that Redis has taken", seen.server.memory)
        yield gauge(
            "store_memory_limit_bytes", "Memory that it may; 0: any", seen.server.most_memory
        )
        yield gauge("uploads_bytes", "Uploaded bytes that wait, in all collections", seen.uploads)
        persists = not seen.server.write_problem
        yield gauge("store_persists", "1 when its last write to disk went well", persists)
        yield from _of_editions(seen.editions)
        if seen.checked is not None:
            yield from _of_fsck(seen.checked)
        if self._others is not None:
            yield from _of_others(self._others)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception:  # noqa: BLE001 - the next look may do better, a dead thread cannot
                _log.exception("cannot look at the store and the queue")
                self._seen, self._others = None, None
                self._depths, self._broker_up = {}, False
            self._stopped.wait(self._seconds)


def _of_editions(editions: tuple[EditionVitals, ...]) -> Iterator[Gauge]:
    labels = ("edition",)
    served = [((str(one.number),), one is editions[0]) for one in editions]
    yield Gauge("edition_served", "1 for the edition that is served", served, labels)
    for name, (text, of) in _OF_EDITION.items():
        yield Gauge(name, text, [((str(one.number),), of(one)) for one in editions], labels)
    phases = [
        ((str(one.number), str(phase)), one.phase is phase) for one in editions for phase in Phase
    ]
    yield Gauge("reindex_phase", "1 for the phase of a reindex", phases, ("edition", "phase"))


def _of_others(others: Others) -> Iterator[Gauge]:
    yield gauge("collections", "Collections, with the default one", others.count + 1)
    yield gauge("collections_erasing", "Of these, being erased", others.erasing)
    for name, text, of in _OF_OTHER:
        values = [((collection,), of(one)) for collection, one in others.busy.items()]
        yield Gauge(f"collection_{name}", text, values, ("collection",))


def _of_fsck(checked: Checked) -> Iterator[Gauge]:
    approximate = checked.findings.get(_APPROXIMATE, 0)
    found = sum(checked.findings.values()) - approximate
    yield gauge("fsck_findings", "What the last fsck found that should not be", found)
    yield gauge(
        "fsck_approximate_findings",
        "Matches that it found missing because an approximate index was asked for",
        approximate,
    )
    yield gauge("fsck_age_seconds", "Since that, when it was last looked", checked.age)
