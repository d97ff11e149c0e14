"""The local modes of vector databases: qdrant's and Milvus's, as their clients come."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import Rows, driver
from facematch.faces import DIMENSIONS, Encodings

_PORTION = 5000
_FACES = "faces"
#: Milvus answers with no more than this; asking for more costs more, so that it is asked for few
#: first.
_FIRST, _MOST = 256, 16_384


class Qdrant:
    """qdrant-client's local mode, in memory: numpy, exact."""

    def __init__(self, folder: Path) -> None:
        del folder
        self._models = driver("qdrant_client.models")
        self._client: Any = driver("qdrant_client").QdrantClient(":memory:")
        self._faces = 0

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        self._faces = len(encodings)
        euclidean = self._models.Distance.EUCLID
        parameters = self._models.VectorParams(size=DIMENSIONS, distance=euclidean)
        self._client.create_collection(_FACES, vectors_config=parameters)
        self._client.upload_collection(
            _FACES, vectors=encodings, ids=range(self._faces), batch_size=_PORTION
        )

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""
        del setting
        exactly = self._models.SearchParams(exact=True)
        answer = self._client.query_points(
            _FACES,
            query=query,
            limit=self._faces,
            score_threshold=radius,
            search_params=exactly,
            with_payload=False,
        )
        return np.array([point.id for point in answer.points], dtype=np.int64)

    @property
    def bytes(self) -> int | None:
        """See PeerIndex."""
        return None

    def close(self) -> None:
        """See PeerIndex."""
        self._client.close()


class Milvus:
    """milvus-lite with an index of type FLAT, which is exact."""

    def __init__(self, folder: Path) -> None:
        self._pymilvus = driver("pymilvus")
        self._client: Any = self._pymilvus.MilvusClient(str(folder / "milvus.db"))

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        types = self._pymilvus.DataType
        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", types.INT64, is_primary=True)
        schema.add_field("encoding", types.FLOAT_VECTOR, dim=DIMENSIONS)
        flat = self._client.prepare_index_params()
        flat.add_index("encoding", index_type="FLAT", metric_type="L2")
        self._client.create_collection(
            _FACES, schema=schema, index_params=flat, consistency_level="Strong"
        )
        for start in range(0, len(encodings), _PORTION):
            block = encodings[start : start + _PORTION]
            faces = [{"id": start + row, "encoding": one} for row, one in enumerate(block)]
            self._client.insert(_FACES, faces)
        self._client.flush(_FACES)

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""
        del setting
        limit = _FIRST
        while True:
            found = self._client.search(
                _FACES,
                data=[query],
                anns_field="encoding",
                limit=limit,
                search_params={"metric_type": "L2", "params": {"radius": radius**2}},
            )[0]
            if len(found) < limit or limit == _MOST:
                return np.array([face["id"] for face in found], dtype=np.int64)
            limit = min(4 * limit, _MOST)

    @property
    def bytes(self) -> int | None:
        """See PeerIndex."""
        return None

    def close(self) -> None:
        """See PeerIndex."""
        self._client.close()
