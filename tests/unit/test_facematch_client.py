"""facematch.client: against the real api, and against services that do not behave."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scripted_service import Reply, Request, job, problem, scripted
from told_service import DISTANCE, ToldService, told_service
from waiting import eventually

from facematch.client import Client, MatchAnswer
from facematch.errors import Denied, FacematchError, Misconfigured, NotFound, Rejected, Unavailable
from facematch.faces import Box, image_hash
from facematch.store import State

HASH = "a" * 64


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ToldService]:
    with told_service(tmp_path, max_bytes=1000) as service:
        yield service


@pytest.fixture
def client(service: ToldService) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


# -- against the real api -----------------------------------------------------------------------


def test_bytes_are_submitted_and_their_image_and_matches_read(client: Client) -> None:
    first = client.submit(b"ann 1", "first.jpg", wait=10)
    second = client.submit(b"ann 2", "second.jpg", wait=10)
    assert (first.state, second.state) == (State.DONE, State.DONE)
    assert (first.hash, first.name, first.ended) == (image_hash(b"ann 1"), "first.jpg", True)
    image = client.image(image_hash(b"ann 1"))
    assert (image.names, image.width, image.height) == (("first.jpg",), 640, 480)
    assert image.faces is not None
    assert [face.box for face in image.faces] == [Box(1, 20, 30, 4)]
    page = client.matches(image_hash(b"ann 1"))
    assert page.matches == (MatchAnswer(image_hash(b"ann 2"), ("second.jpg",), DISTANCE),)
    assert (page.state, page.faces, page.threshold, page.next) == (State.DONE, 1, 0.6, None)
    assert (page.complete_through, page.exact) == (2, True)


def test_a_file_is_submitted_under_its_own_name_or_another(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "a picture.jpg"
    file.write_bytes(b"ann 1")
    assert client.submit(file).name == "a picture.jpg"
    assert client.submit(str(file), "other").name == "other"
    client.wait_for(client.submit(file), 10)
    assert set(client.image(image_hash(b"ann 1")).names) == {"a picture.jpg", "other"}


def test_a_file_whose_name_is_no_text_can_be_submitted(client: Client, tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    file.write_bytes(b"ann 1")
    assert client.submit(file, wait=10).name == "caf\N{REPLACEMENT CHARACTER}.jpg"


def test_a_file_that_cannot_be_read_is_an_os_error(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.submit(tmp_path / "missing.jpg")


def test_a_url_has_no_hash_until_it_was_fetched(client: Client, service: ToldService) -> None:
    service.web["http://pictures.test/slow.jpg"] = b"slow ann"
    job = client.submit_url("http://pictures.test/slow.jpg")
    assert (job.state, job.hash, job.url) == (State.ACCEPTED, None, "http://pictures.test/slow.jpg")
    assert client.wait_for(job, 0.3).state is State.ACCEPTED
    eventually(lambda: service.slow)
    service.work_on_slow()
    ended = client.wait_for(job, 10)
    assert (ended.state, ended.hash) == (State.DONE, image_hash(b"slow ann"))
    assert client.job(job.job) == ended


def test_a_picture_that_fails_says_why(client: Client) -> None:
    job = client.submit(b"broken", wait=10)
    assert (job.state, job.code, job.detail) == (State.FAILED, "not_an_image", "no picture")
    assert client.image(image_hash(b"broken")).state is State.FAILED
    with pytest.raises(Rejected) as caught:
        list(client.all_matches(image_hash(b"broken")))
    assert caught.value.code == "not_an_image"


def test_all_matches_are_read_over_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facematch.client._PAGE", 2)
    for number in range(6):
        client.submit(b"ann %d" % number, wait=10)
    hashes = [match.hash for match in client.all_matches(image_hash(b"ann 0"))]
    assert sorted(hashes) == sorted(image_hash(b"ann %d" % number) for number in range(1, 6))
    first = client.matches(image_hash(b"ann 0"), limit=2)
    second = client.matches(image_hash(b"ann 0"), limit=2, cursor=first.next)
    assert first.matches is not None
    assert second.matches is not None
    assert [match.hash for match in (*first.matches, *second.matches)] == hashes[:4]


def test_not_yet_is_not_none(client: Client) -> None:
    client.submit(b"slow ann")
    page = client.matches(image_hash(b"slow ann"), wait=0.1)
    assert (page.state, page.matches) == (State.ACCEPTED, None)
    with pytest.raises(Unavailable) as caught:
        list(client.all_matches(image_hash(b"slow ann")))
    assert caught.value.code == "unfinished"


def test_what_was_deleted_is_erased_and_what_never_was_is_not_found(client: Client) -> None:
    client.submit(b"ann 1", wait=10)
    client.delete(image_hash(b"ann 1"))
    for call in (client.image, client.matches, lambda image: next(client.all_matches(image))):
        with pytest.raises(NotFound) as caught:
            call(image_hash(b"ann 1"))
        assert caught.value.code == "erased"
    for call in (client.image, client.matches, client.delete, client.job):
        with pytest.raises(NotFound) as caught:
            call(HASH)
        assert caught.value.code == "not_found"


def test_what_the_service_refuses_is_rejected_with_its_code(client: Client) -> None:
    for picture, code in ((b"", "empty"), (b"x" * 1001, "too_large")):
        with pytest.raises(Rejected) as caught:
            client.submit(picture)
        assert caught.value.code == code
    with pytest.raises(Rejected) as caught:
        client.submit_url("ftp://example.com/")
    assert caught.value.code == "bad_url"
    with pytest.raises(Rejected) as caught:
        client.image("no hash")
    assert caught.value.code == "bad_hash"


def test_a_client_may_be_shared_by_threads(client: Client) -> None:
    pictures = [b"person%d" % number for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda data: client.submit(data, wait=10), pictures))
    assert [job.hash for job in jobs] == [image_hash(data) for data in pictures]
    assert {job.state for job in jobs} == {State.DONE}


def test_a_ready_service_is_ready_and_one_that_is_gone_is_unavailable(
    client: Client, service: ToldService
) -> None:
    client.ready()
    service.stop()
    with pytest.raises(Unavailable) as caught:
        client.ready()
    assert caught.value.code == "service_unavailable"
    assert str(caught.value) == f"no answer from {service.url}: Connection refused"


# -- against services that do not behave --------------------------------------------------------


def test_a_service_that_is_not_ready_says_what_is_missing() -> None:
    body = {"status": "not ready", "store": "down: no answer", "broker": "up", "ledger": "up"}
    with scripted(lambda request: Reply(503, body)) as service:
        with pytest.raises(Unavailable, match="is not ready: store down: no answer"):
            Client(service.url).ready()
        assert len(service.requests) == 1


@pytest.mark.parametrize("trouble", [None, Reply(502, "bad gateway", "text/html")])
def test_a_call_is_tried_again_when_there_was_no_answer(trouble: Reply | None) -> None:
    with scripted(lambda request: trouble if request.number < 3 else job()) as service:
        assert Client(service.url).submit(b"picture").state is State.DONE
        assert [request.body for request in service.requests] == [b"picture"] * 3


def test_a_service_is_not_asked_again_before_it_wants_to_be() -> None:
    def script(request: Request) -> Reply:
        return problem(503, "backlog_full", Retry_After="1") if request.number == 1 else job()

    with scripted(script) as service:
        started = time.monotonic()
        assert Client(service.url).submit(b"picture").state is State.DONE
        assert time.monotonic() - started >= 1


def test_a_service_that_wants_to_be_left_alone_for_long_is_given_up_at_once() -> None:
    busy = problem(503, "backlog_full", "full", Retry_After="120")
    with scripted(lambda request: busy) as service:
        started = time.monotonic()
        with pytest.raises(Unavailable, match=r"^full$") as caught:
            Client(service.url, timeout=60).submit(b"picture")
        assert caught.value.code == "backlog_full"
        assert time.monotonic() - started < 60
        assert len(service.requests) == 1


def test_a_call_is_tried_so_often_and_not_more() -> None:
    with scripted(lambda request: None) as service:
        with pytest.raises(Unavailable) as caught:
            Client(service.url, attempts=3).image(HASH)
        assert caught.value.code == "service_unavailable"
        assert len(service.requests) == 3


def test_a_service_that_is_silent_is_given_up_after_the_timeout() -> None:
    release = threading.Event()

    def script(request: Request) -> Reply:
        release.wait(20)
        return job()

    with scripted(script) as service:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="it takes too long"):
            Client(service.url, timeout=0.5).image(HASH)
        release.set()
        assert 0.5 <= time.monotonic() - started < 15


def test_waiting_on_purpose_is_not_silence() -> None:
    def script(request: Request) -> Reply:
        time.sleep(1)
        return job()

    with scripted(script) as service:
        assert Client(service.url, timeout=0.5).submit(b"p", wait=10).ended
        (request,) = service.requests
        assert request.query == {"wait": "10"}


def test_no_more_waiting_is_asked_for_than_the_service_allows() -> None:
    with scripted(lambda request: job()) as service:
        Client(service.url).submit(b"p", wait=100)
        assert service.requests[0].query == {"wait": "30.0"}


def test_a_service_without_a_place_for_who_waits_is_not_asked_in_a_loop() -> None:
    with scripted(lambda request: job("accepted")) as service:
        client = Client(service.url)
        assert not client.wait_for(client.submit(b"p"), 1.5).ended
        assert len(service.requests) <= 4


def test_the_key_is_sent_and_not_to_where_the_service_redirects() -> None:
    with scripted(lambda request: job()) as elsewhere:
        away = Reply(307, "", headers={"Location": elsewhere.url})
        with scripted(lambda request: away) as service:
            with pytest.raises(Misconfigured, match=f"redirects to {elsewhere.url}"):
                Client(service.url, key="secret").submit(b"p")
            assert service.requests[0].headers["x-api-key"] == "secret"
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (problem(400, "bad_cursor"), Rejected, "bad_cursor"),
        (problem(400, "a_code_of_tomorrow"), Rejected, "bad_request"),
        (problem(418, "a_code_of_tomorrow"), Rejected, "bad_request"),
        (problem(499, "a_code_of_tomorrow"), Rejected, "bad_request"),
        (problem(404, "a_code_of_tomorrow"), NotFound, "not_found"),
        (problem(410, "a_code_of_tomorrow"), NotFound, "erased"),
        (problem(413, "a_code_of_tomorrow"), Rejected, "too_large"),
        (problem(503, "a_code_of_tomorrow"), Unavailable, "service_unavailable"),
        (problem(503, "store_unavailable"), Unavailable, "store_unavailable"),
        (problem(429, "a_code_of_tomorrow"), Unavailable, "service_unavailable"),
        (problem(500, "internal_error"), FacematchError, "internal_error"),
        (problem(401, "no_key"), Denied, "no_key"),
        (problem(403, "a_code_of_tomorrow"), Denied, "scope_missing"),
        (Reply(403, "no", "text/html"), Denied, "scope_missing"),
        (Reply(404, "<h1>nginx", "text/html"), Misconfigured, "misconfigured"),
        (Reply(413, "<h1>nginx", "text/html"), Rejected, "too_large"),
        (Reply(500, "<h1>nginx", "text/html"), FacematchError, "internal_error"),
        (Reply(504, "<h1>nginx", "text/html"), Unavailable, "service_unavailable"),
        (Reply(200, "<h1>A router", "text/html"), Misconfigured, "misconfigured"),
        (Reply(200, {"hash": HASH}), Misconfigured, "misconfigured"),
        (Reply(200, []), Misconfigured, "misconfigured"),
        (job("a state of tomorrow"), Misconfigured, "misconfigured"),
        (
            Reply(400, "{", "application/problem+json"),
            Misconfigured,
            "misconfigured",
        ),
        (
            Reply(400, {"code": ["?"], "detail": 7}, "application/problem+json"),
            Misconfigured,
            "misconfigured",
        ),
    ],
)
def test_every_answer_has_its_error(reply: Reply, kind: type[FacematchError], code: str) -> None:
    with scripted(lambda request: reply) as service:
        with pytest.raises(FacematchError) as caught:
            Client(service.url, attempts=1).submit(b"p")
        assert isinstance(caught.value, kind)
        assert caught.value.code == code
        if not issubclass(kind, Unavailable):
            assert not isinstance(caught.value, Unavailable)


def test_a_code_that_this_version_does_not_know_is_still_shown() -> None:
    refusal = problem(400, "quota_used_up", "that was enough")
    with (
        scripted(lambda request: refusal) as service,
        pytest.raises(Rejected, match=r"^that was enough \[quota_used_up\]$"),
    ):
        Client(service.url).image(HASH)


def test_what_a_newer_service_adds_to_its_answers_is_no_trouble() -> None:
    with scripted(lambda request: job("failed", code="new_code", colour="red")) as service:
        assert Client(service.url).submit(b"p").code == "new_code"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:5000", "ftp://host", "http://", "http://host:99999", "http://[::1", ""]
)
def test_what_is_no_url_of_a_service_is_refused_at_once(url: str) -> None:
    with pytest.raises(Misconfigured):
        Client(url)


def test_a_host_that_cannot_be_is_misconfigured() -> None:
    with pytest.raises(Misconfigured):
        Client("http://a..b").image(HASH)


def test_a_key_that_cannot_be_sent_is_refused_at_once() -> None:
    with pytest.raises(Misconfigured):
        Client(key="two\nlines")


def test_a_password_in_the_url_is_not_shown() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client(f"http://me:secret@127.0.0.1:{unused.getsockname()[1]}/", attempts=1)
        with pytest.raises(Unavailable) as caught:
            client.image(HASH)
    assert "secret" not in f"{caught.value} {client.url}"


def test_a_large_file_is_sent_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.rest._IN_MEMORY", 10)
    file = tmp_path / "large.jpg"
    file.write_bytes(b"0123456789" * 1000)
    with scripted(lambda request: None if request.number == 1 else job()) as service:
        Client(service.url).submit(file)
        assert [request.body for request in service.requests] == [b"0123456789" * 1000] * 2


def test_an_open_file_is_sent_from_where_it_stands_again_for_each_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large.jpg"
    file.write_bytes(b"not" + b"0123456789" * 1000)
    for limit in (10, 1_000_000):
        monkeypatch.setattr("facematch.rest._IN_MEMORY", limit)
        with (
            scripted(lambda request: None if request.number == 1 else job()) as service,
            file.open("rb") as open_file,
        ):
            open_file.seek(3)
            Client(service.url).submit(open_file)
            assert [request.body for request in service.requests] == [b"0123456789" * 1000] * 2
            assert [request.query["name"] for request in service.requests] == ["large.jpg"] * 2
            assert not open_file.closed


def test_what_can_be_read_once_only_is_sent_again_all_the_same() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a picture")
    os.close(writing)
    with (
        scripted(lambda request: None if request.number == 1 else job()) as service,
        os.fdopen(reading, "rb") as pipe,
    ):
        Client(service.url).submit(pipe, "piped.jpg")
        assert [request.body for request in service.requests] == [b"a picture"] * 2


def test_a_file_of_text_is_no_picture(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("ann 1")
    with file.open() as text, pytest.raises(TypeError):
        client.submit(text)  # type: ignore[arg-type]


def test_a_result_is_of_a_job_that_is_done_or_an_error(client: Client) -> None:
    assert client.result(client.submit(b"ann 1"), 10).state is State.DONE
    with pytest.raises(Rejected) as rejected:
        client.result(client.submit(b"broken"), 10)
    assert (rejected.value.code, str(rejected.value)) == ("not_an_image", "no picture")
    with pytest.raises(Unavailable) as unfinished:
        client.result(client.submit(b"slow ann"), 0.2)
    assert unfinished.value.code == "unfinished"
    erased = client.result(client.submit(b"bob 1"), 10)
    client.delete(image_hash(b"bob 1"))
    with pytest.raises(NotFound) as gone:
        client.result(client.job(erased.job), 10)
    assert gone.value.code == "erased"
