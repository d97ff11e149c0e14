"""Keeps the ONNX models that are made of dlib's networks, so that only the first start makes them.

Used by `worker.network` and `worker.mmod`. The models lie in the user's cache folder.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from facematch.cache_folder import cache_folder, write_whole

_DIGEST_BYTES = 32

_log = structlog.get_logger()


def cache_file(name: str) -> Path:
    """Where the model of this name is kept between starts. A model that is built in another way
    has another name: what lies in the caches is then built anew."""
    return cache_folder() / f"{name}.onnx"


def load_graph(cache: Path, build: Callable[[], bytes]) -> bytes:
    """An ONNX model: from the cache, or built and kept there.

    A cache that is damaged is built anew; one that cannot be written is done without. Raises what
    `build` raises.
    """
    with suppress(OSError):
        data = cache.read_bytes()
        graph, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if hashlib.sha256(graph).digest() == digest:
            return graph
        _log.warning("the kept network is damaged and is built anew", file=str(cache))
    graph = build()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache, graph + hashlib.sha256(graph).digest())
    except OSError as error:
        _log.warning("the network cannot be kept for the next start", reason=str(error))
    return graph
