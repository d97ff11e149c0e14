"""Jobs that have failed, in Redis or Valkey: see `facematch.redis_store` for its keys."""

from collections.abc import Mapping

from facematch.collection_name import DEFAULT, served_name
from facematch.errors import NotFound
from facematch.failed_jobs import Failed, Retried
from facematch.job import new_job_id
from facematch.redis_connection import Redis, translated
from facematch.redis_records import failed
from facematch.redis_scripts import Scripted


class RedisFailedJobs(Scripted):
    """See facematch.failed_jobs.FailedJobs. Safe to share between threads."""

    def __init__(self, client: Redis, collection: str = DEFAULT) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))

    @translated()
    def codes(self) -> Mapping[str, int]:
        """See FailedJobs."""
        return {code.decode(): int(count) for code, count in self._run("failed_codes")}

    @translated()
    def failed(self, code: str, start: int, count: int) -> list[Failed]:
        """See FailedJobs."""
        told = self._run("failed_jobs", code, start, count)
        return [failed(code, *values) for values in told]

    @translated()
    def retry(self, job: str) -> Retried:
        """See FailedJobs."""
        told = self._run("retry", job, new_job_id())
        if told == b"unknown":
            raise NotFound("not_found", f"no job {job}")
        return Retried(told.decode())
