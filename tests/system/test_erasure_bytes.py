"""The bytes of an erased encoding are nowhere: not in Redis nor its file, not with RabbitMQ, not in
the memory of the index, not in logs or temporary files; and `facematch erasure-report` says so."""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import requests
from bytes_left import in_files, in_memory, in_redis
from cluster import Cluster
from planted import PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from scraping import free_ports
from servers import RedisServer
from waiting import eventually

from facematch.faces import image_hash, pack_encodings

_RNG = np.random.default_rng(11)
_FACES = [one for person in people(_RNG, 4) for one in pictures_of(_RNG, person, 5)]
PICTURES = [planted_picture(face[None]) for face in _FACES]
HASHES = [image_hash(picture) for picture in PICTURES]
#: What is looked for. Of every other picture, because those are erased.
BYTES = [pack_encodings(face[None]) for face in _FACES]
ERASED, KEPT = BYTES[::2], BYTES[1::2]
#: The memory of an index is clean within so many seconds.
INDEX_SECONDS = 60


@pytest.fixture
def metrics() -> range:
    """The ports at which api, worker and index tell theirs."""
    return range(first := free_ports(3), first + 3)


@pytest.fixture
def cluster(
    tmp_path: Path, redis_server: RedisServer, rabbitmq_server: RabbitServer, metrics: range
) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, redis_server.url, rabbitmq_server.url, workers=1, encoder=PLANTED)
    (temporary := tmp_path / "tmp").mkdir()
    cluster.environment["TMPDIR"] = str(temporary)
    cluster.environment["FACEMATCH_INDEX_URL"] = f"unix:{tmp_path / 'index-1.sock'}"
    names = ("api", "worker-1", "index-1")
    cluster.own = {
        name: {"metrics_port": str(port)} for name, port in zip(names, metrics, strict=True)
    }
    cluster.environment["FACEMATCH_LOG_LEVEL"] = "debug"
    cluster.environment["FACEMATCH_SEARCH_URL"] = f"unix:{tmp_path / 'search'}"
    with cluster:
        yield cluster


def erase(cluster: Cluster, images: Iterable[str]) -> None:
    for image in images:
        answer = requests.delete(f"{cluster.url}/v1/images/{image}", timeout=60)
        assert answer.status_code == 204, answer.text


def report(cluster: Cluster, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = cluster.command("--json", "erasure-report", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def found(told: dict[str, Any]) -> dict[str, str]:
    return {one["place"]: one["found"] for one in told["evidence"]}


def forms(data: bytes) -> list[bytes]:
    """How bytes might be told: a piece from the middle, as it is, in hex, and in base64."""
    piece = data[len(data) // 2 :][:48]
    # In base64 what a byte becomes depends on its place; what is cut off depends on neighbours.
    encoded = [base64.b64encode(bytes(shift) + piece)[4:-4] for shift in range(3)]
    return [piece, piece.hex().encode(), *encoded]


def numbers(encoding: bytes) -> list[bytes]:
    """Its first numbers, with the digits that whoever prints them shows at least."""
    values = np.frombuffer(encoding, dtype="<f4")[:16]
    return [f"{abs(value):.9f}"[:8].encode() for value in values if abs(value) > 0.01]


def assert_tells_nothing(what: str, text: bytes) -> None:
    for picture, encoding in zip(PICTURES, BYTES, strict=True):
        for form in (*forms(picture), *forms(encoding)):
            assert form not in text, what
        assert sum(number in text for number in numbers(encoding)) < 2, what


@pytest.mark.parametrize(
    "told",
    [
        b"x" + BYTES[3] + b"y",
        PICTURES[3].hex().encode(),
        *(base64.b64encode(b"z" * shift + BYTES[3]) for shift in range(3)),
        *(base64.b64encode(b"z" * shift + PICTURES[3]) for shift in range(3)),
        json.dumps(_FACES[3].tolist()).encode(),
        str(_FACES[3]).encode(),
        json.dumps(_FACES[3].astype(float).round(6).tolist()).encode(),
    ],
)
def test_whatever_were_told_would_be_noticed(told: bytes) -> None:
    with pytest.raises(AssertionError):
        assert_tells_nothing("this", b"something before " + told + b" something behind")


def everything_told(cluster: Cluster, metrics: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    """The answers of all routes that tell of an image, of errors, and of the metrics."""
    image = f"/v1/images/{HASHES[1]}"
    paths = ["/v1/status", "/v1/people", "/v1/failed", "/v1/collections", "/openapi.json", "/"]
    paths += [image, f"{image}/matches?detail=faces", f"{image}/people", f"/match/{HASHES[1]}"]
    paths += [f"/v1/faces/{HASHES[1]}:0/matches", f"{image}/thumbnail", "/v1/images/nothing"]
    for path in paths:
        yield path, requests.get(f"{cluster.url}{path}", timeout=60).content
    for path in ("/v1/images?wait=30", "/v1/images:batch", "/v1/search", "/v1/images:erase"):
        for body in (PICTURES[1], PICTURES[1][:-40], b"\x89PNG" + PICTURES[1][200:]):
            for kind in ("image/png", "application/json"):
                headers = {"Content-Type": kind}
                url = f"{cluster.url}{path}"
                answer = requests.post(url, data=body, headers=headers, timeout=60)
                yield f"{path} {answer.status_code}", answer.content
    for port in metrics:
        told = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60)
        assert told.ok
        yield f"metrics at {port}", told.content


@pytest.mark.long
def test_the_bytes_of_what_was_erased_are_nowhere(
    cluster: Cluster,
    tmp_path: Path,
    redis_server: RedisServer,
    rabbitmq_server: RabbitServer,
    metrics: range,
) -> None:
    for picture in PICTURES:
        done = requests.post(f"{cluster.url}/v1/images?wait=30", data=picture, timeout=60)
        assert done.json()["state"] == "done", done.text
    index = cluster.pid("index-1")
    # Whoever looks would find them.
    assert len(in_redis(redis_server.url, BYTES)) == len(BYTES)
    assert in_files(redis_server.folder, ERASED)
    assert in_memory(index, KEPT)
    told_anything = False
    for what, text in everything_told(cluster, metrics):
        assert_tells_nothing(what, text)
        told_anything = told_anything or HASHES[1].encode() in text
    assert told_anything
    for name in ("api", "worker-1", "index-1"):
        assert_tells_nothing(name, cluster.log(name).encode())
    code, told = report(cluster, HASHES[0])
    assert (code, told["erased"], found(told)["store"]) == (1, None, "left")

    erase(cluster, HASHES[::2])
    assert in_redis(redis_server.url, ERASED) == []
    code, told = report(cluster, HASHES[0])
    assert (code, found(told)["append-only file"]) == (1, "left")
    code, told = report(cluster, "--rewrite", HASHES[0])
    assert code == 0, told
    assert told["erased"] is not None
    assert found(told) == {
        **dict.fromkeys(("store", "ledger", "append-only file", "snapshots", "index"), "gone"),
        "submissions": "expires",
        "backups": "not asked",
    }
    # Redis removes the file before in the background.
    eventually(lambda: in_files(redis_server.folder, ERASED) == [], "its files are clean", 10)
    assert in_files(redis_server.folder, KEPT)
    assert in_files(rabbitmq_server.folder, BYTES) == []
    # Logs, ledger, sockets and temporary files.
    assert in_files(tmp_path, BYTES) == []
    eventually(lambda: in_memory(index, ERASED) == [], "the index is clean", INDEX_SECONDS)
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.get("fm:rewritten") is not None
