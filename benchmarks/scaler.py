"""What scales workers in a cluster, played on one machine: how many there are to be, and the
processes that come and go."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.services import ONE_THREAD, python
from facematch.processes import Process

#: For so long a worker may finish what it has in hand, as in a cluster.
DRAIN_SECONDS = 60.0


class Scaler:
    """One worker for so many waiting messages, and not fewer than were wanted a while ago: the rule
    of Kubernetes' autoscaler with a window for scaling down."""

    def __init__(self, target: int, most: int, window: float) -> None:
        """`target`: messages for one worker; `most`: workers; `window`: seconds."""
        self._target, self._most, self._window = target, most, window
        self._wanted: deque[tuple[float, int]] = deque()

    def wanted(self, depth: int, now: float) -> int:
        """How many workers there are to be when so many messages wait; `now` in seconds."""
        there = max(1, min(self._most, math.ceil(depth / self._target)))
        self._wanted.append((now, there))
        while self._wanted[0][0] <= now - self._window:
            self._wanted.popleft()
        return max(wanted for _, wanted in self._wanted)


class Pod:
    """A worker and its index."""

    def __init__(
        self,
        number: int,
        folder: Path,
        environment: Mapping[str, str],
        listen: Callable[[str], None],
    ) -> None:
        """Start both; from the main thread. `listen` gets the lines of their logs."""
        socket = f"unix:{folder / f'pod-{number}.sock'}"
        own = {**environment, "FACEMATCH_INDEX_URL": socket}
        logs = folder / "logs"
        parts = (
            python(f"pod-{number}-index", "index", own),
            python(f"pod-{number}-worker", "worker", own | ONE_THREAD),
        )
        self._index, self._worker = (
            Process(part, logs, lambda name, line: listen(line), lambda process: None)
            for part in parts
        )
        #: Why it did not end in good order, once it has ended.
        self.trouble = ""
        #: Seconds from being asked to stop to the end of the worker.
        self.drained = 0.0

    def stop(self) -> None:
        """First the worker, which finishes what it has in hand, then its index."""
        for process in (self._worker, self._index):
            if not process.running:
                self.trouble += f"{process.name} {process.how_it_ended()} before it was asked to. "
                continue
            asked = time.monotonic()
            process.terminate()
            if not process.join(DRAIN_SECONDS):
                self.trouble += f"{process.name} did not end in {DRAIN_SECONDS:g} s. "
                process.kill()
                process.join(DRAIN_SECONDS)
            elif process.exit_code != 0:
                self.trouble += f"{process.name} {process.how_it_ended()}. "
            if process is self._worker:
                self.drained = time.monotonic() - asked


class Crew:
    """The pods beside one worker that is always there. Use it from the main thread."""

    def __init__(self, start: Callable[[int], Pod]) -> None:
        """`start`: the pod with this number."""
        self._start = start
        self._running: list[Pod] = []
        self._stopping: list[threading.Thread] = []
        #: All that there ever were.
        self.pods: list[Pod] = []

    @property
    def size(self) -> int:
        """How many workers take messages, or will soon."""
        return 1 + len(self._running)

    def come_to(self, wanted: int) -> None:
        """Start pods, or have the last ones stop; without waiting for either."""
        while self.size < wanted:
            pod = self._start(len(self.pods) + 2)
            self.pods.append(pod)
            self._running.append(pod)
        while self.size > wanted:
            thread = threading.Thread(target=self._running.pop().stop)
            thread.start()
            self._stopping.append(thread)

    def close(self) -> None:
        """Stop all, and wait until they have ended."""
        self.come_to(1)
        for thread in self._stopping:
            thread.join()
