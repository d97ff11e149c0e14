"""The compiler: the only home of numba and llvmlite, and of where compiled code is kept.

Importing it raises OSError when the cache folder cannot be written: numba would quietly keep the
code elsewhere, or compile in every process.
"""

import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import llvmlite
import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from worker.cache_folder import cache_folder
from worker.hog.cache import cache_key, own_folder

Floats: TypeAlias = NDArray[np.float32]
_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Where the compiled code of this package is kept: other code, compilers or processors than
#: these have other folders.
FOLDER = cache_folder() / "hog-{}".format(
    cache_key(
        Path(__file__).parent.glob("*.py"),
        [
            *(sys.version, np.__version__, numba.__version__, llvmlite.__version__),
            version("dlib-bin"),
            *(binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()),
        ],
    )
)
own_folder(FOLDER)

_FOUR_FLOATS = ir.VectorType(ir.FloatType(), 4)


def exact(function: _Function) -> _Function:
    """Compile it with every rounding as it is written: no fused multiply-add, no other order."""
    return _compiled(function, fastmath=False)


def fast(function: _Function) -> _Function:
    """Compile it for speed: the order of additions, and how often is rounded, are LLVM's choice."""
    return _compiled(function, fastmath={"contract", "nsz", "reassoc"})


def _compiled(function: _Function, fastmath: bool | set[str]) -> _Function:
    # The folder is taken when a function is decorated; nobody else's code shall go there.
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(FOLDER)
    try:
        made: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath)(
            function
        )
    finally:
        config.CACHE_DIR = before
    # It takes and gives what the function does.
    return cast(_Function, made)


def seal(dispatchers: Iterable[Any]) -> None:
    """From now on these decorated functions, each called once by now, are never compiled.

    Raises RuntimeError when one of them was not in the cache, and so was compiled just now.
    """
    for dispatcher in dispatchers:
        if dispatcher.stats.cache_misses:
            raise RuntimeError(f"{dispatcher.__name__} was not found among the compiled code")
        dispatcher.disable_compile()


def _add4(
    typing_context: object, sums: Any, start: Any, shares: Any, first: Any, size: Any
) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def four_at(array: int) -> Any:
            data = context.make_array(signature.args[array])(context, builder, arguments[array])
            address = builder.gep(data.data, [arguments[array + 1]])
            return builder.bitcast(address, _FOUR_FLOATS.as_pointer())

        sums_at, shares_at = four_at(0), four_at(2)
        sizes = ir.Constant(_FOUR_FLOATS, ir.Undefined)
        for lane in range(4):
            place = ir.Constant(ir.IntType(32), lane)
            sizes = builder.insert_element(sizes, arguments[4], place)
        before, factors = builder.load(sums_at, align=4), builder.load(shares_at, align=4)
        added = builder.fmul(sizes, factors, flags=("contract",))
        builder.store(builder.fadd(before, added, flags=("contract",)), sums_at, align=4)
        return context.get_dummy_value()

    signature = types.void(sums, types.intp, shares, types.intp, types.float32)
    return signature, generate


#: `add4(sums, start, shares, first, size)` is `sums[start : start + 4] += shares[first : first + 4]
#: * size` for float32 in one vector operation, which LLVM does not find by itself. It checks no
#: bounds and may be fused, so it is for scores that may be off. For compiled code alone.
add4 = cast(Callable[[Floats, int | np.int64, Floats, int, np.float32], None], intrinsic(_add4))
