"""A real Milvus for tests: `milvus-lite server`, over the protocol that a cluster speaks."""

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from pymilvus import MilvusClient
from servers import Server

from benchmarks.servers import ServerMissingError, free_port


class MilvusServer(Server):
    """`milvus-lite server`. It takes its time to start, so one serves a whole run."""

    boot_seconds = 60.0

    def __init__(self, folder: Path) -> None:
        """Raises ServerMissingError."""
        if importlib.util.find_spec("milvus_lite") is None:
            raise ServerMissingError("milvus-lite is not installed (pip install -e '.[dev]')")
        super().__init__(folder)
        self.port = free_port()

    @property
    def url(self) -> str:
        """As a setting names it."""
        return f"milvus+http://127.0.0.1:{self.port}"

    def empty(self) -> None:
        """Drop every collection."""
        client = MilvusClient(self.url.removeprefix("milvus+"), timeout=10, dedicated=True)
        for name in client.list_collections():
            client.drop_collection(name)
        client.close()

    def wipe(self) -> None:
        """See Server."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _command(self) -> Sequence[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [
            *(sys.executable, "-m", "milvus_lite", "server"),
            *("--data-dir", str(self.folder / "data"), *where),
        ]

    def _answers(self) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=0.2)
            except grpc.FutureTimeoutError:
                return False
        return True
