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

from corpus.kernels import kernel, rotate_left

_I32, _U32, _U64 = np.int32, np.uint32, np.uint64
_ONE = _U64(1)
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


@kernel
def sorted_unique(values, count, slots, out):  # type: ignore[no-untyped-def]
    """Write the distinct values of `values[:count]` (uint32, hashes) to `out` in ascending order; return how many.

    Hashes are uniform, so one counting pass on their high bits, with two to four slots a value, puts each within a
    place or two of where it belongs; one pass that swaps neighbours without a branch ends nearly all of it, and an
    insertion sort the rest. `slots` is int32 work space for `slots_for(count)` numbers; `out` needs room for `count`.
    """
    if count == 0:
        return 0
    many = _U64(count)
    bits = _ONE
    while (_ONE << bits) < many:
        bits += _ONE
    bits += _ONE
    shift = _U64(32) - bits
    for i in range(_ONE << bits):
        slots[i] = 0
    for i in range(many):
        slots[_U64(values[i]) >> shift] += _I32(1)
    before = _I32(0)
    for i in range(_ONE << bits):
        here = slots[i]
        slots[i] = before
        before += here
    for i in range(many):
        place = _U64(values[i]) >> shift
        out[_U64(slots[place])] = values[i]
        slots[place] += _I32(1)
    highest = out[0]
    for i in range(_ONE, many):
        value = out[i]
        out[i - _ONE] = min(highest, value)
        highest = max(highest, value)
    out[many - _ONE] = highest
    for i in range(_ONE, many):
        value = out[i]
        j = _U64(i)
        while j > _U64(0) and out[j - _ONE] > value:
            out[j] = out[j - _ONE]
            j -= _ONE
        out[j] = value
    last = out[0]
    unique = _U64(0)
    for i in range(_ONE, many):
        value = out[i]
        unique += _U64(value != last)
        out[unique] = value
        last = value
    return np.int64(unique + _ONE)


def slots_for(longest: int) -> int:
    """How many slots `sorted_unique` needs for up to `longest` values (below 2**30): twice the next power of two."""
    return 4 * longest + 4
