"""Shingles: the overlapping runs of words whose set stands for a document.

Two documents are near-duplicates when their sets of shingles overlap. A shingle is `size` consecutive words of
`corpus.kernels.words`, where a CJK character is a word, so English gives word n-grams, Chinese character n-grams, and
mixed text both in one stream. A document of fewer words, but at least one, has one shingle made of all its words: such
documents are near-duplicates exactly when their normalised words are equal. A document without words has none.

A shingle is known by a 32-bit hash, the width that the signature scheme takes. Two unrelated documents of a thousand
shingles share 0.0002 hashes by accident, which moves no similarity that anyone thresholds.
"""

import numpy as np
from numba import njit

from corpus.kernels.bits import rotate_left
from corpus.kernels.jit import kernel
from corpus.kernels.types import I32, U32, U64, Word

_I32, _U32, _U64 = np.int32, np.uint32, np.uint64
_ONE = _U64(1)
_TURN = 13  # bits a word hash is turned by at each step; coprime to 64, so 64 positions have distinct turns


@njit(nogil=True, cache=True)
def shingle_hashes(words: U64, count: int, size: int, out: U32) -> int:
    """Write the uint32 hashes of the shingles of `words[:count]` (uint64) to `out`; return how many.

    The hash is cyclic (Cohen 1997): the exclusive or of the word hashes, each turned by 13 bits per word from the end,
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
def sorted_unique(values: U32, count: int, slots: I32, work: U32, out: U32) -> Word:
    """Write the distinct values of `values[:count]` (uint32, hashes) to `out` in ascending order; return how many.

    Hashes are uniform, so one counting pass, with about one slot per value, puts each within a few positions of its
    own. Four rounds of swapping neighbours, which the compiler makes vector code of, end nearly all of it. An
    insertion among those before it, where repeats are left out, ends the rest. `slots` is int32 work space for
    `slots_for(count)` numbers, `work` uint32 for `count`, and `out` needs room for as many.
    """
    if count == 0:
        return 0
    many = _U64(count)
    size = (many + _U64(3)) & ~_U64(3)
    for i in range(size):
        slots[i] = 0
    for i in range(many):
        slots[_U64(values[i]) * size >> _U64(32)] += _I32(1)
    before = _I32(0)  # from here on, where each slot begins: four at a time wait for one addition, not for four
    for i in range(_U64(0), size, _U64(4)):
        second = slots[i]
        third = second + slots[i + _U64(1)]
        fourth = third + slots[i + _U64(2)]
        following = fourth + slots[i + _U64(3)]
        slots[i] = before
        slots[i + _U64(1)] = before + second
        slots[i + _U64(2)] = before + third
        slots[i + _U64(3)] = before + fourth
        before += following
    for i in range(many):
        value = values[i]
        slot = _U64(value) * size >> _U64(32)
        work[_U64(slots[slot])] = value
        slots[slot] += _I32(1)
    for turn in range(4):
        for i in range(_U64(turn) & _ONE, many - _ONE, _U64(2)):
            left, right = work[i], work[i + _ONE]
            work[i] = min(left, right)
            work[i + _ONE] = max(left, right)
    out[0] = last = work[0]
    unique = _ONE
    for i in range(_ONE, many):
        value = work[i]
        if value >= last:
            out[unique] = value
            unique += _U64(value != last)
            last = value
        else:
            unique = _insert(out, unique, value)
    return np.int64(unique)


@njit(inline="always")
def _insert(out: U32, count: Word, value: Word) -> Word:
    """Put a value smaller than the last where it belongs in the ascending `out[:count]`; return the new count."""
    at = count - _ONE
    while at > _U64(0) and out[at - _ONE] >= value:
        at -= _ONE
    if out[at] == value:
        return count
    i = count
    while i > at:
        out[i] = out[i - _ONE]
        i -= _ONE
    out[at] = value
    return count + _ONE


def slots_for(longest: int) -> int:
    """How many slots `sorted_unique` needs for up to `longest` values (below 2**30)."""
    return longest + 4
