"""A RabbitMQ as in the manifests answers what KEDA asks it: how many messages there are, of which
queues, those in hand too."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from missing import missing
from rabbit_server import RabbitServer
from waiting import eventually

from benchmarks.servers import ServerMissingError, free_port
from facematch.brokers import open_broker
from facematch.job import REINDEX_QUEUE, Message, RangeMessage, queue_of

ROOT = Path(__file__).parents[2]
_USER, _PASSWORD = "facematch", "secret"


class ManifestRabbit(RabbitServer):
    """With rabbitmq.conf as it is in a cluster, its plugin, and its user."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        told = (ROOT / "k8s/components/rabbitmq/rabbitmq.conf").read_text()
        self.management = free_port()
        port = self._run.url.rpartition(":")[2].partition("/")[0]
        for option, there, here in (
            ("listeners.tcp.default", "5672", port),
            ("management.tcp.port", "15672", str(self.management)),
        ):
            assert f"{option} = {there}\n" in told
            told = told.replace(f"{option} = {there}\n", f"{option} = {here}\n")
        (folder / "rabbitmq.conf").write_text(told)
        (folder / "plugins").write_text("[rabbitmq_management].\n")

    @property
    def url(self) -> str:
        return super().url.replace("guest:guest", f"{_USER}:{_PASSWORD}")

    def _environment(self) -> dict[str, str]:
        user = {"RABBITMQ_DEFAULT_USER": _USER, "RABBITMQ_DEFAULT_PASS": _PASSWORD}
        return super()._environment() | user

    def messages(self, metadata: dict[str, str]) -> int:
        """What KEDA's scaler makes of a trigger's metadata: as its documentation says."""
        host = metadata["host"].replace(
            "rabbitmq.facematch.svc:15672", f"127.0.0.1:{self.management}"
        )
        name, asked = metadata["queueName"], {}
        if metadata.get("useRegex") == "true":
            assert metadata["operation"] == "sum"
            asked = {"use_regex": "true", "pagination": "false", "name": name, "page": "1"}
        answer = requests.get(
            f"{host}api/queues/%2F" + ("" if asked else f"/{name}"),
            params=asked,
            auth=(_USER, _PASSWORD),
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        queues = answer.json()["items"] if asked else [answer.json()]
        return sum(queue.get("messages", 0) for queue in queues)


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[ManifestRabbit]:
    try:
        server = ManifestRabbit(tmp_path)
    except ServerMissingError as error:
        missing(str(error))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.mark.long  # the management plugin tells of quorum queues after some ten seconds
def test_what_keda_asks_counts_all_jobs_and_ranges_those_in_hand_too(
    rabbit: ManifestRabbit,
) -> None:
    scaled, _ = yaml.safe_load_all((ROOT / "k8s/base/scaling.yaml").read_text())
    jobs, ranges = [one["metadata"] for one in scaled["spec"]["triggers"]]
    brokers = [open_broker(rabbit.url, queue=queue_of(number)) for number in (0, 3)]
    reindex = open_broker(rabbit.url, queue=REINDEX_QUEUE)
    try:
        for number in range(6):
            brokers[number % 2].publish(Message(f"job-{number}"))
        for first in (1, 2):
            reindex.publish(RangeMessage("reindex", first))
        in_hand = brokers[1].receive(5)
        assert in_hand is not None
        eventually(lambda: rabbit.messages(jobs) == 6, "all jobs are counted", 60)
        eventually(lambda: rabbit.messages(ranges) == 2, "all ranges are counted", 60)
        in_hand.ack()
        eventually(lambda: rabbit.messages(jobs) == 5, "what is done is not", 60)
    finally:
        for broker in (*brokers, reindex):
            broker.close()
    assert re.fullmatch(jobs["queueName"], queue_of(0))
