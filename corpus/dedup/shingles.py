"""Shingles: the overlapping runs of words whose set stands for a document.

Two documents are near-duplicates when their sets of shingles overlap. A shingle is `size` consecutive words of
`corpus.segment`, where a CJK character is a word, so English gives word n-grams, Chinese character n-grams, and mixed
text both in one stream. A document of fewer words, but at least one, has one shingle made of all its words: such
documents are near-duplicates exactly when their normalised words are equal. A document without words has none.

A shingle is known by a 32-bit hash, the width that the signature scheme takes. Two unrelated documents of a thousand
shingles share 0.0002 hashes by accident, which moves no similarity that anyone thresholds.
"""

import numpy as np
from numba import njit

from corpus.kernels import rotate_left

_U32, _U64 = np.uint32, np.uint64
_TURN = 13  # bits a word hash is turned by at each step; coprime to 64, so 64 positions have distinct turns
LONGEST_SHINGLE = 64


@njit(nogil=True, cache=True)
def shingle_hashes(words, count, size, out):  # type: ignore[no-untyped-def]
    """Write the uint32 hashes of the shingles of `words[:count]` (uint64) to `out`; return how many.

    The hash is cyclic (Cohen 1997): the exclusive or of the word hashes, each turned by 13 bits per place from the end,
    folded to 32 bits. It rolls, so its cost does not depend on `size` (1..64), and it depends on the words' order.
    """
    if count < size:
        size = count
    if count == 0:
        return 0
    turn = _U64(_TURN)
    leave = _U64((_TURN * size) % 64)
    value = _U64(0)
    for i in range(size):
        value = rotate_left(value, turn) ^ words[i]
    out[0] = _U32(value ^ (value >> _U64(32)))
    for i in range(size, count):
        oldest = words[i - size]
        gone = rotate_left(oldest, leave) if leave else oldest
        value = rotate_left(value, turn) ^ gone ^ words[i]
        out[i - size + 1] = _U32(value ^ (value >> _U64(32)))
    return count - size + 1


@njit(nogil=True, cache=True)
def sorted_unique(values, count, slots, out):  # type: ignore[no-untyped-def]
    """Write the distinct values of `values[:count]` (uint32, hashes) to `out` in ascending order; return how many.

    Hashes are uniform, so one counting pass on their high bits puts each within a few places of where it belongs, and
    an insertion sort ends it. `slots` is int64 work space of at least twice `count` rounded up to a power of two; `out`
    needs room for `count`.
    """
    if count == 0:
        return 0
    bits = 1
    while (1 << bits) < count:
        bits += 1
    shift = _U32(32 - bits)
    for i in range((1 << bits) + 1):
        slots[i] = 0
    for i in range(count):
        slots[np.int64(values[i] >> shift) + 1] += 1
    for i in range(1 << bits):
        slots[i + 1] += slots[i]
    for i in range(count):
        place = np.int64(values[i] >> shift)
        out[slots[place]] = values[i]
        slots[place] += 1
    for i in range(1, count):
        value = out[i]
        j = i
        while j > 0 and out[j - 1] > value:
            out[j] = out[j - 1]
            j -= 1
        out[j] = value
    unique = 1
    for i in range(1, count):
        if out[i] != out[unique - 1]:
            out[unique] = out[i]
            unique += 1
    return unique
