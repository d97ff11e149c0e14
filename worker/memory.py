"""Keeps a process as small as what it holds, where the C library is glibc.

Its allocator gives every thread a heap of its own and keeps what large pictures took. With one
or two heaps, and large blocks mapped and given back by themselves, a worker stays as it was.
"""

import ctypes
import sys

#: Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MEBI = 1 << 20


def give_back_early() -> None:
    """For this process, from now on. Call it before there are threads."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, 4 * _MEBI)
        mallopt(_M_TRIM_THRESHOLD, 16 * _MEBI)
