"""FAISS's flat index as it comes, before `index.flat` changes how it computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss

#: From so many queries on it multiplies matrices.
_BLAS_FROM = faiss.cvar.distance_compute_blas_threshold


@contextmanager
def faiss_as_it_comes(threads: int) -> Iterator[None]:
    """FAISS computes so in the context, on so many threads."""
    before, blas = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    faiss.omp_set_num_threads(threads)
    faiss.cvar.distance_compute_blas_threshold = _BLAS_FROM
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
        faiss.cvar.distance_compute_blas_threshold = blas
