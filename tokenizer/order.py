"""The order of documents: a hash of their ids.

A document's position in the corpus is given by a seeded hash of its id. So the order is shuffled across dumps and
sites, and needs no index. It does not depend on the process that computes it, on the number of shards, or on other
documents."""

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.hashing import GOLDEN_RATIO, splitmix64
from corpus.kernels.types import U64, Bools, Word
from tokenizer.pretoken_counts import hash_rows


def document_hashes(ids: pa.Array | pa.ChunkedArray, seed: int) -> U64:
    """A uniform 64-bit value for each id (uint64[rows]); another seed gives values that have nothing to do with
    these."""
    values = hash_rows(*utf8_buffers(ids))
    _scramble(values, np.uint64(seed * int(GOLDEN_RATIO) % 2**64))
    return values


@njit(nogil=True, cache=True)
def _scramble(values: U64, offset: Word) -> None:
    """Replace each value by that of splitmix64 whose state is the value and an offset."""
    for i in range(len(values)):
        values[i] = splitmix64(values[i] + offset)


def sampled(hashes: U64, share: float) -> Bools:
    """Whether each document is in a sample of the given share (0 to 1) of all documents."""
    if share >= 1:
        return np.ones(len(hashes), np.bool_)
    return hashes < np.uint64(max(0.0, share) * 2**64)
