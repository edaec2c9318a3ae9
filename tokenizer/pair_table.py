"""A hash table from a pair of token ids to one int64, for kernels: how often a pair occurs.

Open addressing with linear probing in one int64 array: key and value side by side, key 0 for an empty slot. The key of
a pair is one number that is ordered as pairs are, which is what breaks ties in training. Nothing is ever taken out."""

from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.kernels import njit

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: the usual multiplicative hash constant


@njit(nogil=True, cache=True)
def pair_key(left: int, right: int) -> Any:
    """A pair of ids as one positive number."""
    return (np.int64(left) + 1) << 32 | (np.int64(right) + 1)


@njit(nogil=True, cache=True)
def pair_slot(table: npt.NDArray[np.int64], key: int) -> Any:
    """Where the key lies in the table, its value right behind it; or the empty slot where it belongs."""
    mask = np.uint64(table.size // 2 - 1)
    slot = np.uint64(key) * _MULTIPLIER
    slot = (slot ^ (slot >> np.uint64(29))) & mask
    while True:
        at = np.int64(slot) * 2
        if table[at] == 0 or table[at] == key:
            return at
        slot = (slot + np.uint64(1)) & mask


@njit(nogil=True, cache=True)
def with_room(table: npt.NDArray[np.int64], pairs: int) -> npt.NDArray[np.int64]:
    """The table itself if `pairs` fill at most three quarters of its slots, else a copy with as many as that takes."""
    slots = table.size // 2
    if 4 * pairs <= 3 * slots:
        return table
    while 4 * pairs > 3 * slots:
        slots *= 2
    larger = np.zeros(2 * slots, np.int64)
    for old in range(0, table.size, 2):
        if table[old] != 0:
            at = pair_slot(larger, table[old])
            larger[at], larger[at + 1] = table[old], table[old + 1]
    return larger
