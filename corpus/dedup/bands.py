"""Banding: which documents meet, and the edges that hold them together.

A signature of `bands * rows` minima is cut into bands; documents that agree in all rows of at least one band are
candidates (`corpus.dedup.scurve` says how probable that is). Candidates are verified afterwards, so a chance meeting
costs a comparison and not a document.

A band's rows are mixed into one 64-bit key. Adding them up, as is sometimes done, leaves about 27 bits, because minima
are small numbers, and joins documents that have nothing in common once there are some millions of them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels import MIX_A, mix64

_U64 = np.uint64


class Edges(NamedTuple):
    """Pairs of documents, as two arrays of ordinals of equal length."""

    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]


@njit(nogil=True, cache=True)
def band_keys(minima, out):  # type: ignore[no-untyped-def]
    """Write the key of each band of a signature (uint32) to `out` (uint64, one per band); rows = len / bands."""
    rows = len(minima) // len(out)
    for band in range(len(out)):
        key = mix64(_U64(band) + MIX_A)
        for row in range(rows):
            key = (key ^ _U64(minima[band * rows + row])) * MIX_A
            key ^= key >> _U64(32)
        out[band] = mix64(key)


def star_edges(keys: npt.NDArray[np.uint64], ordinals: npt.NDArray[np.uint64]) -> Edges:
    """An edge from each document to the first (smallest ordinal) of those with the same key.

    A bucket of a million documents gives a million edges and not half a billion: it only has to hold together, because
    comparing comes later. `keys` and `ordinals` are of equal length, in any order; the edges do not depend on it.
    """
    order = np.lexsort((ordinals, keys))
    keys, ordinals = keys[order], ordinals[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    hubs = np.repeat(ordinals[starts], sizes)
    leaf = hubs != ordinals
    return unique_edges(Edges(hubs[leaf], ordinals[leaf]))


def unique_edges(edges: Edges) -> Edges:
    """The edges in ascending order, each once."""
    order = np.lexsort((edges.second, edges.first))
    first, second = edges.first[order], edges.second[order]
    fresh = np.r_[True, (first[1:] != first[:-1]) | (second[1:] != second[:-1])] if len(first) else np.zeros(0, bool)
    return Edges(first[fresh], second[fresh])
