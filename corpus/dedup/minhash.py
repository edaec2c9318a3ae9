"""MinHash signatures, band keys and sketches of documents, straight from Arrow buffers.

A signature is the minimum of each of `bands * rows` permutations over a document's shingle hashes. The fraction of
equal minima of two documents estimates the Jaccard similarity of their shingle sets (Broder 1997). The scheme is
datasketch 2's `affine32`: a hash is finished with MurmurHash3's fmix32, then permutation i is `a[i] * h + b[i]` modulo
2**32 with odd a[i]. Multipliers and increments are those datasketch draws for the same seed, so a signature made here
loads into `datasketch.MinHash` and gives its estimates.

The signature itself is only a means: what is kept of a document is a 64-bit key per band (equal keys make candidates)
and a *sketch*. The sketch is the sorted distinct shingle hashes, all of them or the `sketch_size` smallest, by which
candidates are verified.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpus.dedup.bands import band_keys
from corpus.dedup.shingles import shingle_hashes, slots_for, sorted_unique
from corpus.io.buffers import padded_views
from corpus.kernels.hashing import fmix32
from corpus.kernels.simd import LANES, affine_minima
from corpus.kernels.types import I32, I64, U8, U32, U64
from corpus.kernels.words import Scratch, new_scratch, split_words

_U32 = np.uint32
EMPTY = _U32(0xFFFFFFFF)  # the minimum over no hashes, as in datasketch


class Scheme(NamedTuple):
    """What decides a signature's bytes."""

    shingle: int = 5  # words a shingle, 1..64
    bands: int = 20
    rows: int = 5  # minima a band
    sketch_size: int = 0  # hashes kept for verification, the smallest; 0: all, which makes verification exact
    seed: int = 1  # of the permutations, as datasketch takes it


class Signatures(NamedTuple):
    """What deduplication knows of n documents; row i is document i."""

    bands: U64  # [n, bands] keys; zeros for a document without words
    values: U32  # sketches one after another, each ascending and without repeats
    offsets: I64  # [n + 1]: the sketch of document i is values[offsets[i]:offsets[i + 1]]
    shingles: I32  # [n] number of distinct shingle hashes; more than the sketch if it was cut


def permutations(count: int, seed: int) -> tuple[U32, U32]:
    """Multipliers (odd) and increments of `count` affine32 permutations, as datasketch draws them."""
    generator = np.random.RandomState(seed)  # its stream is frozen
    multipliers = generator.randint(0, 1 << 31, count, dtype=np.uint32) * _U32(2) + _U32(1)
    return multipliers, generator.randint(0, 1 << 32, count, dtype=np.uint32)


def sign(text: pa.Array | pa.ChunkedArray, scheme: Scheme) -> Signatures:
    """The signatures of a column of documents."""
    return sign_with_minima(text, scheme)[0]


def sign_with_minima(text: pa.Array | pa.ChunkedArray, scheme: Scheme) -> tuple[Signatures, U32]:
    """The signatures, and the minima [n, bands * rows] they were made from (datasketch's `hashvalues`).

    `values` is the beginning of a larger array: copy it where many are kept.
    """
    lengths = pc.fill_null(pc.binary_length(text), 0).to_numpy(zero_copy_only=False)
    rows, total, longest = len(lengths), int(lengths.sum()), int(lengths.max(initial=0))
    multipliers, increments = permutations(scheme.bands * scheme.rows, scheme.seed)
    signatures = Signatures(
        np.zeros((rows, scheme.bands), np.uint64),
        np.empty(total // 2 + rows + 1, np.uint32),  # a word and its separator are two bytes or more
        np.zeros(rows + 1, np.int64),
        np.zeros(rows, np.int32),
    )
    minima = np.full((rows, len(multipliers)), EMPTY, np.uint32)
    hashes = np.empty(longest, np.uint32)
    work = np.empty(longest + LANES, np.uint32)
    slots = np.empty(slots_for(longest), np.int32)
    scratch = new_scratch(longest)
    row = 0
    for data, offsets in padded_views(text):
        _sign(
            data,
            offsets,
            row,
            scratch,
            scheme.shingle,
            scheme.sketch_size or (1 << 62),
            multipliers,
            increments,
            hashes,
            work,
            slots,
            minima,
            signatures,
        )
        row += len(offsets) - 1
    return signatures._replace(values=signatures.values[: signatures.offsets[-1]]), minima


@njit(nogil=True, cache=True)
def _sign(
    data: U8,
    offsets: I64,
    first: int,
    scratch: Scratch,
    size: int,
    sketch_size: int,
    multipliers: U32,
    increments: U32,
    hashes: U32,
    work: U32,
    slots: I32,
    minima: U32,
    signatures: Signatures,
) -> None:
    """Fill `minima` and `signatures` from row `first` on, document by document."""
    at = signatures.offsets[first]
    for number in range(len(offsets) - 1):
        row = first + number
        words = split_words(data, offsets[number], offsets[number + 1], scratch)
        count = shingle_hashes(scratch.hashes, words, size, hashes)
        sketch = signatures.values[at:]
        count = sorted_unique(hashes, count, slots, work, sketch)
        signatures.shingles[row] = count
        at += min(count, sketch_size)
        signatures.offsets[row + 1] = at
        if count:
            minimum_of_permutations(sketch, count, multipliers, increments, work, minima[row])
            band_keys(minima[row], signatures.bands[row])


@njit(nogil=True, cache=True)
def minimum_of_permutations(hashes: U32, count: int, multipliers: U32, increments: U32, work: U32, out: U32) -> None:
    """Write the affine32 signature of `hashes[:count]`, count >= 1, to `out`; `work` has room for `LANES` more."""
    padded = (count + LANES - 1) // LANES * LANES
    for i in range(count):
        work[i] = fmix32(hashes[i])
    for i in range(count, padded):
        work[i] = work[0]
    for first in range(0, len(multipliers), 5):
        affine_minima(work, padded, multipliers, increments, first, out)
