"""The routes for who looks after the service, and the small pictures."""

from pathlib import Path

import pytest
from api_parts import MODEL, running_api

from api import cursors
from api.status_routes import Operation, page
from api.status_schemas import IndexStatus
from facematch.errors import Rejected, Unavailable
from facematch.faces import image_hash
from facematch.memory_failed_jobs import MemoryFailedJobs
from facematch.memory_reencoding import MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.store import NewJob
from facematch.vitals import EditionVitals, Vitals

INDEX = IndexStatus(ready=True, position=5, faces=7, detail=None)
VITALS = Vitals((EditionVitals(0, jobs=3, in_hand=1, images=6, pending=2, position=9),))


def operated(tmp_path: Path, vitals=lambda: VITALS):
    store = MemoryStore()
    store.create(MODEL, 0.6)
    failed = MemoryFailedJobs(MemoryReencoding(store))
    operation = Operation(vitals, failed, lambda edition: INDEX)
    return running_api(tmp_path, store, operation=operation)


def fail(api, job: str, code: str, url: str = "http://x/a.jpg", data: bytes = b"") -> None:
    image = image_hash(data) if data else ""
    api.store.accept(NewJob(job, f"{job}.jpg", url=url, image=image, data=data), 10**6)
    api.store.begin(job)
    api.store.fail(job, code, f"of {job}")


def test_the_status_tells_what_waits_where_log_and_index_are_and_what_failed(
    tmp_path: Path,
) -> None:
    with operated(tmp_path) as api:
        fail(api, "one", "unreachable")
        told = api.app.test_client().get("/v1/status").json
    assert told["jobs"]["waiting"] == 3
    assert told["jobs"]["in_hand"] == 1
    assert (told["images"]["done"], told["images"]["pending"], told["position"]) == (4, 2, 9)
    assert told["index"] == {"ready": True, "position": 5, "faces": 7, "detail": None}
    assert told["failed"] == {"unreachable": 1}


def test_a_store_that_is_away_is_no_status(tmp_path: Path) -> None:
    def away() -> Vitals:
        raise Unavailable("store_unavailable")

    with operated(tmp_path, away) as api:
        answer = api.app.test_client().get("/v1/status")
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")


def test_failed_jobs_come_in_pages_the_last_one_first_each_once(tmp_path: Path) -> None:
    with operated(tmp_path) as api:
        names = [f"job{number}" for number in range(7)]
        for number, name in enumerate(names):
            fail(api, name, ("unreachable", "bad_image", "http_status")[number % 3])
        client, found, cursor = api.app.test_client(), [], ""
        for number in range(4):
            answer = client.get("/v1/failed", query_string={"limit": 2, "cursor": cursor}).json
            found += [job["job"] for job in answer["jobs"]]
            cursor = answer["next"]
            assert (cursor is None) == (number == 3)
            fail(api, f"later{number}", "bad_image")  # moves nothing that is still to come
        assert found == names[::-1]
        only = client.get("/v1/failed?code=http_status").json
        assert [job["code"] for job in only["jobs"]] == ["http_status", "http_status"]
        assert only["codes"]["unreachable"] == 3
        assert only["jobs"][0]["meaning"].startswith("the URL's server answered")
        assert only["jobs"][0]["detail"] == "of job5"
        assert "unreachable" in only["may_pass"]
        assert "bad_image" not in only["may_pass"]
        for wrong in ("x", cursors.encode_left({"no such code": 1}), cursors.encode_left({})[:-1]):
            answer = client.get("/v1/failed", query_string={"cursor": wrong})
            assert (answer.status_code, answer.json["code"]) == (400, "bad_cursor")


def test_none_is_left_out_where_others_are_tried_again(tmp_path: Path) -> None:
    with operated(tmp_path) as api:
        for number in range(6):
            fail(api, f"job{number}", "unreachable")
        jobs = MemoryFailedJobs(MemoryReencoding(api.store))
        first, left = page(jobs, jobs.codes(), jobs.codes(), 2)
        for name in ("job5", "job0"):  # one that was given out, one that was not
            jobs.retry(name)
        found = [job.job for job in first]
        while left:
            some, left = page(jobs, jobs.codes(), left, 2)
            found += [job.job for job in some]
        assert {"job4", "job3", "job2", "job1"} <= set(found)


def test_a_job_that_failed_is_tried_again_and_a_worker_hears_of_it(tmp_path: Path) -> None:
    with operated(tmp_path) as api:
        fail(api, "one", "unreachable")
        client = api.app.test_client()
        answer = client.post("/v1/jobs/one/retry")
        assert (answer.status_code, answer.json["state"]) == (202, "accepted")
        assert answer.headers["Location"] == "/v1/jobs/one"
        assert api.next_job() == "one"
        assert client.get("/v1/failed").json["jobs"] == []
        again = client.post("/v1/jobs/one/retry")
        assert (again.status_code, again.json["code"]) == (409, "not_failed")
        assert client.post("/v1/jobs/none/retry").status_code == 404


def test_an_upload_whose_bytes_are_gone_is_to_be_submitted_again(tmp_path: Path) -> None:
    with operated(tmp_path) as api:
        fail(api, "sent", "bad_image", url="", data=b"bytes")
        answer = api.app.test_client().post("/v1/jobs/sent/retry")
    assert (answer.status_code, answer.json["code"]) == (422, "no_source")


@pytest.mark.parametrize("left", [{"unreachable": 3}, {"bad_image": 1, "unreachable": 10**9}])
def test_a_cursor_of_failed_jobs_comes_out_as_it_went_in(left: dict[str, int]) -> None:
    assert cursors.decode_left(cursors.encode_left(left)) == left


@pytest.mark.parametrize("left", [{"unreachable": 0}, {"unreachable": True}, {"unreachable": "1"}])
def test_a_cursor_that_is_none_is_refused(left: dict[str, int]) -> None:
    with pytest.raises(Rejected, match="cursor"):
        cursors.decode_left(cursors.encode_left(left))


def test_a_thumbnail_is_there_where_they_are_kept_until_the_image_is_erased(tmp_path: Path) -> None:
    data, small = b"a picture", b"\xff\xd8\xff small"
    image = image_hash(data)
    with running_api(tmp_path, keep_thumbnails=True) as api:
        client = api.app.test_client()
        path = f"/v1/images/{image}/thumbnail"
        assert client.get(path).json["code"] == "no_thumbnail"
        client.post("/v1/images", data=data)
        api.link(api.commit(api.next_job(), data, thumbnail=small))
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/jpeg", small)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        client.delete(f"/v1/images/{image}")
        assert client.get(path).status_code == 404
        assert client.get("/v1/images/nonsense/thumbnail").json["code"] == "bad_hash"
