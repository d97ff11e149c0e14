"""Several collections with one Milvus, from outside: two workers, RabbitMQ and Redis."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from cluster import Cluster
from milvus_server import MilvusServer
from planted import PLANTED, people, pictures_of, planted_picture
from waiting import eventually

from facematch.client import Client
from facematch.faces import image_hash
from facematch.milvus import Milvus

RNG = np.random.default_rng(12)
PICTURES = [planted_picture(encoding[None]) for encoding in pictures_of(RNG, people(RNG, 1)[0], 16)]
#: Some are in two collections, and are two images then.
THERE = {"default": range(6), "holiday": range(3, 9), "other-one": range(6, 12)}

pytestmark = pytest.mark.long


class Service:
    """A cluster, a client of each collection, and which pictures are there."""

    def __init__(self, cluster: Cluster, milvus: MilvusServer, stack: ExitStack) -> None:
        self.cluster, self.milvus = cluster, milvus
        self.clients = {
            name: stack.enter_context(Client(cluster.url, collection=name)) for name in THERE
        }
        self.there: dict[str, set[int]] = {name: set() for name in THERE}

    def submit(self, name: str, number: int) -> None:
        self.clients[name].submit(PICTURES[number], f"{number}.png")
        self.there[name].add(number)

    def is_right(self) -> None:
        """Every image matches the others of its collection, and none else."""
        for name, numbers in self.there.items():
            for number in numbers:
                image = image_hash(PICTURES[number])

                def done(name: str = name, image: str = image) -> bool:
                    return self.clients[name].image(image).state == "done"

                eventually(done, f"{number} in {name} is done", 60)
            for number in numbers:
                found = self.clients[name].all_matches(image_hash(PICTURES[number]))
                others = {image_hash(PICTURES[other]) for other in numbers - {number}}
                assert {match.hash for match in found} == others, (name, number)

    def is_fed(self) -> None:
        """Milvus has each collection to the end of its log, and nothing that was erased."""
        for name in self.there:

            def fed(name: str = name) -> bool:
                told = self.cluster.command("--json", "--collection", name, "index", "status")
                return told.returncode == 0 and json.loads(told.stdout)["behind"] == 0

            eventually(fed, f"{name} is fed", 60)
            verified = self.cluster.command("--collection", name, "index", "verify")
            assert verified.returncode == 0, verified.stdout + verified.stderr

    def held(self, name: str) -> int:
        """Generations of faces that Milvus holds of a collection."""
        with closing(Milvus(self.milvus.url, name)) as generations:
            return len(generations.names())


@pytest.fixture
def service(
    tmp_path: Path, redis_url: str, rabbitmq_url: str, milvus_server: MilvusServer
) -> Iterator[Service]:
    settings = {"encoder": PLANTED, "index_url": milvus_server.url}
    with (
        Cluster(tmp_path, redis_url, rabbitmq_url, **settings) as cluster,
        ExitStack() as stack,
    ):
        yield Service(cluster, milvus_server, stack)
        cluster.fsck()


def test_collections_in_one_milvus_are_fed_erased_and_made_again(service: Service) -> None:
    for name in ("holiday", "other-one"):
        service.clients["default"].collections.create(name)
    for round_ in zip(*THERE.values(), strict=True):
        for name, number in zip(THERE, round_, strict=True):
            service.submit(name, number)
    service.is_right()
    service.is_fed()

    # Who feeds dies; another goes on for all.
    service.cluster.kill("worker-1")
    for name in THERE:
        service.submit(name, 12)
    service.clients["holiday"].delete(image_hash(PICTURES[8]))
    service.there["holiday"].discard(8)
    service.is_right()
    service.is_fed()
    service.cluster.start("worker-1")

    service.clients["default"].collections.delete("holiday")
    del service.there["holiday"]
    eventually(lambda: service.held("holiday") == 0, "Milvus has forgotten it", 60)
    for name in service.there:
        service.submit(name, 13)
    service.is_right()
    service.is_fed()

    service.there["holiday"] = set()
    service.clients["default"].collections.create("holiday")
    for number in (8, 14, 15):
        service.submit("holiday", number)
    service.is_right()
    service.is_fed()
    assert {name: service.held(name) for name in THERE} == dict.fromkeys(THERE, 1)
