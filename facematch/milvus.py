"""Generations in Milvus: the only module that imports `pymilvus`. See `facematch.generations`.

facematch_<collection>_places               the places of all generations, one a row
    key       VARCHAR, primary              Place.encode()
    nothing   FLOAT_VECTOR 2                for Milvus, which wants a vector in everything
facematch_<collection>_<epoch>_<word>       a generation: one face a row
    key       VARCHAR, primary              <face id>:<word about its history>
    position  INT64                         of its image, for filters
    encoding  FLOAT_VECTOR 128              FLAT: every face is compared; L2: squared distances
"""

import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import grpc
import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from facematch.errors import Misconfigured, Unavailable
from facematch.faces import DIMENSIONS, FACES_PER_POSITION, Encodings, FaceIds
from facematch.generations import Place

_FORM = "a Milvus URL is milvus+http://host:19530 or milvus+https://user:password@host"
_KEY_LENGTH = 512
_ROWS_AT_ONCE = 2000
_POSITIONS_AT_ONCE = 500
_PORTION = 10_000
#: Milvus's own codes. Not loaded is what collections are after a restart of milvus-lite.
_NOT_FOUND, _NOT_LOADED = 100, 101

# It logs, with a traceback, every error that it also raises.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

_Result = TypeVar("_Result")


