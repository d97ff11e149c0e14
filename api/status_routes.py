"""The routes for who looks after the service: how it does, what failed, trying that again."""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from apiflask import APIBlueprint

from api import cursors
from api.openapi import problems
from api.publishing import Publisher
from api.schemas import Answer, JobOut
from api.scopes import needs
from api.status_schemas import FailedOut, FailedQuery, IndexStatus, StatusOut
from api.v1_routes import job_answer
from facematch.errors import Conflict, Rejected
from facematch.failed_jobs import Failed, FailedJobs, Retried
from facematch.keys import Scope
from facematch.store import Front
from facematch.vitals import Vitals


@dataclass(frozen=True)
class Operation:
    """What these routes ask: the store's vitals, the jobs that have failed, and the index of the
    edition with a number, which gives None where it cannot be asked. The first two raise
    Unavailable."""

    vitals: Callable[[], Vitals]
    failed_jobs: FailedJobs
    index: Callable[[int], IndexStatus | None]


def blueprint(store: Front, publisher: Publisher, operation: Operation) -> APIBlueprint:
    """`/v1/status`, `/v1/failed`, `/v1/jobs/<job>/retry`."""
    routes = APIBlueprint("status", __name__, tag="Operation")

    @routes.get("/status")
    @routes.output(StatusOut)
    @routes.doc(responses=problems(503))
    @needs(Scope.ADMIN)
    def status() -> Answer:
        """How the service does: what waits, how far log and index are, what failed"""
        served = operation.vitals().served
        codes = sorted_codes(operation.failed_jobs)
        return StatusOut.of(served, codes, operation.index(served.number))

    @routes.get("/failed")
    @routes.input(FailedQuery, location="query")
    @routes.output(FailedOut)
    @routes.doc(responses=problems(400, 503))
    @needs(Scope.ADMIN)
    def failed(query_data: FailedQuery) -> Answer:
        """The jobs that have failed, the last one first"""
        failed_jobs = operation.failed_jobs
        codes = sorted_codes(failed_jobs)
        wanted = {code: n for code, n in codes.items() if query_data.code in ("", code)}
        left = cursors.decode_left(query_data.cursor) if query_data.cursor else wanted
        jobs, following = page(failed_jobs, wanted, left, query_data.limit)
        return FailedOut.of(codes, jobs, cursors.encode_left(following) if following else None)

    @routes.post("/jobs/<job>/retry")
    @routes.output(JobOut, status_code=HTTPStatus.ACCEPTED, description="To be worked on again")
    @routes.doc(responses=problems(404, 409, 422, 503))
    @needs(Scope.ADMIN)
    def retry(job: str) -> Answer:
        """Have a job that failed worked on again"""
        retried = operation.failed_jobs.retry(job)
        if retried is Retried.NO_SOURCE:
            raise Rejected("no_source")
        if retried is Retried.NOT_FAILED:
            raise Conflict("not_failed")
        found = store.job(job)
        publisher.publish(found.id, found.edition, collection=found.collection)
        return job_answer(found)

    return routes


def sorted_codes(failed_jobs: FailedJobs) -> dict[str, int]:
    """How many jobs have failed with each code, the most frequent first."""
    return dict(sorted(failed_jobs.codes().items(), key=lambda item: (-item[1], item[0])))


def page(
    failed_jobs: FailedJobs, codes: Mapping[str, int], left: Mapping[str, int], limit: int
) -> tuple[list[Failed], dict[str, int]]:
    """The last `limit` jobs among those that are `left` of each code, and how many are left then.

    Counted from the oldest, so that those that fail meanwhile move nothing; where older ones are
    forgotten or tried again, some may come twice, and none is left out.
    """
    each = [
        failed_jobs.failed(code, max(0, codes[code] - count), min(limit, count))
        for code, count in left.items()
        if code in codes and count > 0
    ]
    merged = heapq.merge(*each, key=lambda job: job.time, reverse=True)
    jobs = [job for job, _ in zip(merged, range(limit), strict=False)]
    given = Counter(job.code for job in jobs)
    following = {code: min(n, codes.get(code, 0)) - given[code] for code, n in left.items()}
    return jobs, {code: n for code, n in following.items() if n > 0} if jobs else {}
