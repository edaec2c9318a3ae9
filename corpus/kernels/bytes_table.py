"""A hash table keyed by byte strings, for kernels: the pretokens of a text, the tokens of a vocabulary.

Open addressing with linear probing, as in `corpus.kernels.hash_table`, but a table of its own, because a key is a
string of any length and not a number. A slot is four int64 side by side, half a cache line: the hash, where in an arena
the key's bytes begin, how many there are (0: the slot is empty; no key is), and a value for the owner of the table. A
hit is confirmed byte by byte, so no two strings are ever taken for one. Strings of up to seven bytes need no look
into the arena, because `hash_key` and `hash_short_key` are bijections of bytes and length. Arrays are passed one by
one: numba counts a reference for each field taken out of a tuple, which costs more than the look-up.
"""

import numpy as np
from numba import njit

from corpus.kernels.memory import load64
from corpus.kernels.types import I64, U8, Word

FIELDS = 4
HASH, START, LENGTH, VALUE = 0, 1, 2, 3
SPARE = 8  # bytes after the last key, because keys are read eight bytes at a time


def new_table(slots: int, arena_bytes: int) -> tuple[I64, U8]:
    """An empty table: `slots` (a power of two) as int64[slots * FIELDS], and the arena with room for `arena_bytes`."""
    return np.zeros(slots * FIELDS, np.int64), np.zeros(arena_bytes + SPARE, np.uint8)


@njit(nogil=True, cache=True)
def _same(data: U8, first: int, arena: U8, start: int, length: int) -> bool:
    """Whether two strings of one length, at least 8, are equal."""
    if load64(data, first + length - 8) != load64(arena, start + length - 8):
        return False
    for at in range(0, length - 8, 8):  # noqa: SIM110
        if load64(data, first + at) != load64(arena, start + at):
            return False
    return True


@njit(nogil=True, cache=True)
def find(slots: I64, arena: U8, hashed: Word, data: U8, first: int, last: int) -> Word:
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
def add(slots: I64, arena: U8, at: int, hashed: Word, data: U8, first: int, last: int, arena_used: int) -> int:
    """Put a key into the empty slot that `find` gave; return how much of the arena is now used."""
    slots[at + HASH] = np.int64(hashed)
    slots[at + START] = arena_used
    slots[at + LENGTH] = last - first
    for byte in range(last - first):
        arena[arena_used + byte] = data[first + byte]
    return arena_used + last - first


@njit(nogil=True, cache=True)
def move(slots: I64, new_slots: I64) -> None:
    """Copy the slots of a table into an empty one that has as many or more."""
    mask = new_slots.size // FIELDS - 1
    for old in range(0, slots.size, FIELDS):
        if slots[old + LENGTH]:
            slot = np.int64(np.uint64(slots[old + HASH]) & np.uint64(mask))
            while new_slots[slot * FIELDS + LENGTH]:
                slot = (slot + 1) & mask
            new_slots[slot * FIELDS : slot * FIELDS + FIELDS] = slots[old : old + FIELDS]
