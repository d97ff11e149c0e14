"""Vector operations that LLVM does not find by itself, for code compiled by facematch.compiled.

They are written in LLVM's own language, check no bounds, and are for compiled code alone.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

#: Faces of a block, whose sums `near_of_block` computes at once.
LANES = 16

_BYTE, _SHORT, _WORD = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_FOUR_FLOATS = ir.VectorType(ir.FloatType(), 4)
_BYTES = ir.VectorType(_BYTE, 2 * LANES)
_SHORTS = ir.VectorType(_SHORT, 2 * LANES)
_WORDS = ir.VectorType(_WORD, LANES)


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
#: * size` for float32 in one operation. It may be fused, so it is for scores that may be off.
add4 = cast(Callable[[Floats, int | np.int64, Floats, int, np.float32], None], intrinsic(_add4))


def _prefetch(typing_context: object, array: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _BYTE.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, _WORD, _WORD, _WORD])
        fetch = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
        # To be read, to be kept, and data.
        builder.call(fetch, [address, *(ir.Constant(_WORD, number) for number in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


#: `prefetch(array, index)` has the processor fetch `array.ravel()[index]`, if there is one.
prefetch = cast(Callable[[NDArray[Any], int], None], intrinsic(_prefetch))


def best_multiplier() -> str:
    """The name of the fastest way to multiply that this processor has, of MULTIPLIERS."""
    config: Any = numba.config
    if config.CPU_NAME or config.CPU_FEATURES:  # compiled for another one
        return "plain"
    features = binding.get_host_cpu_features()
    return next((name for name in ("avx512bw", "avx2") if features.get(name)), "plain")


def _multiply_plain(builder: Any, codes: Any, weights: Any) -> Any:
    """Products of two vectors of 16-bit numbers, added in pairs."""
    products = []
    for first in (0, 1):
        chosen = _constant(range(first, 2 * LANES, 2))
        one, other = (
            builder.sext(builder.shuffle_vector(numbers, _nothing(numbers), chosen), _WORDS)
            for numbers in (codes, weights)
        )
        products.append(builder.mul(one, other))
    return builder.add(*products)


def _multiply_avx512(builder: Any, codes: Any, weights: Any) -> Any:
    kind = ir.FunctionType(_WORDS, [_SHORTS, _SHORTS])
    multiply = builder.module.declare_intrinsic("llvm.x86.avx512.pmaddw.d.512", fnty=kind)
    return builder.call(multiply, [codes, weights])


def _multiply_avx2(builder: Any, codes: Any, weights: Any) -> Any:
    half = ir.VectorType(_SHORT, LANES)
    kind = ir.FunctionType(ir.VectorType(_WORD, LANES // 2), [half, half])
    multiply = builder.module.declare_intrinsic("llvm.x86.avx2.pmadd.wd", fnty=kind)
    lower, upper = (
        builder.call(
            multiply,
            [
                builder.shuffle_vector(
                    numbers, _nothing(numbers), _constant(range(start, start + LANES))
                )
                for numbers in (codes, weights)
            ],
        )
        for start in (0, LANES)
    )
    return builder.shuffle_vector(lower, upper, _constant(range(LANES)))


#: All give the same numbers. LLVM finds the last two only where nothing is moved out of a loop.
MULTIPLIERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "plain": _multiply_plain,
    "avx2": _multiply_avx2,
    "avx512bw": _multiply_avx512,
}


def near_of_block(pairs: int, multiplier: str) -> Callable[..., int]:
    """`near(codes, block, starts, weights, thresholds, queries, found, count)`, for one block of 16
    faces and so many queries: writes those that are near each other into found from column `count`
    on, and returns the next one.

    `codes` (…, pairs, 16, 2) int8: of each block, for each pair of directions, those of its faces.
    `starts` (…, 16) int32: of each block, what the sums begin with. `weights` (q, pairs, 2) int16
    and `thresholds` (q,) int32: of each query. A face is near where its sum of codes times weights,
    exact as long as it fits, is at least the threshold. `found` (3, n) int32: the query's number,
    that of the face, and how far the sum is above; up to 16 columns behind are overwritten.
    `multiplier`: of MULTIPLIERS.
    """
    multiply = MULTIPLIERS[multiplier]
    write = _compress if multiplier == "avx512bw" else _compress_plain

    def typed(
        typing_context: object,
        codes: Any,
        block: Any,
        starts: Any,
        weights: Any,
        thresholds: Any,
        queries: Any,
        found: Any,
        count: Any,
    ) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def address(array: int, index: Any, kind: Any) -> Any:
                made = context.make_array(signature.args[array])
                data = made(context, builder, arguments[array]).data
                return builder.gep(builder.bitcast(data, kind.as_pointer()), [index])

            def nth_pair(of: Any, pair: int) -> Any:
                groups = builder.mul(of, ir.Constant(of.type, pairs))
                return builder.add(groups, ir.Constant(of.type, pair))

            block, queries, count = arguments[1], arguments[5], arguments[7]
            shorts = []
            for pair in range(pairs):
                codes_ = builder.load(address(0, nth_pair(block, pair), _BYTES), align=1)
                shorts.append(builder.sext(codes_, _SHORTS))
            start = builder.load(address(2, block, _WORDS), align=4)
            first = builder.mul(block, ir.Constant(block.type, LANES))
            faces = _everywhere(builder, builder.trunc(first, _WORD))
            faces = builder.add(faces, _constant(range(LANES)))
            made = context.make_array(signature.args[6])(context, builder, arguments[6])
            columns = builder.extract_value(made.shape, 1)
            next_column = cast(Any, cgutils).alloca_once_value(builder, count)
            with cgutils.for_range(builder, queries) as loop:
                total = start
                for pair, codes_ in enumerate(shorts):
                    weight = builder.load(address(3, nth_pair(loop.index, pair), _WORD), align=2)
                    weight = builder.bitcast(_everywhere(builder, weight), _SHORTS)
                    total = builder.add(total, multiply(builder, codes_, weight))
                least = builder.load(address(4, loop.index, _WORD), align=4)
                above = builder.sub(total, _everywhere(builder, least))
                mask = builder.icmp_signed(">=", total, _everywhere(builder, least))
                bits = builder.bitcast(mask, _SHORT)
                some = builder.icmp_unsigned("!=", bits, ir.Constant(_SHORT, 0))
                with builder.if_then(some, likely=False):
                    column = builder.load(next_column)
                    query = _everywhere(builder, builder.trunc(loop.index, _WORD))
                    for row, values in enumerate((query, faces, above)):
                        place = builder.mul(columns, ir.Constant(columns.type, row))
                        place = builder.add(column, place)
                        write(builder, values, mask, address(6, place, _WORD))
                    more = builder.zext(builder.ctpop(bits), column.type)
                    builder.store(builder.add(column, more), next_column)
            return builder.load(next_column)

        signature = types.intp(
            *(codes, types.intp, starts, weights, thresholds, types.intp, found, types.intp)
        )
        return signature, generate

    return cast(Callable[..., int], intrinsic(typed))


def _compress(builder: Any, values: Any, mask: Any, to: Any) -> None:
    """Write the values with a bit in the mask side by side, and nonsense behind them."""
    kind = ir.FunctionType(_WORDS, [_WORDS, _WORDS, mask.type])
    compress = builder.module.declare_intrinsic("llvm.x86.avx512.mask.compress.v16i32", fnty=kind)
    chosen = builder.call(compress, [values, _nothing(values), mask])
    builder.store(chosen, builder.bitcast(to, _WORDS.as_pointer()), align=4)


def _compress_plain(builder: Any, values: Any, mask: Any, to: Any) -> None:
    """The same without nonsense. Where a processor has it, it may be slower than `_compress`."""
    kind = ir.FunctionType(ir.VoidType(), [_WORDS, to.type, mask.type])
    compress = builder.module.declare_intrinsic("llvm.masked.compressstore.v16i32", fnty=kind)
    builder.call(compress, [values, to, mask])


def _constant(numbers: Iterable[int]) -> Any:
    words = [ir.Constant(_WORD, number) for number in numbers]
    return ir.Constant(ir.VectorType(_WORD, len(words)), words)


def _nothing(vector: Any) -> Any:
    return ir.Constant(vector.type, ir.Undefined)


def _everywhere(builder: Any, word: Any) -> Any:
    """A vector of LANES times the same 32-bit number."""
    one = builder.insert_element(ir.Constant(_WORDS, ir.Undefined), word, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(one, _nothing(one), _constant([0] * LANES))
