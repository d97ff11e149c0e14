"""Real pictures through the real service, embedded and clustered, as its users would."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from cluster import Cluster
from picture_server import PictureServer
from real_pictures import real_pictures
from served import Served

TIMEOUT = 180


@dataclass(frozen=True)
class Service:
    url: str
    pictures: PictureServer

    def post(self, path: str, **options: object) -> requests.Response:
        return requests.post(f"{self.url}{path}", timeout=TIMEOUT, **options)  # type: ignore[arg-type]

    def get(self, path: str, **options: object) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=TIMEOUT, **options)  # type: ignore[arg-type]

    def wait_for(self, picture: bytes) -> None:
        """Until it is done; two workers may end what they have in any order."""
        done = self.get(f"/v1/images/{sha(picture)}/matches", params={"wait": 30})
        assert done.status_code == 200, done.text

    def facematch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "facematch", "--url", self.url, "--json", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )


@pytest.fixture(scope="module")
def pictures() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


@pytest.fixture(params=["embedded", "clustered"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path, pictures: PictureServer
) -> Iterator[Service]:
    settings = {"fetch_allow": f"127.0.0.1:{pictures.port}", "fetch_timeout": "8", "slots": "1"}
    if request.param == "clustered":
        redis_url = request.getfixturevalue("redis_url")
        rabbitmq_url = request.getfixturevalue("rabbitmq_url")
        with Cluster(tmp_path, redis_url, rabbitmq_url, **settings) as cluster:
            yield Service(cluster.url, pictures)
            cluster.fsck()
        return
    served = Served(tmp_path / "data", tmp_path / "console", "--port", "0", **settings)
    try:
        service = Service(served.url(), pictures)
        yield service
        done = service.facematch("fsck", "--data", str(served.data))
        assert json.loads(done.stdout)["findings"] == [], done.stdout + done.stderr
    finally:
        served.process.terminate()
        assert served.end() == 0


def picture(name: str) -> bytes:
    return real_pictures()[name].read_bytes()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_course_client_finds_what_it_knows(service: Service) -> None:
    page = service.get("/")
    assert page.status_code == 200
    assert "text/html" in page.headers["Content-Type"]

    obama, again, biden = (picture(name) for name in ("obama.jpg", "obama2.jpg", "biden.jpg"))
    answer = service.post("/scan/image/first%20term/obama.jpg", data=obama)
    assert (answer.status_code, answer.json()) == (200, {"hash": sha(obama)})
    service.wait_for(obama)

    lonely = service.post("/scan/url?wait=30", json={"url": service.pictures.serve(biden)})
    assert lonely.status_code == 200
    assert lonely.json() == {
        "hash": sha(biden),
        "matches": [],
        "message": "no matches found",
    }

    url = service.pictures.serve(again)
    found = service.post("/scan/url?wait=30", json={"url": url})
    assert found.json() == {"hash": sha(again), "matches": [sha(obama)]}
    assert service.get(f"/match/{sha(obama)}").json() == [url]
    assert service.get(f"/match/{sha(again)}").json() == ["first term/obama.jpg"]
    assert service.get(f"/match/{sha(biden)}").json() == []
    assert service.get(f"/match/{'0' * 64}").json() == []


@pytest.mark.long
def test_a_url_that_takes_longer_than_five_seconds_is_answered_with_its_job(
    service: Service,
) -> None:
    pictures = service.pictures

    def late() -> Iterator[bytes | float]:
        yield 2.5
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        yield picture("biden.jpg")

    # Two workers with four jobs in hand each: two rounds of slow servers come before this one.
    for _ in range(16):
        service.post("/v1/images", json={"url": pictures.script(late)})
    began = time.monotonic()
    answer = service.post("/scan/url", json={"url": pictures.script(late)})
    took = time.monotonic() - began
    assert answer.status_code == 202, answer.text
    assert 4.5 < took < 15
    job = service.get(f"/v1/jobs/{answer.json()['job']}", params={"wait": 30}).json()
    assert (job["state"], job["hash"]) == ("done", sha(picture("biden.jpg")))


def test_pictures_that_are_none_end_with_a_code_and_harm_nobody(service: Service) -> None:
    pictures, obama = service.pictures, picture("obama.jpg")
    urls = {
        pictures.serve(b"<html>no picture</html>"): "not_an_image",
        pictures.serve(obama[: len(obama) // 2]): "truncated_image",
        pictures.serve(b""): "empty",
        pictures.url("/nothing-here"): "http_status",
        pictures.slow(obama): "fetch_timed_out",
        pictures.endless(): "too_large",
        "http://127.0.0.1:1/": "address_not_allowed",
        "http://169.254.169.254/latest/meta-data/": "address_not_allowed",
        "http://nobody.invalid/a.jpg": "unreachable",
    }
    jobs = {url: service.post("/v1/images", json={"url": url}).json()["job"] for url in urls}
    for url, code in urls.items():
        job = service.get(f"/v1/jobs/{jobs[url]}", params={"wait": 30}).json()
        assert (job["state"], job["code"]) == ("failed", code), job

    upload = service.post("/v1/images?wait=30", data=b"not a picture").json()
    assert (upload["state"], upload["code"]) == ("failed", "not_an_image")
    shown = service.get(f"/v1/images/{upload['hash']}/matches").json()
    assert (shown["state"], shown["code"], shown["matches"]) == ("failed", "not_an_image", None)
    assert service.post("/v1/images?wait=30", data=obama).json()["state"] == "done"


def test_the_command_line_takes_a_folder_and_shows_its_matches(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name, path in real_pictures().items():
        (folder / "deep" / name).symlink_to(path)
    (folder / "notes.txt").write_text("not a picture")

    report = json.loads(service.facematch("ingest", str(folder)).stdout)
    assert (report["pictures"], report["done"], report["failed"]) == (8, 7, 1)
    assert list(report["failures"]) == ["not_an_image"]
    again = json.loads(service.facematch("ingest", str(folder)).stdout)
    assert again["already_there"] == 7

    shown = json.loads(service.facematch("match", str(folder / "deep" / "obama.jpg")).stdout)
    names = {name for match in shown["matches"] for name in match["names"]}
    assert {"deep/obama2.jpg", "deep/obama3.jpg"} <= names
    assert "deep/biden.jpg" not in names
    rates = [match["false_match_rate"] for match in shown["matches"]]
    assert rates == sorted(rates)

    gone = sha(picture("obama2.jpg"))
    assert service.facematch("delete", gone).returncode == 0
    assert service.facematch("match", gone).returncode == 1
    left = json.loads(service.facematch("match", str(folder / "deep" / "obama.jpg")).stdout)
    assert gone not in {match["hash"] for match in left["matches"]}
