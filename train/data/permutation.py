"""A shuffled order that is computed and not stored: keyed Feistel permutations, block by block.

A Feistel network turns any keyed hash into a one-to-one map of b-bit numbers. Walking its cycles until the number
falls below n makes it a permutation of 0..n-1. So no index has to be built, loaded or kept the same on all ranks,
whether n is ten or a billion.

Samples that are neighbours are read together, so the order is shuffled by blocks. An epoch of n samples is cut into
blocks of `block` consecutive samples, and the blocks are permuted over the whole epoch. Then the samples of each
`buffer` successive blocks are permuted among themselves, like a shuffle buffer. A reader that holds one buffer on disk
reads each block whole, and once per epoch. Where a buffer covers the epoch, as in small corpora, the order is a plain
full permutation.
"""

import numpy as np

from corpus.kernels import njit
from corpus.kernels.bits import low_bits
from corpus.kernels.hashing import splitmix64

# Luby and Rackoff (1988) prove 4 enough for large domains; small ones need more (NIST SP 800-38G has 8 to 10)
ROUNDS = 8


@njit(nogil=True, cache=True)
def feistel(index: int, size: int, key: np.uint64) -> np.int64:
    """The image of `index` (0 <= index < size) under the permutation of 0..size-1 that `key` names.

    The halves have b//2 and b - b//2 bits, b the bits of size - 1, so fewer than two walks are expected.
    """
    if size <= 1:
        return np.int64(0)
    bits = 2
    while (np.uint64(1) << np.uint64(bits)) < np.uint64(size):
        bits += 1
    shift = np.uint64(bits // 2)
    low_mask, high_mask = low_bits(shift), low_bits(np.uint64(bits - bits // 2))
    value = np.uint64(index)
    while True:
        high, low = value >> shift, value & low_mask
        round_key = np.uint64(key)
        for _ in range(ROUNDS // 2):
            round_key = splitmix64(round_key)
            high ^= splitmix64(low ^ round_key) & high_mask
            round_key = splitmix64(round_key)
            low ^= splitmix64(high ^ round_key) & low_mask
        value = (high << shift) | low
        if value < np.uint64(size):
            return np.int64(value)  # signed, as its operands are: numba makes a float of signed and unsigned


@njit(nogil=True, cache=True)
def shuffled(position: int, size: int, block: int, buffer: int, key: np.uint64) -> np.int64:
    """The sample at `position` in an epoch of `size` samples, in buffers of `buffer` blocks of `block` samples.

    A last block that is not full stays the last block, and is shuffled within the last buffer.
    """
    full_blocks = size // block
    span = block * buffer
    which = position // span
    start = which * span
    within = min(span, size - start)
    inner = feistel(position - start, within, splitmix64(np.uint64(key) + np.uint64(1) + np.uint64(which)))
    slot = which * buffer + inner // block
    if slot < full_blocks:
        slot = feistel(slot, full_blocks, np.uint64(key))
    return slot * block + inner % block
