"""What workers say in their logs of the time that each stage of a job took."""

import json
import threading
from array import array
from collections.abc import Sequence

import numpy as np

#: In the order in which a job comes through them; see worker.stages.
STAGES = ("fetch", "decode", "detect", "encode", "commit", "query", "link")


class JobLog:
    """Give `hear` every line; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = 0
        self._seconds: dict[str, array[float]] = {}
        #: The last lines that were of no form that is known: what a process says as it dies.
        self.other: list[str] = []

    def hear(self, line: str) -> None:
        """A line of any process's log, as JSON, perhaps with something before it."""
        try:
            said = json.loads(line[line.index("{") :])
        except ValueError:
            self.other = [*self.other[-19:], line]
            return
        if not isinstance(said, dict) or said.get("event") != "job":
            return
        seconds = said.get("seconds")
        if not isinstance(seconds, dict):
            return
        with self._lock:
            self._jobs += 1
            for stage, taken in seconds.items():
                self._seconds.setdefault(stage, array("d")).append(float(taken))

    @property
    def jobs(self) -> int:
        """Those that ended, one way or another."""
        return self._jobs

    def taken(self, stage: str) -> Sequence[float]:
        """Seconds, of each job that came to this stage."""
        with self._lock:
            return self._seconds.get(stage, array("d"))[:]

    def mean(self, stage: str) -> float:
        """Seconds of a stage, over all jobs: of one that did not come to it, none."""
        taken = self.taken(stage)
        return float(np.sum(taken)) / self._jobs if self._jobs else 0.0
