"""How often each pair of token ids occurs: a map of `corpus.kernels.hash_table` (int64) from the pair's key.

The key of a pair is one number that is ordered as pairs are, which is what breaks ties in training."""

import numpy as np
from numba import njit

from corpus.kernels.hash_table import move
from corpus.kernels.types import I64, Word


@njit(nogil=True, cache=True)
def pair_key(left: int, right: int) -> Word:
    """A pair of ids as one positive number."""
    return (np.int64(left) + 1) << 32 | (np.int64(right) + 1)


@njit(nogil=True, cache=True)
def with_room(table: I64, pairs: int) -> I64:
    """The table itself if `pairs` fill at most three quarters of its slots, else a copy with as many as that takes."""
    size = table.size
    while 8 * pairs > 3 * size:
        size *= 2
    if size == table.size:
        return table
    larger = np.zeros(size, np.int64)
    move(table, larger)
    return larger
