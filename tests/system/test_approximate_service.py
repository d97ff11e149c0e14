"""The service with an approximate index: faster in a large collection, and honest about it."""

import hashlib
import json
import secrets
from pathlib import Path

import numpy as np
import requests
from cluster import Cluster
from histories import add
from indexes import asking, get, up
from planted import PLANTED, people, pictures_of, planted_picture
from prometheus_client.parser import text_string_to_metric_families
from waiting import eventually

from facematch.faces import Encodings
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import Committed, Link, State
from index.ivf import TRAIN_FROM

_EACH = 250
_INDEX = "facematch_index_"


def fill(url: str, rng: np.random.Generator) -> Encodings:
    """A collection of just enough faces: two of each person, both in one image. One of them."""
    with connect(url) as client:
        store = RedisStore(client)
        store.create("planted", 0.6)
        for number in range(TRAIN_FROM // _EACH + 1):
            persons = people(rng, _EACH // 2)
            faces = np.concatenate([pictures_of(rng, person, 2) for person in persons])
            position = add(store, str(number), faces)
            entry = store.log(position - 1, 1).entries[0]
            place = Committed(State.INDEXED, position, entry.nonce)
            seen, token = store.collection().tail, secrets.token_hex(4)
            store.link(Link(entry.image, place, seen, token, 0, (), last=True))
    return faces[0]


def metric(path: Path, name: str) -> float | None:
    """Of the default collection; None where there is none."""
    families = text_string_to_metric_families(get(path, "/metrics")[1].decode())
    samples = [sample for family in families for sample in family.samples]
    found = [sample.value for sample in samples if sample.name == _INDEX + name]
    return found[0] if found else None


def submit(cluster: Cluster, picture: bytes) -> dict[str, object]:
    """Submit a picture, and wait for its matches."""
    image = hashlib.sha256(picture).hexdigest()
    requests.post(f"{cluster.url}/v1/images", params={"name": "a"}, data=picture, timeout=60)
    answers: list[requests.Response] = []

    def done() -> bool:
        matches = f"{cluster.url}/v1/images/{image}/matches"
        answers.append(requests.get(matches, params={"wait": 5}, timeout=60))
        return answers[-1].status_code == 200

    eventually(done, "it is done", 60)
    return dict(answers[-1].json())


def test_answers_say_that_they_may_lack_matches_and_how_much_is_found_is_measured(
    redis_url: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(21)
    person = fill(redis_url, rng)
    settings = {"encoder": PLANTED, "index_kind": "ivf", "index_probes": "1"}
    pictures = [planted_picture(face[None]) for face in pictures_of(rng, person, 12)]
    with Cluster(tmp_path, redis_url, redis_url, workers=1, **settings) as cluster:
        path = tmp_path / "index-1.sock"
        with asking(path) as sidecar:
            up(sidecar)
        eventually(lambda: metric(path, "exact") == 0, "it is trained", 120)
        answers = [submit(cluster, picture) for picture in pictures]
        assert all(answer["exact"] is False for answer in answers)
        eventually(lambda: metric(path, "faces") == (TRAIN_FROM // _EACH + 1) * _EACH + 12)
        printed = cluster.command("match", str(answers[0]["hash"]))
        assert "approximate" in printed.stdout
        report = json.loads(cluster.command("--json", "fsck").stdout)
        assert {finding["invariant"] for finding in report["findings"]} <= {"approximate"}
        eventually(lambda: metric(path, "recall") is not None, "it has been measured", 60)
        status = json.loads(get(path, "/status")[1])["collections"]["default"]
        assert not status["exact"]
        assert 0 <= status["recall"] <= 1
