"""Banding: which documents meet, and the edges that hold them together.

A signature of `bands * rows` minima is cut into bands; documents that agree in all rows of at least one band are
candidates (`corpus.dedup.scurve` says how probable that is). Candidates are verified afterwards, so a chance meeting
costs a comparison and not a document.

A band's rows are mixed into one 64-bit key. Adding them up, as is sometimes done, leaves about 27 bits, because minima
are small numbers. It joins documents that have nothing in common once there are some millions of them.

A bucket of a million documents gives a million edges and not half a billion: a star from its first document, because
it only has to hold together.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.bits import low_bits
from corpus.kernels.hashing import GOLDEN_RATIO, fmix64
from corpus.kernels.sort import sorted_words
from corpus.kernels.types import U32, U64, Word

_U64 = np.uint64
KIND_BITS = 10  # of a key in the exchange: which band it is of (or that it is a URL's), so at most 1,024 kinds
Numbers = U64


class Edges(NamedTuple):
    """Pairs of documents, as two arrays of numbers of equal length; first < second."""

    first: Numbers
    second: Numbers


@njit(nogil=True, cache=True)
def band_keys(minima: U32, out: U64) -> None:
    """Write the key of each band of a signature (uint32) to `out` (uint64, one per band); rows = len / bands."""
    rows = len(minima) // len(out)
    for band in range(len(out)):
        key = fmix64(_U64(band) + GOLDEN_RATIO)
        for row in range(rows):
            key = (key ^ _U64(minima[band * rows + row])) * GOLDEN_RATIO
            key ^= key >> _U64(32)
        out[band] = fmix64(key)


def keys_of_kind(keys: Numbers, kind: int) -> Numbers:
    """Keys of the exchange: the kind in the upper 10 bits, then the upper 54 bits of the key, so that each kind is a
    range of its own.

    That 54 bits are equal by chance costs a comparison, some three thousand times per band among 10**10 documents.
    """
    return (keys >> _U64(KIND_BITS)) | _U64(kind << (64 - KIND_BITS))


def star_edges(keys: Numbers, numbers: Numbers, low: int = 0, high: int = (1 << 64) - 1) -> Edges:
    """An edge from each document to the first (smallest number) of those with the same key, in no particular order.

    `keys`, all between `low` and `high`, and `numbers` are of equal length, in any order. Takes 24 bytes per key and 16
    an edge.
    """
    packed, bits = sorted_words(keys, low, high)
    return Edges(*_stars(packed, bits, keys, numbers))


def sort_edges(edges: Edges) -> Edges:
    """The edges by (second, first), each once."""
    if not len(edges.first):
        return edges
    bits = int(edges.second.max()).bit_length()
    if 2 * bits <= 64:
        packed = (edges.second << _U64(bits)) | edges.first
        packed.sort()
        packed = packed[np.r_[True, packed[1:] != packed[:-1]]]
        return Edges(packed & _U64((1 << bits) - 1), packed >> _U64(bits))
    order = np.lexsort((edges.first, edges.second))
    first, second = edges.first[order], edges.second[order]
    fresh = np.r_[True, (first[1:] != first[:-1]) | (second[1:] != second[:-1])]
    return Edges(first[fresh], second[fresh])


@njit(nogil=True, cache=True)
def _stars(packed: U64, bits: Word, keys: U64, numbers: U64) -> tuple[U64, U64]:
    """The stars of the buckets; `packed` is sorted, and used up."""
    mask = low_bits(bits)
    total = 0
    for i in range(1, len(packed)):
        total += (packed[i] >> bits) == (packed[i - 1] >> bits)
    first = np.empty(total, np.uint64)
    second = np.empty(total, np.uint64)
    made = 0
    start = 0
    while start < len(packed):
        stop = start + 1
        while stop < len(packed) and (packed[stop] >> bits) == (packed[start] >> bits):
            stop += 1
        end = stop
        while end - start > 1:  # almost always all keys of the run are equal; if not, one key after the other
            key = keys[np.int64(packed[start] & mask)]
            hub = numbers[np.int64(packed[start] & mask)]
            others = start + 1
            for i in range(start + 1, end):
                if keys[np.int64(packed[i] & mask)] == key:
                    hub = min(hub, numbers[np.int64(packed[i] & mask)])
            for i in range(start, end):
                position = np.int64(packed[i] & mask)
                if keys[position] != key:
                    packed[others] = packed[i]
                    others += 1
                elif numbers[position] != hub:
                    first[made] = hub
                    second[made] = numbers[position]
                    made += 1
            start, end = start + 1, others  # between them: entries of other keys
        start = stop
    return first[:made], second[:made]
