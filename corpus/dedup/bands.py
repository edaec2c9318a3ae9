"""Banding: which documents are worth comparing.

A signature of `bands * rows` minima is cut into bands; documents that agree in all rows of at least one band are
candidates. At Jaccard similarity s that happens with probability 1 - (1 - s**rows)**bands, the S-curve. Candidates are
verified afterwards, so the parameters are chosen for recall alone: a loose curve costs comparisons, not documents.

A band's rows are mixed into one 64-bit key. Adding them up, as is sometimes done, leaves about 27 bits, because minima
are small numbers, and joins documents that have nothing in common once there are some millions of them.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.errors import UsageError
from corpus.kernels import MIX_A, mix64

_U64 = np.uint64
CURVE_POINTS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.77, 0.8, 0.85, 0.9, 0.95)


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


def match_probability(similarity: float, bands: int, rows: int) -> float:
    """The probability that two documents of this Jaccard similarity are candidates."""
    return float(1 - (1 - similarity**rows) ** bands)


def choose_bands(threshold: float, recall: float, noise: float = 0.2, most: int = 256) -> tuple[int, int]:
    """The (bands, rows) with the fewest minima that find pairs at `threshold` with probability `recall`.

    Pairs at half the threshold, which share boilerplate and no more, may be found with probability `noise` at most:
    each costs a comparison. Raises UsageError where no choice of at most `most` minima does both.
    """
    best: tuple[int, int] | None = None
    for rows in range(1, most + 1):
        missed = 1 - threshold**rows
        if missed >= 1:
            break
        bands = math.ceil(math.log1p(-recall) / math.log(missed)) if missed > 0 else 1
        if match_probability(threshold / 2, bands, rows) > noise:
            continue
        if bands * rows <= most and (best is None or bands * rows < best[0] * best[1]):
            best = (bands, rows)
    if best is None:
        raise UsageError(
            f"no bands x rows of at most {most} minima find pairs at {threshold} with probability {recall}; "
            "ask for less recall, or a higher threshold"
        )
    return best


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
