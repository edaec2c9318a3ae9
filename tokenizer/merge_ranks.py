"""The ranks of pairs of neighbours, in a megabyte or so and without a branch: a perfect hash table over the merges.

Joining a pretoken asks for the rank of every pair that comes up, and half of the pairs have none. What costs is not
arithmetic but waiting. It waits for memory where the table is larger than a core's cache, and for wrongly guessed
branches where a search must go on or stop. So each pair has exactly one slot: the upper bits of its hash name a
bucket, and the lower bits, flipped by the bucket's displacement, the slot ("hash and displace", Pagh 1999). A slot is
one int32, the rank and eight bits of the hash. That can take a stranger for a pair, once in 256 times. So a rank is a
candidate, and before a merge the pair itself is compared, which lies beside what the merge makes."""

import numpy as np
from numba import njit

from corpus.kernels.hashing import GOLDEN_RATIO, MURMUR_1
from corpus.kernels.types import I32, Word

_RANK_BITS = 24  # a vocabulary has fewer tokens than that
NEVER = (1 << _RANK_BITS) - 1  # no merge: a rank beyond all others


def rank_table(pairs: I32) -> I32:
    """The table of all merges (pairs of ids, int32[merges, 2] in order of rank): the displacements of B buckets (a
    power of two), then 4 B slots (-1: free).

    The fullest buckets are placed first, each with the smallest displacement that leads to free slots."""
    buckets = 1 << (5 * len(pairs) // 16).bit_length()  # so that at most four fifths of the slots are taken
    while not _place(pairs, table := np.full(5 * buckets, -1, np.int32)):
        buckets *= 2  # two pairs of one bucket had the same lower bits
    return table


@njit(nogil=True, cache=True)
def _hash(left: int, right: int) -> Word:
    hashed = (np.uint64(left) << np.uint64(32) | np.uint64(right)) * GOLDEN_RATIO
    return np.int64((hashed ^ hashed >> np.uint64(32)) * MURMUR_1)


@njit(nogil=True, cache=True)
def candidate(table: I32, left: int, right: int) -> Word:
    """The rank of a pair of ids if it has one, else NEVER or, rarely, the rank of another pair."""
    buckets = table.size // 5
    hashed = _hash(left, right)
    slot = table[buckets + ((hashed ^ table[hashed >> 32 & buckets - 1]) & 4 * buckets - 1)]
    return slot & NEVER if slot >> _RANK_BITS == hashed >> 56 else NEVER


@njit(nogil=True, cache=True)
def _place(pairs: I32, table: I32) -> bool:
    """Fill an empty table; False where some bucket finds no displacement."""
    buckets = table.size // 5
    slots, mask = table[buckets:], 4 * buckets - 1
    hashes = np.empty(len(pairs), np.int64)
    bounds = np.zeros(buckets + 1, np.int64)
    for rank in range(len(pairs)):
        hashes[rank] = _hash(pairs[rank, 0], pairs[rank, 1])
        bounds[hashes[rank] >> 32 & buckets - 1] += 1
    order = np.argsort(-bounds[:-1], kind="mergesort")
    bounds = np.cumsum(bounds)
    members = np.empty(len(pairs), np.int64)
    for rank in range(len(pairs)):
        bucket = hashes[rank] >> 32 & buckets - 1
        bounds[bucket] -= 1
        members[bounds[bucket]] = rank
    for bucket in order:
        ranks = members[bounds[bucket] : bounds[bucket + 1]]
        displacement, placed = 0, 0
        while placed < ranks.size:
            hashed = hashes[ranks[placed]]
            if slots[(hashed ^ displacement) & mask] == -1:
                slots[(hashed ^ displacement) & mask] = hashed >> 56 << _RANK_BITS | ranks[placed]
                placed += 1
                continue
            for back in range(placed):
                slots[(hashes[ranks[back]] ^ displacement) & mask] = -1
            displacement, placed = displacement + 1, 0
            if displacement > mask:
                return False
        table[bucket] = displacement
    return True
