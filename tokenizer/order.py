"""The order of documents: a hash of their ids.

A document's place in the corpus is the value of a seeded hash of its id, so the order is shuffled across dumps and
sites, needs no index, and does not depend on who computes it, how many shards there are, or which other documents
exist."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.io.buffers import utf8_buffers
from tokenizer.pretoken_counts import hash_rows

_GOLDEN = 0x9E3779B97F4A7C15  # the three constants of SplitMix64 (Steele, Lea, Flood 2014)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def document_hashes(ids: pa.Array | pa.ChunkedArray, seed: int) -> npt.NDArray[np.uint64]:
    """A uniform 64-bit value for each id (uint64[rows]); another seed gives values that have nothing to do with
    these."""
    values = hash_rows(*utf8_buffers(ids)) + np.uint64((seed + 1) * _GOLDEN % 2**64)
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


def sampled(hashes: npt.NDArray[np.uint64], share: float) -> npt.NDArray[np.bool_]:
    """Whether each document is in a sample of the given share (0 to 1) of all documents."""
    if share >= 1:
        return np.ones(len(hashes), np.bool_)
    return hashes < np.uint64(max(0.0, share) * 2**64)
