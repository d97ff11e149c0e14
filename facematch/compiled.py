"""The compiler: with facematch.vector_code the only home of numba and llvmlite.

Code is kept in a folder that is named by what it depends on; see facematch.compiled_cache.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
import numpy as np
from llvmlite import binding

from facematch.cache_folder import cache_folder
from facematch.compiled_cache import cache_key

Function = TypeVar("Function", bound=Callable[..., Any])


def folder_of(name: str, sources: Iterable[Path], versions: Sequence[str] = ()) -> Path:
    """Where the compiled code of these sources is kept: other code, compilers or processors than
    these, or other `versions`, have other folders. Raises OSError when a source cannot be read.
    """
    compiler = (sys.version, np.__version__, numba.__version__, llvmlite.__version__)
    processor = (binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    ours = (Path(__file__), Path(__file__).with_name("vector_code.py"))
    key = cache_key([*ours, *sources], [*compiler, *processor, *versions])
    return cache_folder() / f"{name}-{key}"


def compile_exactly(folder: Path | None) -> Callable[[Function], Function]:
    """Compile a function with every rounding as it is written: no fused multiply-add, no other
    order. It is kept in the folder if there is one."""
    return _compiler(folder, fastmath=False)


def compile_fast(folder: Path | None) -> Callable[[Function], Function]:
    """Compile a function for speed: the order of additions, and how often is rounded, are LLVM's
    choice. It is kept in the folder if there is one."""
    return _compiler(folder, fastmath={"contract", "nsz", "reassoc"})


def _compiler(folder: Path | None, fastmath: bool | set[str]) -> Callable[[Function], Function]:
    def compiled(function: Function) -> Function:
        # The folder is taken when a function is decorated; nobody else's code shall go there.
        config: Any = numba.config
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder or before)
        try:
            made: Any = numba.njit(
                cache=folder is not None, nogil=True, error_model="numpy", fastmath=fastmath
            )(function)
        finally:
            config.CACHE_DIR = before
        # It takes and gives what the function does.
        return cast(Function, made)

    return compiled


def seal(dispatchers: Collection[Any]) -> None:
    """From now on these decorated functions, each called once by now, are never compiled.

    Raises RuntimeError when one of them was not in the cache, and so was compiled just now.
    """
    for dispatcher in dispatchers:
        if dispatcher.stats.cache_misses:
            raise RuntimeError(f"{dispatcher.__name__} was not found among the compiled code")
    close(dispatchers)


def close(dispatchers: Iterable[Any]) -> None:
    """From now on these decorated functions are compiled for no other kinds of arguments than
    those that they were called with; for others they raise TypeError."""
    for dispatcher in dispatchers:
        dispatcher.disable_compile()
