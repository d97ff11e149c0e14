"""The clustered service from outside: two workers with an index each, or with one Milvus, RabbitMQ
and Redis."""

import concurrent.futures
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import requests
from cluster import NO_SWEEPS, Cluster
from planted import PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from scraping import free_ports, total
from waiting import eventually

from facematch.job import QUEUE


def sha(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest()


def submit(cluster: Cluster, picture: bytes, name: str, wait: int = 0) -> dict[str, str]:
    answer = requests.post(
        f"{cluster.url}/v1/images", params={"name": name, "wait": wait}, data=picture, timeout=60
    )
    assert answer.status_code in (200, 202), answer.text
    return dict(answer.json())


def submit_all(cluster: Cluster, pictures: Iterable[bytes], threads: int = 16) -> None:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda picture: submit(cluster, picture, f"{sha(picture)}.png"), pictures))


def matches(cluster: Cluster, picture: bytes) -> list[str]:
    answer = requests.get(
        f"{cluster.url}/v1/images/{sha(picture)}/matches", params={"limit": 10_000}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    assert not answer.json()["truncated"]
    return sorted(match["hash"] for match in answer.json()["matches"])


def wait_done(cluster: Cluster, pictures: Iterable[bytes], seconds: float = 90) -> None:
    for picture in pictures:

        def done(image: str = sha(picture)) -> bool:
            answer = requests.get(
                f"{cluster.url}/v1/images/{image}/matches", params={"wait": 5}, timeout=60
            )
            return answer.status_code == 200

        eventually(done, f"image {sha(picture)} is done", seconds)


def one_person(seed: int, count: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    encodings = pictures_of(rng, people(rng, 1)[0], count)
    return [planted_picture(encoding[None]) for encoding in encodings]


def assert_all_match(cluster: Cluster, pictures: list[bytes]) -> None:
    for picture in pictures:
        assert matches(cluster, picture) == sorted(sha(p) for p in pictures if p is not picture)


#: With Milvus most tests take several times as long: `make test` does without these.
_MILVUS_LONG = pytest.param("milvus", marks=pytest.mark.long)


@pytest.fixture(params=["sidecar", _MILVUS_LONG])
def index(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings for it."""
    if request.param == "sidecar":
        return {}
    return {"index_url": str(request.getfixturevalue("milvus_url"))}


@pytest.fixture
def cluster(
    tmp_path: Path, redis_url: str, rabbitmq_url: str, index: dict[str, str]
) -> Iterable[Cluster]:
    with Cluster(tmp_path, redis_url, rabbitmq_url, encoder=PLANTED, **index) as running:
        yield running
        running.fsck()


def test_the_same_picture_many_times_at_once_is_one_image_with_all_its_names(
    cluster: Cluster,
) -> None:
    picture, other = one_person(1, 2)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        names = [f"{number}.png" for number in range(50)]
        list(pool.map(lambda name: submit(cluster, picture, name, wait=30), names))
    assert submit(cluster, other, "other.png", wait=30)["state"] == "done"
    image = requests.get(f"{cluster.url}/v1/images/{sha(picture)}", timeout=30).json()
    assert sorted(image["names"]) == sorted(names)
    assert image["position"] == 1
    assert sorted(requests.get(f"{cluster.url}/match/{sha(other)}", timeout=30).json()) == sorted(
        names
    )


@pytest.mark.long
def test_a_queue_that_nobody_works_on_is_told_until_somebody_does(
    tmp_path: Path, redis_url: str, rabbitmq_url: str
) -> None:
    api, worker, index = range(first := free_ports(3), first + 3)
    settings = {"encoder": PLANTED, "sweep_age": NO_SWEEPS}
    cluster = Cluster(tmp_path, redis_url, rabbitmq_url, 1, **settings)
    parts = ("api", api), ("worker-1", worker), ("index-1", index)
    cluster.own = {part: {"metrics_port": str(port)} for part, port in parts}
    pictures = one_person(9, 20)
    with cluster:
        cluster.stop("worker-1")
        submit_all(cluster, pictures)
        for name in ("facematch_jobs_waiting", "facematch_queue_depth"):
            eventually(lambda name=name: total([api], name) == 20, name)
        assert total([api], "facematch_jobs_oldest_seconds") > 0
        assert total([api], "facematch_uploads_bytes") == sum(map(len, pictures))
        cluster.start("worker-1")
        wait_done(cluster, pictures)
        eventually(lambda: total([api], "facematch_jobs_waiting") == 0, "no job waits")
        eventually(lambda: total([api], "facematch_queue_depth") == 0, "none is queued")
        jobs = "facematch_worker_jobs_total"
        eventually(lambda: total([worker], jobs, state="done") == 20, "all are counted")
        eventually(lambda: total([index], "facematch_index_faces") == 20, "all are held")
        cluster.fsck()


def test_many_pairs_submitted_at_once_all_find_each_other(
    cluster: Cluster, index: dict[str, str]
) -> None:
    # milvus-lite needs some 60 ms for a search, one at a time.
    count = 100 if index else 1000
    rng = np.random.default_rng(2)
    pairs = [
        [planted_picture(encoding[None]) for encoding in pictures_of(rng, person, 2)]
        for person in people(rng, count)
    ]
    pictures = [picture for pair in pairs for picture in pair]
    submit_all(cluster, [pictures[index] for index in rng.permutation(len(pictures))], 32)
    wait_done(cluster, pictures, 180)
    for pair in pairs:
        assert_all_match(cluster, pair)


@pytest.mark.parametrize(
    "failpoint",
    [
        *("fetched", "before_commit", "after_commit", "after_link"),
        # `make chaos` goes through all of them for many seeds.
        *(
            pytest.param(step, marks=pytest.mark.long)
            for step in ("encoded", "after_query", "mid_link", "after_ack")
        ),
    ],
)
def test_a_worker_killed_at_any_step_loses_nothing(cluster: Cluster, failpoint: str) -> None:
    # One call links 500 pairs: only a picture with more is ever in the middle of its links.
    before = 505 if failpoint == "mid_link" else 0
    pictures = one_person(3, before + 12)
    submit_all(cluster, pictures[:before])
    wait_done(cluster, pictures[:before])
    for worker in ("worker-1", "worker-2"):
        cluster.stop(worker)
    cluster.start("worker-1", failpoint=f"{failpoint}:kill:2")
    submit_all(cluster, pictures[before:])
    eventually(
        lambda: cluster.died_at_failpoint("worker-1"), f"the worker is killed at {failpoint}", 60
    )
    cluster.start("worker-2")
    wait_done(cluster, pictures)
    assert_all_match(cluster, pictures)


def test_a_purged_queue_loses_nothing(cluster: Cluster, rabbitmq_server: RabbitServer) -> None:
    for worker in ("worker-1", "worker-2"):
        cluster.stop(worker)
    pictures = one_person(4, 8)
    submit_all(cluster, pictures)
    rabbitmq_server.purge(QUEUE)
    for worker in ("worker-1", "worker-2"):
        cluster.start(worker)
    wait_done(cluster, pictures)
    assert_all_match(cluster, pictures)


@pytest.mark.parametrize("index", ["sidecar"], indirect=True)
@pytest.mark.parametrize("position", [1, 5, 9])
def test_an_index_frozen_at_any_position_gives_the_same_matches(
    cluster: Cluster, position: int
) -> None:
    for number in (1, 2):
        cluster.kill(f"index-{number}")
        cluster.start(f"index-{number}", failpoint=f"before_apply:sleep:{position}")
    pictures = one_person(5, 10)
    submit_all(cluster, pictures)
    wait_done(cluster, pictures)
    assert_all_match(cluster, pictures)


@pytest.mark.parametrize("index", ["milvus"], indirect=True)
@pytest.mark.parametrize(
    "failpoint", ["after_faces", pytest.param("before_place", marks=pytest.mark.long)]
)
def test_with_both_feeders_frozen_the_matches_are_the_same(
    cluster: Cluster, failpoint: str
) -> None:
    def loaded() -> bool:
        return cluster.command("index", "status").returncode == 0

    eventually(loaded, "there is an index", 60)
    for worker in ("worker-1", "worker-2"):
        cluster.kill(worker)
        cluster.start(worker, failpoint=f"{failpoint}:sleep:1")
    pictures = one_person(5, 10)
    submit_all(cluster, pictures)
    wait_done(cluster, pictures)
    assert_all_match(cluster, pictures)
    status = json.loads(cluster.command("--json", "index", "status").stdout)
    assert (status["position"], status["behind"]) == (0, 10)


@pytest.mark.parametrize("index", ["milvus"], indirect=True)
@pytest.mark.parametrize(
    "failpoint",
    [
        *("after_faces", "after_place"),
        *(pytest.param(name, marks=pytest.mark.long) for name in ("before_place", "after_removal")),
    ],
)
def test_a_worker_killed_while_it_feeds_loses_nothing(cluster: Cluster, failpoint: str) -> None:
    pictures = one_person(8, 12)
    for worker in ("worker-1", "worker-2"):
        cluster.stop(worker)
    submit_all(cluster, pictures)
    cluster.start("worker-1", failpoint=f"{failpoint}:kill:1")
    if failpoint == "after_removal":
        wait_done(cluster, pictures)
    else:
        eventually(
            lambda: cluster.died_at_failpoint("worker-1"), f"it is killed at {failpoint}", 60
        )
        cluster.start("worker-2")
        wait_done(cluster, pictures)
    url = f"{cluster.url}/v1/images/{sha(pictures.pop())}"
    assert requests.delete(url, timeout=30).status_code == 204
    if failpoint == "after_removal":
        eventually(
            lambda: cluster.died_at_failpoint("worker-1"), f"it is killed at {failpoint}", 60
        )
        cluster.start("worker-2")
    assert_all_match(cluster, pictures)

    def verified() -> bool:
        return cluster.command("index", "verify").returncode == 0

    eventually(verified, "the next one has done the rest", 60)


def test_an_erased_image_is_gone_from_every_match_set(cluster: Cluster) -> None:
    pictures = one_person(6, 4)
    submit_all(cluster, pictures)
    wait_done(cluster, pictures)
    gone = pictures.pop()
    url = f"{cluster.url}/v1/images/{sha(gone)}"
    assert requests.delete(url, timeout=30).status_code == 204
    assert requests.get(url, timeout=30).status_code == 410
    assert requests.get(f"{url}/matches", timeout=30).status_code == 410
    assert_all_match(cluster, pictures)
    assert submit(cluster, gone, "again.png", wait=30)["state"] == "done"
    assert_all_match(cluster, [*pictures, gone])


def test_workers_stop_cleanly_in_the_middle_of_work(cluster: Cluster) -> None:
    pictures = one_person(7, 60)
    submit_all(cluster, pictures[:30])
    cluster.stop("worker-1")
    submit_all(cluster, pictures[30:])
    cluster.start("worker-1")
    wait_done(cluster, pictures)
    assert_all_match(cluster, pictures)
