"""Verification: the Jaccard similarity of two documents from their sketches.

A sketch holds a document's distinct shingle hashes in ascending order: all of them, or only the smallest. Up to the
largest hash of a cut sketch both documents are known completely, and the hashes below that limit are a random sample
of each document's shingles (they are hashes), so the Jaccard similarity below the limit estimates that of the whole;
with nothing cut it *is* that of the whole. With k hashes kept the standard deviation is sqrt(J (1 - J) / k) or less:
0.0125 at J = 0.8 and k = 1024.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def similarity(values, offsets, shingles, a, b):  # type: ignore[no-untyped-def]
    """The Jaccard similarity of documents a and b of `Signatures` arrays; 0 if either has no shingle. float64."""
    i, i_end = offsets[a], offsets[a + 1]
    j, j_end = offsets[b], offsets[b + 1]
    if i == i_end or j == j_end:
        return 0.0
    limit = np.int64(1) << 32
    if i_end - i < shingles[a]:
        limit = min(limit, np.int64(values[i_end - 1]))
    if j_end - j < shingles[b]:
        limit = min(limit, np.int64(values[j_end - 1]))
    common = 0
    union = 0
    while i < i_end and j < j_end:
        x, y = values[i], values[j]
        if min(x, y) > limit:
            break
        common += x == y
        union += 1
        i += x <= y
        j += y <= x
    while i < i_end and values[i] <= limit:
        union += 1
        i += 1
    while j < j_end and values[j] <= limit:
        union += 1
        j += 1
    return common / union


@njit(nogil=True, cache=True)
def may_reach(shingles, a, b, threshold):  # type: ignore[no-untyped-def]
    """Whether the sizes of the two sets allow a Jaccard similarity of `threshold` at all."""
    small, large = min(shingles[a], shingles[b]), max(shingles[a], shingles[b])
    return large > 0 and small / large >= threshold  # divided as `similarity` is, so that they round alike
