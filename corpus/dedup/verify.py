"""Verification: the Jaccard similarity of two documents from their sketches.

A sketch holds a document's distinct shingle hashes in ascending order: all of them, or only the smallest. Up to the
largest hash of a cut sketch both documents are known completely. The hashes below that limit are a random sample of
each document's shingles. So the Jaccard similarity below the limit estimates that of the whole. With nothing cut it
*is* that of the whole. With k hashes kept the standard deviation is sqrt(J (1 - J) / k) or less: 0.0125 at J = 0.8 and
k = 1024.

Two sketches are merged without a branch, in which each step waits for the one before it. So they are cut into four at
the same hashes, and the four merges go on side by side: three times as fast.
"""

import numpy as np
from numba import njit

from corpus.kernels.jit import kernel
from corpus.kernels.types import I32, I64, U32, Word

_U32, _U64 = np.uint32, np.uint64
_ONE = _U64(1)


@kernel
def similarity(values: U32, offsets: I64, shingles: I32, a: int, b: int) -> float:
    """The Jaccard similarity of documents a and b of `Signatures` arrays; 0 if either has no shingle. float64."""
    i, i_end = _U64(offsets[a]), _U64(offsets[a + 1])
    j, j_end = _U64(offsets[b]), _U64(offsets[b + 1])
    if i == i_end or j == j_end:
        return 0.0
    limit = _U32(0xFFFFFFFF)
    if i_end - i < _U64(shingles[a]):
        limit = min(limit, values[i_end - _ONE])
    if j_end - j < _U64(shingles[b]):
        limit = min(limit, values[j_end - _ONE])
    i_end = _after(values, i, i_end, limit)
    j_end = _after(values, j, j_end, limit)
    if i == i_end or j == j_end:
        return 0.0
    common = _common(values, i, i_end, j, j_end)
    return np.int64(common) / np.int64(i_end - i + j_end - j - common)


@njit(inline="always")
def _common(values: U32, i: Word, i_end: Word, j: Word, j_end: Word) -> Word:
    """How many values the ascending `values[i:i_end]` and `values[j:j_end]`, neither empty, have in common."""
    quarter = _U32(max(values[i_end - _ONE], values[j_end - _ONE]) >> _U32(2))
    i1, j1 = _after(values, i, i_end, quarter), _after(values, j, j_end, quarter)
    i2, j2 = _after(values, i1, i_end, _U32(2) * quarter), _after(values, j1, j_end, _U32(2) * quarter)
    i3, j3 = _after(values, i2, i_end, _U32(3) * quarter), _after(values, j2, j_end, _U32(3) * quarter)
    i_a, j_a, i_b, j_b, i_c, j_c, i_d, j_d = i, j, i1, j1, i2, j2, i3, j3
    common = _U64(0)
    while (i_a < i1) & (j_a < j1) & (i_b < i2) & (j_b < j2) & (i_c < i3) & (j_c < j3) & (i_d < i_end) & (j_d < j_end):
        same_a, i_a, j_a = _step(values, i_a, j_a)
        same_b, i_b, j_b = _step(values, i_b, j_b)
        same_c, i_c, j_c = _step(values, i_c, j_c)
        same_d, i_d, j_d = _step(values, i_d, j_d)
        common += same_a + same_b + same_c + same_d
    common += _merged(values, i_a, i1, j_a, j1) + _merged(values, i_b, i2, j_b, j2)
    return common + _merged(values, i_c, i3, j_c, j3) + _merged(values, i_d, i_end, j_d, j_end)


@njit(inline="always")
def _after(values: U32, first: Word, end: Word, limit: Word) -> Word:
    """The position of the first of the ascending `values[first:end]` that is larger than the limit, or `end`."""
    while first < end:
        middle = (first + end) >> _ONE
        if values[middle] <= limit:
            first = middle + _ONE
        else:
            end = middle
    return first


@njit(inline="always")
def _merged(values: U32, i: Word, i_end: Word, j: Word, j_end: Word) -> Word:
    """`_common`, one step after the other."""
    common = _U64(0)
    while i < i_end and j < j_end:
        same, i, j = _step(values, i, j)
        common += same
    return common


@njit(inline="always")
def _step(values: U32, i: Word, j: Word) -> tuple[Word, Word, Word]:
    """Whether two values are equal, and what to compare next."""
    x, y = values[i], values[j]
    return _U64(x == y), i + _U64(x <= y), j + _U64(y <= x)


@njit(nogil=True, cache=True)
def may_reach(shingles: I32, a: int, b: int, threshold: float) -> bool:
    """Whether the sizes of the two sets allow a Jaccard similarity of `threshold` at all."""
    small, large = min(shingles[a], shingles[b]), max(shingles[a], shingles[b])
    return large > 0 and small / large >= threshold  # divided as `similarity` is, so that they round alike
