"""Sets and maps of 64-bit keys, for kernels: open addressing with linear probing in one array.

A *set* (uint64) holds a key per slot, and 0 for an empty one: no key is 0. A *map* (uint64 or int64) holds key and
value side by side, so that a look-up touches one cache line. A slot is empty where both are 0, so a key may be 0 if no
value is. The number of slots is a power of two. Nothing is ever taken out.

Four tables of the house are not of this kind: `corpus.kernels.bytes_table`, whose keys are strings;
`corpus.linguistic.repetition.Table`, which is emptied for each document without being written to;
`corpus.semantic.ngrams.Model`, a file that is mapped; and `tokenizer.merge_ranks`, a perfect hash table.
"""

import numpy as np
from numba import njit

from corpus.kernels.bits import leading_zeros
from corpus.kernels.hashing import GOLDEN_RATIO
from corpus.kernels.types import I64, U64, Word

_U64 = np.uint64
_ONE = _U64(1)


def slots_for(entries: int, per_entry: int = 2) -> int:
    """A power of two, at least 2, and at least so many slots per entry."""
    return 1 << max(1, (per_entry * entries - 1).bit_length())


def set_of(keys: U64) -> U64:
    """A set of keys, none of them 0; they may repeat. At most half full."""
    slots = np.zeros(slots_for(len(keys)), np.uint64)
    _fill_set(slots, keys)
    return slots


def map_of(keys: U64, values: U64, per_key: int = 2) -> U64:
    """A map from keys to values, never 0 both; of a key that repeats the last value stands.

    It has at least `per_key` slots per key: with 8, most keys that it does not have are found missing at once.
    """
    slots = np.zeros(2 * slots_for(len(keys), per_key), np.uint64)
    _fill_map(slots, keys, values)
    return slots


def doubled(slots: U64) -> U64:
    """A copy of a map with twice as many slots, in memory from NumPy, which asks for large pages where numba does not:
    look-ups in a map of 100 MB then take two thirds of the time."""
    larger = np.zeros(2 * len(slots), slots.dtype)
    move(slots, larger)
    return larger


@njit(inline="always")
def _first_slot(key: Word, mask: Word) -> Word:
    """Where the search for a key begins: the upper bits of a product, which depend on all bits of the key (Knuth)."""
    return _U64(key) * GOLDEN_RATIO >> leading_zeros(mask)


@njit(inline="always")
def has(slots: U64, key: Word) -> bool:
    """Whether a set has a key."""
    return slots[_find_in_set(slots, key)] == key


@njit(inline="always")
def _find_in_set(slots: U64, key: Word) -> Word:
    mask = _U64(len(slots) - 1)
    slot = _first_slot(key, mask)
    while slots[slot] != _U64(0) and slots[slot] != key:
        slot = (slot + _ONE) & mask
    return slot


@njit(inline="always")
def find(slots: U64 | I64, key: Word) -> Word:
    """Where a key lies in a map, its value right behind it; or the empty slot where it belongs (int64)."""
    mask = _U64(len(slots) // 2 - 1)
    slot = _first_slot(key, mask)
    while slots[slot << _ONE] != key and (slots[slot << _ONE] | slots[(slot << _ONE) + _ONE]) != 0:
        slot = (slot + _ONE) & mask
    return np.int64(slot << _ONE)


@njit(nogil=True, cache=True)
def move(slots: U64 | I64, larger: U64 | I64) -> None:
    """Copy the entries of a map into an empty one that has as many slots or more."""
    for old in range(0, len(slots), 2):
        if (slots[old] | slots[old + 1]) != 0:
            at = find(larger, slots[old])
            larger[at], larger[at + 1] = slots[old], slots[old + 1]


@njit(nogil=True, cache=True)
def _fill_set(slots: U64, keys: U64) -> None:
    for key in keys:
        slots[_find_in_set(slots, key)] = key


@njit(nogil=True, cache=True)
def _fill_map(slots: U64, keys: U64, values: U64) -> None:
    for i in range(len(keys)):
        at = find(slots, keys[i])
        slots[at], slots[at + 1] = keys[i], values[i]
