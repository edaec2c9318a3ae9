"""The few machine-level operations the kernels are built on, as numba intrinsics and inlined functions.

A byte-at-a-time loop over text runs at about 130 MB/s; comparing 64 bytes at once and turning the answer into a 64-bit
mask runs at several GB/s. numba has no vector type, so the masks are written here in LLVM's own terms, which lower to
AVX-512, AVX2 or NEON as the machine has them. All loads may be unaligned and may look up to 64 bytes past the last
document, which is what `corpus.buffers.PADDING` is for.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

_U64 = np.uint64
MIX_A = _U64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: Knuth's multiplicative hashing
MIX_B = _U64(0xFF51AFD7ED558CCD)  # MurmurHash3 fmix64, first constant
MIX_C = _U64(0xC4CEB9FE1A85EC53)  # MurmurHash3 fmix64, second constant
LOWER = _U64(0x2020202020202020)  # sets bit 5 of each byte: ASCII letters become lower case
NO_FOLD = _U64(0)

# A kernel that is called a word at a time and makes no array: numba then counts no references to its arguments, which
# is an atomic operation for each array of each call and takes half of the time of splitting Chinese.
kernel = njit(nogil=True, cache=True, _nrt=False)


def _load(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """LLVM for one unaligned load of `kind` at byte `index` of a uint8 array."""
    pointer = builder.gep(context.make_array(array_type)(context, builder, array).data, [index])
    value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    value.align = 1
    return value


@intrinsic
def load64(typingctx: Any, data: Any, index: Any) -> Any:
    """`load64(data, index)`: the 8 bytes at `data[index:]` as a little-endian uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        return _load(context, builder, signature.args[0], args[0], at, ir.IntType(64))

    return types.uint64(data, index), codegen


@intrinsic
def word_masks(typingctx: Any, data: Any, index: Any) -> Any:
    """`word_masks(data, index) -> (word, high)`: two 64-bit masks over the 64 bytes at `data[index:]`.

    Bit i of `word` is set where byte i is an ASCII letter, digit, underscore, or at least 0x80; bit i of `high` where
    it is at least 0x80.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), 64)

        def all_lanes(value: int) -> Any:
            return ir.Constant(vector, [value] * 64)

        at = context.cast(builder, args[1], signature.args[1], types.intp)
        byte = _load(context, builder, signature.args[0], args[0], at, vector)
        lower = builder.or_(byte, all_lanes(0x20))
        letter = builder.icmp_unsigned("<", builder.sub(lower, all_lanes(ord("a"))), all_lanes(26))
        digit = builder.icmp_unsigned("<", builder.sub(byte, all_lanes(ord("0"))), all_lanes(10))
        underscore = builder.icmp_unsigned("==", byte, all_lanes(ord("_")))
        high = builder.icmp_signed("<", byte, all_lanes(0))
        word = builder.or_(builder.or_(letter, digit), builder.or_(underscore, high))
        masks = [builder.bitcast(mask, ir.IntType(64)) for mask in (word, high)]
        return context.make_tuple(builder, signature.return_type, masks)

    return types.UniTuple(types.uint64, 2)(data, index), codegen  # type: ignore[attr-defined]


@intrinsic
def newline_mask(typingctx: Any, data: Any, index: Any) -> Any:
    """`newline_mask(data, index)`: bit i is set where byte i of the 64 bytes at `data[index:]` is a line feed."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), 64)
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        byte = _load(context, builder, signature.args[0], args[0], at, vector)
        mask = builder.icmp_unsigned("==", byte, ir.Constant(vector, [ord("\n")] * 64))
        return builder.bitcast(mask, ir.IntType(64))

    return types.uint64(data, index), codegen


@intrinsic
def range_mask(typingctx: Any, data: Any, index: Any, first: Any, count: Any) -> Any:
    """`range_mask(data, index, first, count)`: bit i is set where byte i of the 64 bytes at `data[index:]` is one of
    the `count` values from `first` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), 64)

        def all_lanes(value: Any) -> Any:
            lane = builder.insert_element(
                ir.Constant(vector, ir.Undefined), builder.trunc(value, ir.IntType(8)), ir.Constant(ir.IntType(32), 0)
            )
            return builder.shuffle_vector(lane, lane, ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64))

        at = context.cast(builder, args[1], signature.args[1], types.intp)
        byte = _load(context, builder, signature.args[0], args[0], at, vector)
        inside = builder.icmp_unsigned("<", builder.sub(byte, all_lanes(args[2])), all_lanes(args[3]))
        return builder.bitcast(inside, ir.IntType(64))

    return types.uint64(data, index, types.int64, types.int64), codegen


@intrinsic
def trailing_zeros(typingctx: Any, value: Any) -> Any:
    """`trailing_zeros(value)`: the index of the lowest set bit of a uint64 (64 if there is none)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@njit(inline="always")
def low_bytes(count):  # type: ignore[no-untyped-def]
    """A mask of the `count` low bytes of a uint64, for count (uint64) in 0..8."""
    return _U64(0xFFFFFFFFFFFFFFFF) >> (_U64(64) - (count << _U64(3))) if count > _U64(0) else _U64(0)


@njit(inline="always")
def rotate_left(value, count):  # type: ignore[no-untyped-def]
    """`value` (uint64) rotated left by `count` (uint64, 1..63) bits."""
    return (value << count) | (value >> (_U64(64) - count))


@njit(inline="always")
def mix64(value):  # type: ignore[no-untyped-def]
    """MurmurHash3's fmix64: a bijection of uint64 in which each input bit changes each output bit half of the time."""
    value ^= value >> _U64(33)
    value *= MIX_B
    value ^= value >> _U64(33)
    value *= MIX_C
    return value ^ (value >> _U64(33))


@kernel
def hash_bytes(data, start, end, fold):  # type: ignore[no-untyped-def]
    """64-bit hash of `data[start:end]` (uint64 positions), each 8 bytes OR-ed with `fold` first.

    `fold` is `LOWER` for a word of ASCII letters, digits and underscores, which hashes it in lower case without
    writing it anywhere, or `NO_FOLD` for bytes as they are.
    """
    length = end - start
    value = _U64(0)
    while end - start > _U64(16):
        value = (value ^ (load64(data, start) | fold)) * MIX_A
        value ^= value >> _U64(32)
        start += _U64(8)
    rest = end - start
    first = min(rest, _U64(8))
    value = (value ^ ((load64(data, start) | fold) & low_bytes(first))) * MIX_A
    value ^= value >> _U64(29)
    last = (load64(data, start + _U64(8)) | fold) & low_bytes(rest - first)
    value = (value ^ last ^ length) * MIX_B
    return value ^ (value >> _U64(32))
