"""Connected components of the candidate graph: which documents can affect each other's fate.

A component is only a unit of work. Being connected is no reason to be removed: inside a component every removal is
decided by comparing a document with its keeper (`corpus.dedup.keep`).
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.dedup.bands import Edges


def components(edges: Edges) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """`(ordinals, labels)`: every ordinal in an edge, ascending, and the smallest ordinal of its component."""
    ordinals = np.unique(np.concatenate([edges.first, edges.second]))
    parents = _union(len(ordinals), np.searchsorted(ordinals, edges.first), np.searchsorted(ordinals, edges.second))
    return ordinals, ordinals[parents]


@njit(nogil=True, cache=True)
def _union(count, first, second):  # type: ignore[no-untyped-def]
    """Union-find with path halving over indices below `count`; the smaller root wins. Returns each index's root."""
    parents = np.arange(count)
    for edge in range(len(first)):
        a, b = first[edge], second[edge]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a < b:
            parents[b] = a
        else:
            parents[a] = b
    for i in range(count):
        parents[i] = parents[parents[i]]  # roots are smaller, so the parent already points at its root
    return parents
