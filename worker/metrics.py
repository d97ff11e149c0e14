"""What a worker tells a monitoring system, in the names of `facematch.metrics`: of its jobs.

Put together by `worker.__main__`; `worker.pipeline` tells it of each job that ended.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from facematch.errors import Unavailable
from facematch.metrics import Gauge, Registry, gauge
from facematch.store import Job, State

_STAGE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
#: From a submission to its end: a long queue takes hours.
_JOB_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)


class Metrics:
    """Of one process. Safe to share between threads."""

    def __init__(self) -> None:
        self.registry = Registry("worker")
        self._jobs = self.registry.counter(
            "worker_jobs", "Jobs that were worked on, by what became of them", "state", "code"
        )
        self._jobs.labels(str(State.DONE), "")  # so that the first one is seen as one more
        self._given_back = self.registry.counter(
            "worker_given_back", "Jobs put off because something was not there or crashed", "code"
        )
        self._stages = self.registry.histogram(
            "worker_stage_seconds",
            "How long a stage of a job took",
            "stage",
            buckets=_STAGE_BUCKETS,
        )
        self._seconds = self.registry.histogram(
            "worker_job_seconds",
            "From a submission until its job was done, by the clocks of Redis and of the worker",
            buckets=_JOB_BUCKETS,
        )

        self._searches = self.registry.counter(
            "worker_searches", "Searches that were asked for, by the code of the answer", "code"
        )
        self._searches.labels("")
        self._search_seconds = self.registry.histogram(
            "worker_search_seconds",
            "How long a search took that was answered",
            buckets=_STAGE_BUCKETS,
        )

    def ended(self, job: Job, stages: Mapping[str, float]) -> None:
        """A job was worked on; `stages`: see worker.stages."""
        self._jobs.labels(str(job.state), job.code).inc()
        for stage, seconds in stages.items():
            self._stages.labels(stage).observe(seconds)
        if job.state is State.DONE:
            self._seconds.observe(max(0.0, time.time() - job.submitted))

    def searched(self, code: str, seconds: float) -> None:
        """A search was answered: with an error of this code, or "" for none."""
        self._searches.labels(code).inc()
        if not code:
            self._search_seconds.observe(seconds)

    @contextmanager
    def giving_back(self) -> Iterator[None]:
        """Around the work on one job."""
        try:
            yield
        except Unavailable as error:
            self._given_back.labels(error.code).inc()
            raise


def gauges_of(in_hand: Callable[[], int], hands: int, ready: "Readiness") -> Iterator[Gauge]:
    """What is so now in this process."""
    yield gauge("worker_in_hand", "Jobs in hand", in_hand())
    yield gauge("worker_hands", "How many it may have in hand", hands)
    yield gauge("worker_ready", "1 when all that it needs is there", ready.now)


class Readiness:
    """Whether all that a worker needs was there when it looked last: before it took a job."""

    def __init__(self, check: Callable[[], None]) -> None:
        """`check` raises when it is not."""
        self._check = check
        self.now = False

    def __call__(self) -> None:
        """Ask. Raises what `check` raises."""
        try:
            self._check()
        except BaseException:
            self.now = False
            raise
        self.now = True
