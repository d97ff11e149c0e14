"""One image followed through api, broker, worker and index: by its spans, and by the log alone."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from cluster import NO_SWEEPS, Cluster
from picture_server import PictureServer
from planted import PLANTED, people, pictures_of, planted_picture
from trace_collector import Collected, Collector
from waiting import eventually

from facematch.faces import pack_encodings

PARTS = ("api", "worker-1", "index-1")
NAME, HIDDEN = "anna-wagner.png", "anna-at-home"
CALLER = "0af7651916cd43dd8448eb211c80319c"

#: What happens to an image, by process and span, and of which span it is a part.
STORY = {
    ("facematch-api", "accept"): None,
    ("facematch-api", "publish"): ("facematch-api", "accept"),
    ("facematch-worker", "process"): ("facematch-api", "publish"),
    ("facematch-worker", "fetch"): ("facematch-worker", "process"),
    ("facematch-worker", "decode"): ("facematch-worker", "process"),
    ("facematch-worker", "detect"): ("facematch-worker", "process"),
    ("facematch-worker", "encode"): ("facematch-worker", "process"),
    ("facematch-worker", "commit"): ("facematch-worker", "process"),
    ("facematch-worker", "finish"): ("facematch-worker", "process"),
    ("facematch-worker", "query"): ("facematch-worker", "finish"),
    ("facematch-worker", "ask"): ("facematch-worker", "query"),
    ("facematch-index", "within"): ("facematch-worker", "ask"),
    ("facematch-worker", "link"): ("facematch-worker", "finish"),
}


def two_of_one_person(seed: int) -> tuple[np.ndarray, list[bytes]]:
    rng = np.random.default_rng(seed)
    encodings = pictures_of(rng, people(rng, 1)[0], 2)
    return encodings, [planted_picture(encoding[None]) for encoding in encodings]


def lines_of(cluster: Cluster, job: str) -> dict[str, list[dict[str, Any]]]:
    """What each process has logged of a job."""
    told = {}
    for name in PARTS:
        lines = [json.loads(line) for line in cluster.log(name).splitlines()]
        told[name] = [line for line in lines if line.get("job") == job]
    return told


def assert_nothing_seen(texts: Iterable[bytes], encodings: np.ndarray) -> None:
    """What was decided may be told; not what was submitted, nor what was found in it."""
    # Those below zero: a duration in a log may begin as another does.
    numbers = [f"{number:.6f}"[:8] for number in encodings[:, :16].ravel() if number < 0]
    assert len(numbers) >= len(encodings)
    raw = [pack_encodings(encoding[None])[:16] for encoding in encodings]
    for text in texts:
        for secret in ("anna", "encoding", "box", *numbers):
            assert secret not in text.decode(errors="replace").lower(), secret
        assert not any(part in text for part in raw)


def submit(cluster: Cluster, picture: bytes) -> dict[str, Any]:
    answer = requests.post(
        f"{cluster.url}/v1/images?wait=30&name={NAME}",
        data=picture,
        headers={"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterable[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with Collector() as running:
        yield running


def test_an_image_is_one_trace_through_three_processes(
    tmp_path: Path, redis_url: str, rabbitmq_url: str, collector: Collector
) -> None:
    encodings, pictures = two_of_one_person(1)
    with (
        PictureServer() as pictures_elsewhere,
        Cluster(
            tmp_path,
            redis_url,
            rabbitmq_url,
            workers=1,
            encoder=PLANTED,
            logs="json",
            log_level="debug",
            fetch_allow=f"127.0.0.1:{pictures_elsewhere.port}",
            otlp_endpoint=collector.url,
            sweep_age=NO_SWEEPS,
        ) as cluster,
    ):
        job = submit(cluster, pictures[0])
        url = pictures_elsewhere.serve(pictures[1], path=f"/{HIDDEN}.png?key={HIDDEN}")
        by_url = requests.post(
            f"{cluster.url}/v1/images?wait=30", json={"url": url}, timeout=60
        ).json()
        gone = pictures_elsewhere.url(f"/{HIDDEN}-gone.png")
        failed = requests.post(
            f"{cluster.url}/v1/images?wait=30", json={"url": gone}, timeout=60
        ).json()
        assert (job["state"], by_url["state"], failed["state"]) == ("done", "done", "failed")

        def of(told: dict[str, Any]) -> list[Collected]:
            return [span for span in collector.spans if span.trace == told["job"]]

        def named(told: dict[str, Any]) -> set[tuple[str, str]]:
            ended = any("facematch.state" in s.facts for s in of(told) if s.name == "process")
            return {(span.service, span.name) for span in of(told)} if ended else set()

        for told in (job, by_url):
            eventually(lambda told=told: STORY.keys() <= named(told), "every span has come")
            # The last of each name: on a busy machine a job may be tried again.
            spans = {(span.service, span.name): span for span in of(told)}
            every = {span.span: span for span in of(told)}
            parents = {span.span: (span.service, span.name) for span in every.values()}
            assert {key: parents.get(span.parent) for key, span in spans.items()} == STORY
            assert spans["facematch-worker", "process"].facts == {
                "facematch.job": told["job"],
                "facematch.image": told["hash"],
                "facematch.state": "done",
            }
            answered = spans["facematch-index", "within"]
            assert answered.facts["facematch.image"] == told["hash"]
            assert not any(span.failed for span in spans.values())
            # What is told when it is over lies within what it is a part of; clocks are the same.
            for span in every.values():
                above = every.get(span.parent)
                if above and span.service == above.service == "facematch-worker":
                    assert above.begin <= span.begin <= span.end <= above.end, span.name
            lines = lines_of(cluster, told["job"])
            for name, event in zip(PARTS, ("accepted", "job", "answered"), strict=True):
                (line,) = (line for line in lines[name] if line["event"] == event)
                assert line["trace_id"] == told["job"]
                # The api does not know yet what is behind a URL.
                known = told["hash"] if told is job or name != "api" else None
                assert line.get("image") == known
                assert line["part"] == name.partition("-")[0]

        eventually(lambda: any(span.name == "process" for span in of(failed)))
        (process,) = (span for span in of(failed) if span.name == "process")
        assert process.facts["facematch.state"] == "failed"
        assert process.facts["facematch.code"] == failed["code"]
        (accept,) = (span for span in of(job) if span.name == "accept")
        assert accept.links == (CALLER,)
        assert {span.kind for span in of(job)} == {
            *("server", "producer", "consumer", "client", "internal")
        }
        # Whom a picture is fetched from learns nothing of it.
        assert not any("traceparent" in asked.headers for asked in pictures_elsewhere.requests)
    logs = [cluster.log(name).encode() for name in PARTS]
    assert_nothing_seen([*logs, *collector.bodies], encodings)


def test_without_a_collector_the_log_alone_follows_an_image(tmp_path: Path, redis_url: str) -> None:
    encodings, pictures = two_of_one_person(2)
    settings = {"encoder": PLANTED, "logs": "json", "log_level": "debug", "sweep_age": NO_SWEEPS}
    with Cluster(tmp_path, redis_url, redis_url, workers=1, **settings) as cluster:
        named = f"{cluster.url}/scan/image/{NAME}"
        assert requests.post(named, data=b"no picture", timeout=60).status_code == 200
        for job in [submit(cluster, picture) for picture in pictures]:

            def told(job: str = job["job"]) -> dict[str, list[dict[str, Any]]]:
                return lines_of(cluster, job)

            eventually(lambda told=told: all(told().values()), "each process has said something")
            for name, lines in told().items():
                assert {line["trace_id"] for line in lines} == {job["job"]}, name
                assert {line["image"] for line in lines} == {job["hash"]}, name
    logs = [cluster.log(name) for name in PARTS]
    assert not re.search("OpenTelemetry|traces", "".join(logs).replace("otlp_endpoint", ""))
    assert_nothing_seen([log.encode() for log in logs], encodings)
