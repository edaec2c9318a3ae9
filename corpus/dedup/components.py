"""Connected components of the candidate graph, range by range: memory is bounded by a range of documents, not by all.

A component is only a unit of work. Being connected is no reason to be removed: inside a component every removal is
decided by comparing a document with its keeper (`corpus.dedup.keepers`).

Documents are numbered, and the numbers are cut into ranges. An edge belongs to the range of its larger end. To
*contract* a range is to replace its edges by fewer that connect the same documents: inside the range, a tree of depth
one for each connected part, hung on the part's smallest document, its root. For each root with neighbours in lower
ranges, one link to the smallest of these. And, where a root has more such neighbours, edges from the smallest to the
others, which belong to lower ranges. Ranges contracted from the last to the first leave every document with one path
down to the smallest document of its component (this is Gaussian elimination on a graph). Read from the first range to
the last, each learns its component's name. Edges are streamed; what is held is 12 bytes per document of one range.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numba import njit

from corpus.dedup.bands import Edges, Numbers, sort_edges
from corpus.kernels.types import U32, U64, Word

NONE = np.uint64(0xFFFFFFFFFFFFFFFF)
_CHUNK = 1 << 22  # documents of a range whose edges are made together


def components(edges: Edges) -> tuple[Numbers, Numbers]:
    """`(documents, labels)` in memory: every document in an edge, ascending, and the smallest of its component."""
    documents = np.unique(np.concatenate([edges.first, edges.second]))
    rows = Edges(*(np.searchsorted(documents, ends).astype(np.uint64) for ends in edges))
    part = Contraction(0, len(documents))
    part.add(rows)
    return documents, documents[part.roots()]


class Contraction:
    """The documents `start` to `start + count - 1` and how their edges connect them."""

    def __init__(self, start: int, count: int) -> None:
        self.start = start
        self._parents = np.arange(count, dtype=np.uint32)
        self._lowest = np.full(count if start else 0, NONE)  # of a root: its smallest neighbour in lower ranges

    def add(self, edges: Edges) -> None:
        """Take in edges whose larger end is in the range."""
        _union(self._parents, self._lowest, np.uint64(self.start), edges.first, edges.second)

    def roots(self) -> U32:
        """The row of each document's root within the range."""
        _flatten(self._parents)
        return self._parents

    def contracted(self, edges: Callable[[], Iterator[Edges]]) -> Iterator[Edges]:
        """The edges that stand for all that were added: trees, then links by their lower end, then the others, sorted.

        `edges` gives the added edges once more, which only a range that is not the first needs.
        """
        roots = self.roots()
        for at in range(0, len(roots), _CHUNK):
            yield Edges(*_trees(roots, np.uint64(self.start), at, min(at + _CHUNK, len(roots))))
        if self.start:
            linked = np.flatnonzero(self._lowest != NONE).astype(np.uint64)
            linked = linked[np.argsort(self._lowest[linked], kind="stable")]
            for at in range(0, len(linked), _CHUNK):
                part = linked[at : at + _CHUNK]
                yield Edges(self._lowest[part], part + np.uint64(self.start))
            for some in edges():
                yield sort_edges(Edges(*_strays(roots, self._lowest, np.uint64(self.start), some.first, some.second)))


class Labels:
    """The components of the documents `start` to `start + count - 1`, as they become known."""

    def __init__(self, start: int, count: int) -> None:
        self.start = start
        self.labels = np.full(count, NONE)  # NONE: met no other, so far

    def answered(self, documents: Numbers, labels: Numbers) -> None:
        """The components of documents that are linked to a lower range."""
        self.labels[documents - np.uint64(self.start)] = labels

    def trees(self, edges: Edges) -> None:
        """Edges of this range's trees, after all answers: a document has its root's component."""
        roots = edges.first - np.uint64(self.start)
        unnamed = self.labels[roots] == NONE
        self.labels[roots[unnamed]] = edges.first[unnamed]
        self.labels[edges.second - np.uint64(self.start)] = self.labels[roots]

    def ask(self, documents: Numbers) -> Numbers:
        """The components of documents that higher ranges are linked to."""
        rows = documents - np.uint64(self.start)
        unnamed = self.labels[rows] == NONE
        self.labels[rows[unnamed]] = documents[unnamed]
        return self.labels[rows]

    def known(self) -> Iterator[tuple[Numbers, Numbers]]:
        """`(documents, components)`, ascending, of the documents that met another."""
        for at in range(0, len(self.labels), _CHUNK):
            part = self.labels[at : at + _CHUNK]
            met = np.flatnonzero(part != NONE)
            yield met.astype(np.uint64) + np.uint64(self.start + at), part[met]


@njit(inline="always")
def _find(parents: U32, node: Word) -> Word:
    """The root, halving the path on the way."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = np.int64(parents[node])
    return node


@njit(nogil=True, cache=True)
def _union(parents: U32, lowest: U64, start: Word, first: U64, second: U64) -> None:
    """Union-find; the smaller root wins."""
    for edge in range(len(first)):
        b = _find(parents, np.int64(second[edge] - start))
        if first[edge] < start:
            lowest[b] = min(lowest[b], first[edge])
            continue
        a = _find(parents, np.int64(first[edge] - start))
        if a == b:
            continue
        if a > b:
            a, b = b, a
        parents[b] = a
        if len(lowest):
            lowest[a] = min(lowest[a], lowest[b])
            lowest[b] = NONE


@njit(nogil=True, cache=True)
def _flatten(parents: U32) -> None:
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]  # a parent is smaller, so it points at its root already


@njit(nogil=True, cache=True)
def _trees(roots: U32, start: Word, begin: int, end: int) -> tuple[U64, U64]:
    total = 0
    for i in range(begin, end):
        total += roots[i] != i
    first = np.empty(total, np.uint64)
    second = np.empty(total, np.uint64)
    at = 0
    for i in range(begin, end):
        if roots[i] != i:
            first[at] = np.uint64(roots[i]) + start
            second[at] = np.uint64(i) + start
            at += 1
    return first, second


@njit(nogil=True, cache=True)
def _strays(roots: U32, lowest: U64, start: Word, first: U64, second: U64) -> tuple[U64, U64]:
    """Edges from the lowest neighbour of a root to its other neighbours in lower ranges."""
    out_first = np.empty(len(first), np.uint64)
    out_second = np.empty(len(first), np.uint64)
    at = 0
    for edge in range(len(first)):
        if first[edge] < start:
            low = lowest[np.int64(roots[np.int64(second[edge] - start)])]
            if low != first[edge]:
                out_first[at], out_second[at] = low, first[edge]
                at += 1
    return out_first[:at], out_second[:at]
