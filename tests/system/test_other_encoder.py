"""A reindex to another encoder of the clustered service, from outside."""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import requests
from cluster import NO_SWEEPS, Cluster
from picture_server import PictureServer
from planted import OTHER_PLANTED, PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from servers import RedisServer
from waiting import eventually

from facematch.faces import Encodings
from facematch.redis_connection import connect
from facematch.redis_reencoding import RedisReencoding


def sha(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest()


def submit(cluster: Cluster, name: str, picture: bytes) -> None:
    answer = requests.post(
        f"{cluster.url}/v1/images", params={"name": name, "wait": 20}, data=picture, timeout=60
    )
    assert answer.status_code == 200, answer.text


def submit_url(cluster: Cluster, url: str) -> None:
    answer = requests.post(
        f"{cluster.url}/v1/images", params={"wait": 20}, json={"url": url}, timeout=60
    )
    assert answer.status_code == 200, answer.text


def matches(cluster: Cluster, picture: bytes) -> dict[str, float]:
    """Once it is done."""
    answer = requests.get(
        f"{cluster.url}/v1/images/{sha(picture)}/matches", params={"wait": 20}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return {match["hash"]: match["distance"] for match in answer.json()["matches"]}


def image(cluster: Cluster, picture: bytes) -> requests.Response:
    return requests.get(f"{cluster.url}/v1/images/{sha(picture)}", timeout=60)


@contextmanager
def reindexing(cluster: Cluster, *options: str) -> Iterator[list[dict[str, Any]]]:
    """`facematch reindex` goes on beside the block: what it says, behind the block."""
    said: list[dict[str, Any]] = []

    def run() -> None:
        done = cluster.command("--json", "reindex", *options)
        said.append({"status": done.returncode, "errors": done.stderr} | json.loads(done.stdout))

    thread = threading.Thread(target=run)
    thread.start()
    yield said
    thread.join()


def near(pictures: Sequence[bytes], encodings: Encodings, times: float) -> dict[str, set[str]]:
    """The true match sets, faces being so many times as far apart."""
    apart = times * np.linalg.norm(encodings[:, None] - encodings[None], axis=2)
    return {
        sha(pictures[one]): {sha(pictures[other]) for other in np.flatnonzero(row <= 0.6)}
        - {sha(pictures[one])}
        for one, row in enumerate(apart)
    }


def test_another_encoder_takes_over_and_back_without_a_gap(
    tmp_path: Path, redis_server: RedisServer, rabbitmq_server: RabbitServer
) -> None:
    rng = np.random.default_rng(3)
    encodings = pictures_of(rng, people(rng, 1)[0], 7)
    # At distances of 0.01 and 0.4: twice that is near enough, and is not.
    encodings[[1, 5]] = encodings[0] + np.float32([[0.001], [0.035]])
    pictures = [planted_picture(one[None]) for one in encodings]
    in_folder, at_url, changed, lost, erased, later, last = pictures
    folder = tmp_path / "pictures" / "below"
    folder.mkdir(parents=True)
    (folder / "another-name.png").write_bytes(in_folder)
    client = connect(redis_server.url)
    reencoding = RedisReencoding(client)
    with (
        PictureServer() as web,
        Cluster(
            tmp_path,
            redis_server.url,
            rabbitmq_server.url,
            workers=1,
            encoder=PLANTED,
            fetch_allow=f"127.0.0.1:{web.port}",
            sweep_age=NO_SWEEPS,
        ) as cluster,
    ):
        cluster.own["worker-2"] = {"encoder": OTHER_PLANTED}
        for name, picture in (("a.png", in_folder), ("lost.png", lost), ("gone.png", erased)):
            submit(cluster, name, picture)
        submit_url(cluster, web.serve(at_url, path="/at"))
        submit_url(cluster, web.serve(changed, path="/changed"))
        web.serve(b"something else", path="/changed")

        refused = cluster.command("reindex", "--encoder", PLANTED)
        assert (refused.returncode, "(same_model)" in refused.stderr) == (1, True), refused.stderr

        options = ("--encoder", OTHER_PLANTED, "--pictures", str(folder.parent))
        with reindexing(cluster, *options) as said:
            eventually(lambda: reencoding.editions().other, "another edition is begun", 120)
            cluster.start("index-2")
            cluster.start("worker-2")
            submit(cluster, "later.png", later)
            assert requests.delete(f"{cluster.url}/v1/images/{sha(erased)}", timeout=60).ok
            truth = near([*pictures[:4], later], encodings[[0, 1, 2, 3, 5]], 1)
            assert matches(cluster, in_folder).keys() == truth[sha(in_folder)]
        outcome = said[0]
        assert outcome["status"] == 1, outcome
        missing = {one["image"]: one["code"] for one in outcome["missing"]}
        assert missing == {sha(lost): "no_source", sha(changed): "changed"}
        assert "of the images are missing" in outcome["stopped"]
        assert outcome["fsck"]["findings"] == []
        assert outcome["parity"]["moved"] > 0
        assert outcome["parity"]["lost"] > 0
        served = {sha(one): matches(cluster, one) for one in pictures[:4]}
        assert {one: found.keys() for one, found in served.items()} == {
            one: truth[one] for one in served
        }
        cluster.fsck()

        assert cluster.command("reindex", "switch").returncode == 0
        here = [in_folder, at_url, later]
        truth = near(here, encodings[[0, 1, 5]], 2)
        assert {sha(one): matches(cluster, one).keys() for one in here} == truth
        assert truth[sha(in_folder)], "some still match"
        told = image(cluster, lost).json()
        assert (told["state"], told["code"]) == ("failed", "no_source")
        assert image(cluster, erased).status_code == 410
        submit(cluster, "lost.png", lost)
        submit(cluster, "last.png", last)
        # What ends in the one ends in the other without a sweep.
        eventually(lambda: not reencoding.lag(0).behind, "the former edition has followed")
        cluster.fsck()

        assert cluster.command("reindex", "rollback").returncode == 0
        truth = near([*pictures[:4], later, last], encodings[[0, 1, 2, 3, 5, 6]], 1)
        for one in pictures[:4]:
            found = matches(cluster, one)
            assert found.keys() == truth[sha(one)]
            assert {to: found[to] for to in served[sha(one)]} == served[sha(one)]

        assert cluster.command("reindex", "switch").returncode == 0
        assert cluster.command("reindex", "drop").returncode == 0
        eventually(lambda: not cluster.alive("worker-1"), "the former worker ends", 30)
        cluster.stop("worker-1")
        left = client.keys("fm:{default}:[^~]*")
        shared = (b"editions", b"submissions", b"fsck", b"happened")
        assert set(left) <= {b"fm:{default}:" + name for name in shared}
        picture = planted_picture(encodings[:1] + np.float32(0.002))
        submit(cluster, "new.png", picture)
        assert sha(in_folder) in matches(cluster, picture)
        cluster.fsck()
    client.close()