class Milvus:
    """See facematch.generations.Generations. Connected on first use; safe to share."""

    def __init__(self, url: str, collection: str = "default", timeout: float = 30.0) -> None:
        """`url`: see `address`. `timeout`: seconds for one answer. Raises Misconfigured."""
        self._uri, self._token, self._database = address(url)
        self._prefix = f"facematch_{re.sub('[^A-Za-z0-9]', _escaped, collection)}_"
        self._places = f"{self._prefix}places"
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: MilvusClient | None = None
        self._known: set[str] = set()

    # -- places

    def places(self) -> list[Place]:
        """See Generations."""
        name = self._places
        if not self._there(name):
            return []
        return [Place.decode(key) for key in self._query(name, 'key != ""', "key")]

    def add_place(self, place: Place) -> None:
        """See Generations."""
        name = self._places
        if not self._there(name):
            try:
                self._create(name, "nothing", 2)
            except Unavailable:
                # Somebody else may have made it at the same moment.
                if not self._there(name):
                    raise
        self._upsert(name, [{"key": place.encode(), "nothing": [0.0, 0.0]}])

    def forget(self, places: Sequence[Place]) -> None:
        """See Generations."""
        name = self._places
        keys = [place.encode() for place in places]
        if keys and self._there(name):
            self._read(name, lambda client: client.delete(name, ids=keys, timeout=self._timeout))

    # -- generations

    def names(self) -> list[str]:
        """See Generations."""
        form = re.compile(re.escape(self._prefix) + "[0-9a-f]{8}_[0-9a-f]{8}")
        names = self._do(lambda client: client.list_collections(timeout=self._timeout))
        return [name for name in names if form.fullmatch(name)]

    def create(self, epoch: str) -> str:
        """See Generations."""
        word = re.sub("[^0-9a-f]", "", epoch)[:8].ljust(8, "0")
        name = f"{self._prefix}{word}_{secrets.token_hex(4)}"
        self._create(name, "encoding", DIMENSIONS, position=DataType.INT64)
        return name

    def drop(self, generation: str) -> None:
        """See Generations."""
        self._do(lambda client: client.drop_collection(generation, timeout=self._timeout))

    # -- faces

    def add(
        self, generation: str, ids: FaceIds, encodings: Encodings, histories: Sequence[str]
    ) -> None:
        """See Generations."""
        rows = [
            {"key": f"{face}:{history}", "position": face // FACES_PER_POSITION, "encoding": row}
            for face, row, history in zip(ids.tolist(), encodings, histories, strict=True)
        ]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            self._upsert(generation, rows[start : start + _ROWS_AT_ONCE])

    def remove(self, generation: str, positions: Sequence[int]) -> None:
        """See Generations."""
        for start in range(0, len(positions), _POSITIONS_AT_ONCE):
            some = ", ".join(map(str, positions[start : start + _POSITIONS_AT_ONCE]))
            self._delete(generation, f"position in [{some}]")

    def search(
        self, generation: str, encodings: Encodings, squared: float, low: int, high: int, limit: int
    ) -> list[FaceIds]:
        """See Generations."""
        answers = self._read(
            generation,
            lambda client: client.search(
                generation,
                data=list(encodings),
                anns_field="encoding",
                filter=f"position >= {low} and position < {high}",
                limit=limit,
                search_params={"metric_type": "L2", "params": {"radius": squared}},
                output_fields=["key"],
                consistency_level="Strong",
                timeout=self._timeout,
            ),
        )
        return [_face_ids(hit["key"] for hit in hits) for hits in answers]

    def held(self, generation: str) -> Iterator[FaceIds]:
        """See Generations."""
        rows = self._read(
            generation,
            lambda client: client.query_iterator(
                generation,
                batch_size=_PORTION,
                filter="position >= 0",
                output_fields=["key"],
                consistency_level="Strong",
                timeout=self._timeout,
            ),
        )
        while portion := self._do(lambda _: rows.next()):
            yield _face_ids(row["key"] for row in portion)

    def count(self, generation: str) -> int:
        """See Generations."""
        return int(self._query(generation, "", "count(*)")[0])

    def close(self) -> None:
        """See Generations."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    # -- inside

    def _query(self, name: str, which: str, field: str) -> list[Any]:
        """One field of all rows that pass a filter."""
        rows = self._read(
            name,
            lambda client: client.query(
                name,
                filter=which,
                output_fields=[field],
                consistency_level="Strong",
                timeout=self._timeout,
            ),
        )
        return [row[field] for row in rows]

    def _upsert(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        self._do(lambda client: client.upsert(name, rows, timeout=self._timeout))

    def _delete(self, name: str, which: str) -> None:
        self._read(
            name,
            lambda client: client.delete(
                name, filter=which, consistency_level="Strong", timeout=self._timeout
            ),
        )

    def _there(self, name: str) -> bool:
        """Whether a collection is there; once it is, it is not asked for again."""
        if name not in self._known:
            if not self._do(lambda client: client.has_collection(name, timeout=self._timeout)):
                return False
            self._known.add(name)
        return True

    def _create(self, name: str, vector: str, size: int, **scalars: DataType) -> None:
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("key", DataType.VARCHAR, max_length=_KEY_LENGTH, is_primary=True)
        for field, kind in scalars.items():
            schema.add_field(field, kind)
        schema.add_field(vector, DataType.FLOAT_VECTOR, dim=size)
        index = MilvusClient.prepare_index_params()
        index.add_index(vector, index_type="FLAT", metric_type="L2")
        self._do(
            lambda client: client.create_collection(
                name,
                schema=schema,
                index_params=index,
                consistency_level="Strong",
                timeout=self._timeout,
            )
        )

    def _read(self, name: str, ask: Callable[[MilvusClient], _Result]) -> _Result:
        """`ask`, once more when the collection had to be loaded first."""
        try:
            return self._do(ask)
        except Unavailable as error:
            cause = error.__cause__
            if not isinstance(cause, MilvusException) or cause.code != _NOT_LOADED:
                raise
        self._do(lambda client: client.load_collection(name, timeout=self._timeout))
        return self._do(ask)

    def _do(self, ask: Callable[[MilvusClient], _Result]) -> _Result:
        try:
            return ask(self._connected())
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            if isinstance(error, MilvusException) and error.code == _NOT_FOUND:
                self._known.clear()  # somebody may have emptied Milvus
            raise Unavailable("index_unavailable", f"Milvus: {_reason(error)}") from error

    def _connected(self) -> MilvusClient:
        with self._lock:
            if self._client is None:
                self._client = MilvusClient(
                    self._uri,
                    token=self._token,
                    db_name=self._database,
                    timeout=self._timeout,
                    dedicated=True,
                )
            return self._client


def address(url: str) -> tuple[str, str, str]:
    """(URI, `user:password` or "", database or "") in `milvus+http://host:port/database`, also with
    https and `user:password@`. Raises Misconfigured, which does not quote it, for any other."""
    try:
        parts = urlsplit(url.removeprefix("milvus+"))
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise Misconfigured(_FORM) from None
    known = url.startswith("milvus+") and parts.scheme in ("http", "https") and parts.hostname
    if not known or parts.query or parts.fragment or "/" in parts.path.strip("/"):
        raise Misconfigured(_FORM)
    token = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".strip(":")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}{port}", token, parts.path.strip("/")


def _escaped(character: re.Match[str]) -> str:
    text = character.group()
    return "__" if text == "_" else f"_{ord(text):x}_"


def _face_ids(keys: Iterator[str]) -> FaceIds:
    return np.array([int(key.partition(":")[0]) for key in keys], dtype=np.int64)


def _reason(error: Exception) -> str:
    if isinstance(error, MilvusException):
        return " ".join(str(error.message).split())
    if isinstance(error, grpc.Call):
        return f"{error.code().name.lower()}: {error.details()}"
    return type(error).__name__
