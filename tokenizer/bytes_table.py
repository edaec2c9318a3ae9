"""A hash table keyed by byte strings, for kernels: the pieces of a text, the tokens of a vocabulary.

Open addressing with linear probing. A slot is four int64 side by side, half a cache line: the hash, where in an arena
the key's bytes begin, how many there are (0: the slot is empty; no key is), and a value for the owner of the table. A
hit is confirmed byte by byte, so no two strings are ever taken for one; strings of up to seven bytes need no look
into the arena, because their hash is a bijection of bytes and length. Arrays are passed one by one: numba counts a
reference for each field taken out of a tuple, which costs more than the look-up."""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from corpus.kernels import njit

FIELDS = 4
HASH, START, LENGTH, VALUE = 0, 1, 2, 3
SPARE = 8  # bytes after the last key, because keys are read eight bytes at a time
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: the usual multiplicative hash constant
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # a constant of MurmurHash3's 64-bit finalizer, odd
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def new_table(slots: int, arena_bytes: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """An empty table: `slots` (a power of two) as int64[slots * FIELDS], and the arena with room for `arena_bytes`."""
    return np.zeros(slots * FIELDS, np.int64), np.zeros(arena_bytes + SPARE, np.uint8)


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, type_: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], signature.args[1], types.intp)
    return builder.bitcast(builder.gep(array.data, [index]), type_.as_pointer())


@intrinsic
def load64(typingctx: Any, data: Any, at: Any) -> Any:
    """An unaligned little-endian 64-bit load of `data[at:at + 8]` (uint8)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_pointer(context, builder, signature, arguments, ir.IntType(64)))
        loaded.align = 1
        return loaded

    return types.uint64(data, at), codegen


@intrinsic
def count_trailing_zeros(typingctx: Any, word: Any) -> Any:
    """The number of zero bits below the lowest set bit of a uint64 that is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def prefetch(typingctx: Any, data: Any, at: Any) -> Any:
    """Ask for the cache line of `data[at]`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments, ir.IntType(8))
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", (pointer.type,), kind)
        builder.call(function, [pointer, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(data, at), codegen


@njit(nogil=True, cache=True)
def _low_bytes(word: Any, count: int) -> Any:
    """The first `count` (1 to 8) bytes of a word."""
    return word & (_ALL >> np.uint64(64 - 8 * count))


@njit(nogil=True, cache=True)
def hash_bytes(data: npt.NDArray[np.uint8], first: int, last: int) -> Any:
    """A 64-bit hash of `data[first:last]`. Reads up to 8 bytes past `last`."""
    length = last - first
    if length < 8:
        word = np.uint64(length) << np.uint64(56)
        if length > 0:
            word |= _low_bytes(load64(data, first), length)
        hashed = word * _GOLDEN
    else:
        hashed = np.uint64(length) * _MIX
        while last - first > 8:
            hashed = (hashed ^ load64(data, first)) * _MIX
            hashed ^= hashed >> np.uint64(32)
            first += 8
        hashed = (hashed ^ load64(data, last - 8)) * _GOLDEN
    hashed ^= hashed >> np.uint64(32)
    hashed *= _MIX
    return hashed ^ (hashed >> np.uint64(29))


@njit(nogil=True, cache=True)
def hash_piece(data: npt.NDArray[np.uint8], first: int, last: int) -> Any:
    """As `hash_bytes`, other values in less time, for tables that are not stored: most pieces have up to 16 bytes, and
    for these there is no branch that may be guessed wrongly."""
    length = last - first
    if length > 16:
        return hash_bytes(data, first, last)
    head = _low_bytes(load64(data, first), min(length, 8))
    tail = load64(data, max(first, last - 8)) if length > 8 else np.uint64(0)
    hashed = (head * _GOLDEN ^ tail) * _MIX
    hashed ^= hashed >> np.uint64(32)
    hashed *= _GOLDEN
    return hashed ^ (hashed >> np.uint64(29))


@njit(nogil=True, cache=True)
def _same(data: npt.NDArray[np.uint8], first: int, arena: npt.NDArray[np.uint8], start: int, length: int) -> bool:
    """Whether two strings of one length, at least 8, are equal."""
    if load64(data, first + length - 8) != load64(arena, start + length - 8):
        return False
    for at in range(0, length - 8, 8):  # noqa: SIM110
        if load64(data, first + at) != load64(arena, start + at):
            return False
    return True


@njit(nogil=True, cache=True)
def find(
    slots: npt.NDArray[np.int64],
    arena: npt.NDArray[np.uint8],
    hashed: Any,
    data: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> Any:
    """Where the slot of the key `data[first:last]` begins in `slots`, or the empty slot where it belongs."""
    mask = np.uint64(slots.size // FIELDS - 1)
    slot = hashed & mask
    length = last - first
    while True:
        at = np.int64(slot) * FIELDS
        found = slots[at + LENGTH]
        if found == 0:
            return at
        if (
            found == length
            and np.uint64(slots[at + HASH]) == hashed
            and (length < 8 or _same(data, first, arena, slots[at + START], length))
        ):
            return at
        slot = (slot + np.uint64(1)) & mask


@njit(nogil=True, cache=True)
def add(
    slots: npt.NDArray[np.int64],
    arena: npt.NDArray[np.uint8],
    at: int,
    hashed: Any,
    data: npt.NDArray[np.uint8],
    first: int,
    last: int,
    arena_used: int,
) -> int:
    """Put a key into the empty slot that `find` gave; return how much of the arena is now used."""
    slots[at + HASH] = np.int64(hashed)
    slots[at + START] = arena_used
    slots[at + LENGTH] = last - first
    for byte in range(last - first):
        arena[arena_used + byte] = data[first + byte]
    return arena_used + last - first


@njit(nogil=True, cache=True)
def move(slots: npt.NDArray[np.int64], new_slots: npt.NDArray[np.int64]) -> None:
    """Copy the slots of a table into an empty one that has as many or more."""
    mask = new_slots.size // FIELDS - 1
    for old in range(0, slots.size, FIELDS):
        if slots[old + LENGTH]:
            slot = np.int64(np.uint64(slots[old + HASH]) & np.uint64(mask))
            while new_slots[slot * FIELDS + LENGTH]:
                slot = (slot + 1) & mask
            new_slots[slot * FIELDS : slot * FIELDS + FIELDS] = slots[old : old + FIELDS]
