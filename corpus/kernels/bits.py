"""Bits of 64-bit words: counting, finding and turning them."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from corpus.kernels.types import Word

_U64 = np.uint64
ALL = _U64(0xFFFFFFFFFFFFFFFF)


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


@njit(inline="always")
def low_bits(count: Word) -> Word:
    """The lowest `count` bits (uint64), from 64 on all of them."""
    return (_U64(1) << count) - _U64(1) if count < _U64(64) else ALL


@njit(inline="always")
def lowest_bit(bits: Word) -> Word:
    """Of `bits` (uint64) the lowest that is set, alone; 0 of 0."""
    return bits & (~bits + _U64(1))


@njit(inline="always")
def rotate_left(value: Word, count: Word) -> Word:
    """`value` (uint64) rotated left by `count` (uint64, 1..63) bits."""
    return (value << count) | (value >> (_U64(64) - count))
