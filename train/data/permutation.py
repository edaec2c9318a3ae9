"""A shuffled order that nobody has to store: keyed Feistel permutations, block-wise.

A Feistel network turns any keyed hash into a one-to-one map of b-bit numbers, and walking its cycles until
the number falls below n makes it a permutation of 0..n-1. So the place of a sample in the shuffled order is
computed, not looked up: no index to build, load or keep in step between ranks, whether n is ten or a billion.

The order is block-wise, because samples that lie together are read together. An epoch of n samples is cut
into blocks of `block` consecutive samples; blocks are permuted over the whole epoch; then the samples of each
`window` blocks that come next to each other are permuted among themselves. A reader that holds one window on
disk reads every block whole, and once an epoch. Where a window covers the epoch, as in small corpora, the
order is a plain full permutation.
"""

import numpy as np

from corpus.kernels import njit

# Luby and Rackoff (1988) prove 4 enough for large domains; small ones need more (NIST SP 800-38G has 8 to 10)
ROUNDS = 8


@njit(inline="always")
def mix(value: np.uint64) -> np.uint64:
    """The output function of splitmix64 (Steele, Lea and Flood, 2014): a one-to-one scramble of 64 bits."""
    value = np.uint64(value) + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


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
    low_bits = np.uint64(bits // 2)
    low_mask = (np.uint64(1) << low_bits) - np.uint64(1)
    high_mask = (np.uint64(1) << np.uint64(bits - bits // 2)) - np.uint64(1)
    value = np.uint64(index)
    while True:
        high, low = value >> low_bits, value & low_mask
        round_key = np.uint64(key)
        for _ in range(ROUNDS // 2):
            round_key = mix(round_key)
            high ^= mix(low ^ round_key) & high_mask
            round_key = mix(round_key)
            low ^= mix(high ^ round_key) & low_mask
        value = (high << low_bits) | low
        if value < np.uint64(size):
            return np.int64(value)  # signed, as all that it meets: numba makes a float of signed and unsigned


@njit(nogil=True, cache=True)
def shuffled(place: int, size: int, block: int, window: int, key: np.uint64) -> np.int64:
    """The sample that stands at `place` in an epoch of `size` samples, in windows of `window` blocks of `block`.

    A last block that is not full keeps its place at the end of the blocks and is shuffled within the last
    window.
    """
    full_blocks = size // block
    span = block * window
    which = place // span
    start = which * span
    within = min(span, size - start)
    inner = feistel(place - start, within, mix(np.uint64(key) + np.uint64(1) + np.uint64(which)))
    slot = which * window + inner // block
    if slot < full_blocks:
        slot = feistel(slot, full_blocks, np.uint64(key))
    return slot * block + inner % block
