"""The few machine-level operations the kernels are built on, as numba intrinsics and inlined functions.

A byte-at-a-time loop over text runs at about 130 MB/s; comparing 64 bytes at once and turning the answer into a 64-bit
mask runs at several GB/s. numba has no vector type, so the masks are written here in LLVM's own terms, which lower to
AVX-512, AVX2 or NEON as the machine has them. All loads may be unaligned and may look past the last document, which
is what `corpus.io.buffers.PADDING` is for.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

_U64 = np.uint64
MIX_A = _U64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: Knuth's multiplicative hashing
MIX_B = _U64(0xFF51AFD7ED558CCD)  # MurmurHash3 fmix64, first constant
MIX_C = _U64(0xC4CEB9FE1A85EC53)  # MurmurHash3 fmix64, second constant
LOWER = _U64(0x2020202020202020)  # sets bit 5 of each byte: ASCII letters become lower case
NO_FOLD = _U64(0)
LANES = 16  # uint32 numbers in the widest vector
_ALL = 0xFFFFFFFFFFFFFFFF
# Masks by which a word of n <= 16 bytes is read as two numbers of 8: [n + 8] for its first bytes, [n] for the others.
_PART = np.array([0] * 9 + [_ALL >> (64 - 8 * n) for n in range(1, 8)] + [_ALL] * 9, np.uint64)

# A kernel that is called a word at a time and makes no array: numba then counts no references to its arguments, which
# is an atomic operation for each array of each call and takes half of the time of splitting Chinese.
kernel = njit(nogil=True, cache=True, _nrt=False)


def _load(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """LLVM for one unaligned load of `kind` at byte `index` of a uint8 array."""
    value = builder.load(_pointer(context, builder, array_type, array, index, kind))
    value.align = 1
    return value


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """LLVM for a pointer to a `kind` at byte `index` of a uint8 array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


@intrinsic
def load64(typingctx: Any, data: Any, index: Any) -> Any:
    """`load64(data, index)`: the 8 bytes at `data[index:]` as a little-endian uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        return _load(context, builder, signature.args[0], args[0], at, ir.IntType(64))

    return types.uint64(data, index), codegen


@intrinsic
def store64(typingctx: Any, data: Any, index: Any, value: Any) -> Any:
    """`store64(data, index, value)`: write a uint64 to the 8 bytes at `data[index:]`, little-endian."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = _pointer(context, builder, signature.args[0], args[0], at, ir.IntType(64))
        builder.store(args[2], pointer).align = 1
        return context.get_dummy_value()

    return types.void(data, index, types.uint64), codegen


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


@intrinsic
def leading_zeros(typingctx: Any, value: Any) -> Any:
    """`leading_zeros(value)`: how many bits of a uint64 lie above its highest set bit (64 if there is none)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@intrinsic
def count_ones(typingctx: Any, value: Any) -> Any:
    """`count_ones(value)`: how many bits of a uint64 are set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@intrinsic
def affine_minima(
    typingctx: Any, hashes: Any, count: Any, multipliers: Any, increments: Any, first: Any, out: Any
) -> Any:
    """`affine_minima(hashes, count, multipliers, increments, first, out)`: five minima of uint32 numbers.

    For k from `first` on, `out[k]` is the minimum of `multipliers[k] * h + increments[k]` over `hashes[:count]`; count
    is a positive multiple of `LANES`, and past the last k the last is done again. Sixteen hashes are one vector, which
    the compiler, left to itself, does not make of 512 bits (where the machine has no such vectors it makes parts of
    them); five minima share each load, so that nothing waits but for the ports that multiply.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lane, vector = ir.IntType(32), ir.VectorType(ir.IntType(32), LANES)
        hashes, multipliers, increments, out = (
            context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 3, 5)
        )
        last = builder.sub(builder.extract_value(multipliers.shape, 0), ir.Constant(ir.IntType(64), 1))

        def all_lanes(array: Any, index: Any) -> Any:
            value = builder.load(builder.gep(array.data, [index]))
            alone = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(lane, 0))
            return builder.shuffle_vector(alone, alone, ir.Constant(vector, [0] * LANES))

        def smaller(one: Any, other: Any) -> Any:
            return builder.select(builder.icmp_unsigned("<", one, other), one, other)

        indices = [builder.add(args[4], ir.Constant(ir.IntType(64), i)) for i in range(5)]
        indices = [builder.select(builder.icmp_signed("<", index, last), index, last) for index in indices]
        factors = [all_lanes(multipliers, index) for index in indices]
        terms = [all_lanes(increments, index) for index in indices]
        highest = ir.Constant(vector, [0xFFFFFFFF] * LANES)
        minima = [cgutils.alloca_once_value(builder, highest) for _ in indices]
        zero, step = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), LANES)
        with cgutils.for_range_slice(builder, zero, args[1], step, inc=True) as (at, _):
            values = builder.load(builder.bitcast(builder.gep(hashes.data, [at]), vector.as_pointer()))
            values.align = 4
            for factor, term, minimum in zip(factors, terms, minima):
                image = builder.add(builder.mul(values, factor), term)
                builder.store(smaller(builder.load(minimum), image), minimum)
        kind = ir.FunctionType(lane, [vector])
        reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.umin.v{LANES}i32")
        for index, minimum in zip(indices, minima):
            builder.store(builder.call(reduce, [builder.load(minimum)]), builder.gep(out.data, [index]))
        return context.get_dummy_value()

    return types.void(hashes, types.int64, multipliers, increments, types.int64, out), codegen


@njit(inline="always")
def letter_mask(data, at):  # type: ignore[no-untyped-def]
    """Which of the 64 bytes at `data[at:]` are ASCII letters, as `range_mask` has it."""
    return range_mask(data, at, 0x61, 26) | range_mask(data, at, 0x41, 26)


@njit(inline="always")
def low_bits(count):  # type: ignore[no-untyped-def]
    """The lowest `count` bits (uint64), from 64 on all of them."""
    return (_U64(1) << count) - _U64(1) if count < _U64(64) else _U64(_ALL)


@njit(inline="always")
def lowest_bit(bits):  # type: ignore[no-untyped-def]
    """Of `bits` (uint64) the lowest that is set, alone; 0 of 0."""
    return bits & (~bits + _U64(1))


@njit(inline="always")
def point_of_three(data):  # type: ignore[no-untyped-def]
    """The code point of a character of three bytes, the lowest of `data` (a little-endian uint64)."""
    return (data & _U64(0x0F)) << _U64(12) | data >> _U64(2) & _U64(0xFC0) | data >> _U64(16) & _U64(0x3F)


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
    value = (value ^ ((load64(data, start) | fold) & _PART[rest + _U64(8)])) * MIX_A
    value ^= value >> _U64(29)
    last = (load64(data, start + _U64(8)) | fold) & _PART[rest]
    value = (value ^ last ^ length) * MIX_B
    return value ^ (value >> _U64(32))
