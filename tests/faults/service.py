"""The whole service with its servers, for a unit of a run, and whether it is as it must be."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from answers import is_ready
from cluster import Cluster
from coming_and_going import Ledger
from indexes import asking
from patience import patient
from planted import PLANTED
from rabbit_server import RabbitServer
from servers import RedisServer
from waiting import eventually

from benchmarks.servers import redis_binary
from facematch import fsck
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from faults.book import Outcome

#: So long is waited for work to end once nothing is broken any more.
PATIENCE = 120


class Service:
    """Redis, RabbitMQ, api, workers with an index each; the store is where a link leads."""

    def __init__(
        self, folder: Path, redis: RedisServer, rabbitmq: RabbitServer, workers: int
    ) -> None:
        self.folder, self.redis, self.rabbitmq = folder, redis, rabbitmq
        self._link = folder / "store.sock"
        self.use(redis)
        self.redis_url = f"unix://{self._link}"
        self.cluster = Cluster(
            folder, self.redis_url, rabbitmq.url, workers=workers, encoder=PLANTED
        )
        client = connect(self.redis_url)
        self.client, self.store = client, RedisStore(client)
        self.workers = [f"worker-{number}" for number in range(1, workers + 1)]
        self.indexes = [f"index-{number}" for number in range(1, workers + 1)]

    @property
    def url(self) -> str:
        """Of the api."""
        return self.cluster.url

    def use(self, redis: RedisServer) -> None:
        """Whoever connects from now on gets this one."""
        self.redis = redis
        beside = self._link.with_suffix(".new")
        beside.symlink_to(redis.socket)
        beside.replace(self._link)

    def kill(self, name: str, outcome: Outcome) -> None:
        """kill -9 of a process of the cluster, `redis` or `rabbitmq`, which is started again.

        One that has ended by itself is a violation.
        """
        outcome.counts["redis kills" if name == "redis" else "kills"] += 1
        server = {"redis": self.redis, "rabbitmq": self.rabbitmq}.get(name)
        if server:
            if server.pid is None:
                outcome.violations.append(f"{name} ended by itself")
            server.kill()
            server.start()
            return
        try:
            self.cluster.kill(name)
        except AssertionError as error:
            outcome.violations.append(str(error))
        self.cluster.start(name)

    @contextmanager
    def frozen(self, names: list[str]) -> Iterator[None]:
        """These processes of the cluster stand still for the time of the block."""
        pids = [self.cluster.pid(name) for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def judge(self, ledger: Ledger, outcome: Outcome) -> None:
        """Wait for all work to end; note what was lost and what is not as it must be.

        Raises AssertionError where a process does not run or does not become ready.
        """
        self.cluster.wait_ready()
        wrong, counts = outcome.violations, outcome.counts
        counts["accepted"], counts["erased"] = len(ledger.jobs), len(ledger.erased)
        lost = [job for job in ledger.jobs if self.end_of(job) not in ("done", "erased")]
        counts["lost"] += len(lost)
        wrong += [f"I5: job {job} was accepted and has not ended well" for job in lost]
        gone = self._compare(ledger, wrong)
        if counts["redis kills"]:
            counts["acknowledged"] = len(ledger.jobs) + len(ledger.erased)
            counts["acknowledged lost"] += len(lost) + gone
        self.check(outcome)

    def _compare(self, ledger: Ledger, wrong: list[str]) -> int:
        """How many images that were taken are not there, or were erased and are."""
        gone = 0
        for owner in sorted(set(ledger.person.values())):
            live = ledger.live_of(owner)
            for image in live:
                answer = patient(
                    "GET", f"{self.url}/v1/images/{image}/matches", params={"limit": 10_000}
                )
                if not answer.ok:
                    gone += 1
                    wrong.append(f"I5: {image} was taken and is told with {answer.status_code}")
                    continue
                found = {match["hash"] for match in answer.json()["matches"] or ()}
                if found != live - {image}:
                    missing, surplus = len(live - found) - 1, len(found - live)
                    wrong.append(f"I3: {image} lacks {missing} matches and has {surplus} too many")
        for image in sorted(ledger.erased):
            status = patient("GET", f"{self.url}/v1/images/{image}").status_code
            if status not in (404, 410):
                gone += 1
                wrong.append(f"I4: {image} was erased and is told with {status}")
        return gone

    def end_of(self, job: str) -> str:
        """The state that a job ends in, or is in after two minutes; `lost` if there is none."""

        def ended() -> bool:
            nonlocal state
            answer = patient("GET", f"{self.url}/v1/jobs/{job}", params={"wait": 10})
            state = "lost" if answer.status_code == 404 else str(answer.json()["state"])
            return state not in ("accepted", "indexed")

        state = ""
        with suppress(AssertionError):
            eventually(ended, f"{job} ends", PATIENCE)
        return state

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        snapshot = self.store.snapshot()
        return not (snapshot.accepted or snapshot.pending or snapshot.erasing)

    def wait_for_indexes(self, outcome: Outcome) -> None:
        """Until each is ready at the end of the log, which is a violation if it takes long."""
        for name in self.indexes:
            with asking(self.folder / f"{name}.sock") as index:
                try:
                    eventually(lambda: is_ready(index, self.store), f"{name} is ready", PATIENCE)
                except AssertionError as error:
                    outcome.violations.append(f"I7: {error}")

    def check(self, outcome: Outcome) -> None:
        """fsck, and whether each index is at the end of the log it says."""
        self.wait_for_indexes(outcome)
        try:
            eventually(self.is_idle, "nothing is under way", PATIENCE)
        except AssertionError as error:
            outcome.violations.append(f"I5: {error}")
        for found in fsck.run(self.store).findings:
            outcome.violations.append(f"fsck: {found.invariant}: {found.detail}")
        outcome.counts["fsck runs"] += 1


@contextmanager
def service(workers: int = 2) -> Iterator[Service]:
    """All of it, running and empty, in a folder of its own that goes with it."""
    with ExitStack() as stack:
        # Short, because the names of sockets are.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fm-")))
        redis = RedisServer(redis_binary(), folder / "redis")
        stack.callback(redis.stop)
        redis.start()
        rabbitmq = RabbitServer(folder / "rabbitmq")
        stack.callback(rabbitmq.close)
        rabbitmq.start()
        made = Service(folder, redis, rabbitmq, workers)
        stack.callback(made.client.close)
        stack.enter_context(made.cluster)
        yield made
