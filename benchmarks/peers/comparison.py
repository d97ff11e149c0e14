"""The peers beside the index: one query at a time on one thread, in turns, every answer compared
with brute force."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.filling import fill
from benchmarks.peers.child import Child, PeerFailed, TooSlow
from benchmarks.peers.known import FEWER, PEERS
from benchmarks.peers.peer import Peer
from benchmarks.peers.points import Holding, Point, table, verdict
from benchmarks.report import Report
from benchmarks.truth import RADII, Score, Truth
from facematch.faces import Encodings
from index.engine import EVERYWHERE, Engine

#: Seconds a peer may take to build; with more faces than `FEWER` it then gets a second chance.
_BUILD_SECONDS = 360.0
#: Seconds after which a setting gets no further round.
_ENOUGH_SECONDS = 10.0
#: A setting that finds this share is the last: more effort can only be slower.
_COMPLETE = 0.9999


class _Ours:
    """The index, filled, with what that took, and what all its answers are worth."""

    def __init__(self, encodings: Encodings) -> None:
        self._engine = Engine()
        start = time.perf_counter()
        fill(self._engine, encodings)
        self.seconds = time.perf_counter() - start
        self.faces = len(encodings)
        self.bytes = self._engine.bytes / self.faces
        self.score = Score()

    def seconds_of(self, number: int, query: Encodings, truth: Truth) -> float:
        """For one query, which is number `number` of the truth's."""
        start = time.perf_counter()
        rows = self._engine.within(query[None], truth.radius, EVERYWHERE)
        seconds = time.perf_counter() - start
        self.score += truth.score(number, rows, self.faces)
        return seconds


class Comparison:
    """Measures peers for a report, which has everything measured so far after each."""

    def __init__(
        self, report: Report, encodings: Encodings, queries: Encodings, rounds: int
    ) -> None:
        """`encodings`: (n, 128); `queries`: (q, 128)."""
        self._report = report
        self._encodings = encodings
        self._queries = queries
        self._rounds = rounds
        self._truths = [Truth(encodings, queries, radius) for radius in RADII]
        self._ours: dict[int, _Ours] = {}
        self._points: list[Point] = []
        self._holdings: list[Holding] = []

    def run(self, peers: Sequence[Peer] = PEERS, kept: Callable[[], None] = lambda: None) -> None:
        """Measure all that are installed. `kept` is called after each."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            Path(name).chmod(0o711)  # PostgreSQL does not run as root, but as somebody else
            file = Path(name) / "encodings.npy"
            np.save(file, self._encodings)
            for number, peer in enumerate(peers):
                if not peer.installed:
                    self._note(peer.name, True, f"not installed, skipped ({peer.install})")
                    continue
                folder = Path(name) / str(number)
                try:
                    self._try(peer, folder, file)
                except PeerFailed as error:
                    self._note(peer.name, False, str(error))
                kept()
        for faces, ours in self._ours.items():
            self._note(f"facematch, {faces:,} faces", *verdict(True, ours.score))
        self._report.tables.append(table(self._points, self._holdings))

    def _try(self, peer: Peer, folder: Path, file: Path) -> None:
        sizes = sorted({min(peer.most, len(self._encodings)), min(FEWER, len(self._encodings))})
        while sizes:
            faces = sizes.pop()
            print(f"{peer.name}: {faces:,} faces …", flush=True)
            own = folder / str(faces)
            own.mkdir(parents=True)
            try:
                with Child(peer, own, file, faces) as child:
                    self._measure(peer, child, faces)
                    return
            except TooSlow as error:
                if not sizes:
                    raise
                print(f"{peer.name}: {faces:,} faces: {error}", flush=True)

    def _measure(self, peer: Peer, child: Child, faces: int) -> None:
        built = child.build(_BUILD_SECONDS)
        if faces not in self._ours:
            self._ours[faces] = _Ours(self._encodings[:faces])
        ours = self._ours[faces]
        each = built.bytes / faces
        holding = Holding(peer.name, faces, built.seconds, each, ours.seconds, ours.bytes)
        self._holdings.append(holding)
        self._report.details += holding.measures()
        total = Score()
        for truth in self._truths:
            for setting in peer.settings:
                point, score = self._point(peer, child, ours, truth, setting)
                print(f"{point.label}: {point.radius:g}: {_said(point)}", flush=True)
                self._points.append(point)
                self._report.details += point.measures()
                total += score
                if score.recall >= _COMPLETE:
                    break
        self._note(f"{peer.name}, {faces:,} faces", *verdict(peer.exact, total))

    def _point(
        self, peer: Peer, child: Child, ours: _Ours, truth: Truth, setting: int
    ) -> tuple[Point, Score]:
        """The first round only counts when it took so long that it stays the only one."""
        score = Score()
        times: list[float] = []
        our_times: list[float] = []
        spent = 0.0
        for done in range(self._rounds + 1):
            if done == 1:
                times, our_times = [], []
            asked = list(enumerate(self._queries))
            our_times += [ours.seconds_of(number, query, truth) for number, query in asked]
            for number, query in asked:
                answer = child.within(query, truth.radius, setting)
                times.append(answer.seconds)
                score += truth.score(number, answer.rows, ours.faces)
            spent += sum(times[-len(self._queries) :])
            if spent > _ENOUGH_SECONDS:
                break
        milliseconds, our = (statistics.median(each) * 1000 for each in (times, our_times))
        where = peer.label(setting), ours.faces, truth.radius
        return Point(*where, score.recall, milliseconds, our), score

    def _note(self, name: str, passed: bool, detail: str) -> None:
        print(f"{name}: {detail}", flush=True)
        self._report.require(name, passed, detail)


def _said(point: Point) -> str:
    return f"{point.milliseconds:.3g} ms, ours {point.ours:.3g} ms, recall {point.recall:.4f}"
