"""Operations on vectors: masks over 64 bytes of text, and minima over many hashes, as numba intrinsics.

A byte-at-a-time loop over text runs at about 130 MB/s; comparing 64 bytes at once and turning the answer into a 64-bit
mask runs at several GB/s. numba has no vector type, so the masks are written here in LLVM's own terms, which lower to
AVX-512, AVX2 or NEON as the machine has them. Loads may be unaligned and may look past the last document
(`corpus.io.buffers.PADDING`).
"""

from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from corpus.kernels.memory import load
from corpus.kernels.types import U8, Word

LANES = 16  # uint32 numbers in the widest vector


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
        byte = load(context, builder, signature.args[0], args[0], at, vector)
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
        byte = load(context, builder, signature.args[0], args[0], at, vector)
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
        byte = load(context, builder, signature.args[0], args[0], at, vector)
        inside = builder.icmp_unsigned("<", builder.sub(byte, all_lanes(args[2])), all_lanes(args[3]))
        return builder.bitcast(inside, ir.IntType(64))

    return types.uint64(data, index, types.int64, types.int64), codegen


@intrinsic
def affine_minima(
    typingctx: Any, hashes: Any, count: Any, multipliers: Any, increments: Any, first: Any, out: Any
) -> Any:
    """`affine_minima(hashes, count, multipliers, increments, first, out)`: five minima of uint32 numbers.

    For k from `first` on, `out[k]` is the minimum of `multipliers[k] * h + increments[k]` over `hashes[:count]`; count
    is a positive multiple of `LANES`, and past the last k the last is done again. Sixteen hashes are one vector, which
    the compiler, left to itself, does not make of 512 bits (where the machine has no such vectors it makes parts of
    them). Five minima share each load, so that nothing waits but for the ports that multiply.
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
def letter_mask(data: U8, at: Word) -> Word:
    """Which of the 64 bytes at `data[at:]` are ASCII letters, as `range_mask` has it."""
    return range_mask(data, at, 0x61, 26) | range_mask(data, at, 0x41, 26)
