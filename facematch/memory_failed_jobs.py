"""Jobs that have failed, in memory: the contract of `facematch.failed_jobs`, for tests."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from facematch.errors import NotFound
from facematch.failed_jobs import Failed, Retried
from facematch.memory_reencoding import MemoryReencoding
from facematch.memory_store import MemoryStore, _Job
from facematch.store import State


class MemoryFailedJobs:
    """See facematch.failed_jobs.FailedJobs. Nothing is ever forgotten."""

    def __init__(self, reencoding: MemoryReencoding) -> None:
        self._reencoding = reencoding
        self._lock = reencoding._lock

    def codes(self) -> Mapping[str, int]:
        """See FailedJobs."""
        with self._lock:
            return Counter(found.job.code for found in self._failed())

    def failed(self, code: str, start: int, count: int) -> list[Failed]:
        """See FailedJobs."""
        with self._lock:
            those = [found for found in self._failed() if found.job.code == code]
            those.sort(key=lambda found: (found.failed_at, found.job.id), reverse=True)
            return [_shown(found) for found in those[start : start + count]]

    def retry(self, job: str) -> Retried:
        """See FailedJobs."""
        with self._lock:
            served = self._reencoding.served()
            led = served._jobs.get(job)
            if led is None:
                raise NotFound("not_found", f"no job {job}")
            if led.job.state is not State.FAILED:
                return Retried.NOT_FAILED
            image = served._images.get(led.job.image)
            known = image is not None and image.image.state in (State.INDEXED, State.DONE)
            if not led.job.url and led.job.image not in served._blobs and not known:
                return Retried.NO_SOURCE
            submitted = replace(
                led.job,
                state=State.ACCEPTED,
                image="" if led.found else led.job.image,
                attempts=0,
                code="",
                detail="",
            )
            for number in self._reencoding.editions().numbers:
                store = self._reencoding.stores[number]
                there = store._jobs.get(job)
                if there is None or there.job.state is State.FAILED:
                    kept = there.job.image if there and not there.found else submitted.image
                    _accept_again(store, _Job(replace(submitted, image=kept), led.number, 0.0))
            served._tell(f"job:{job}")
            return Retried.ACCEPTED

    def _failed(self) -> list[_Job]:
        jobs = self._reencoding.served()._jobs.values()
        return [found for found in jobs if found.job.state is State.FAILED]


def _accept_again(store: MemoryStore, again: _Job) -> None:
    again.due = store._clock()
    job = again.job
    store._jobs[job.id] = again
    if not job.image:
        return
    record = store._images.get(job.image)
    if record is None or record.erased_at < again.number:
        store._expect(job.image, again.number).names.add(job.name)


def _shown(found: _Job) -> Failed:
    job = found.job
    return Failed(
        job.id, job.code, job.detail, job.name, job.url, job.image, job.attempts, found.failed_at
    )
