"""How often each pair of token ids occurs: a map of `corpus.kernels.hash_table` (int64) from the pair's key.

The key of a pair is one number that is ordered as pairs are, which is what breaks ties in training."""

import numpy as np
from numba import njit

from corpus.kernels.hash_table import grown
from corpus.kernels.types import I64, Word


@njit(nogil=True, cache=True)
def pair_key(left: int, right: int) -> Word:
    """A pair of ids as one positive number."""
    return (np.int64(left) + 1) << 32 | (np.int64(right) + 1)


@njit(nogil=True, cache=True)
def with_room(table: I64, pairs: int) -> I64:
    """The table itself if `pairs` fill at most three quarters of its slots, else a copy with as many as that takes."""
    while 4 * pairs > 3 * (table.size // 2):
        table = grown(table)
    return table
