"""Packing whole documents into samples: best fit, with nothing padded and nothing stored.

Concatenation (the default, and the paper's) cuts documents wherever a sample ends. Best-fit packing (Ding et al.,
Fewer Truncations Improve Language Modeling, 2024) puts each document into the sample that it fills best, so that few
are cut. But there it is a search over all documents before the first step, and what stays empty is padded.

Here it is done for one chunk of consecutive samples at a time, about a million tokens of the domain's circle.
Documents are there in an order that is shuffled over the whole corpus. A chunk has exactly as many bins as its tokens
fill. Documents that fit into no bin whole are cut to fill what is left, largest first. So no token is padding, and
none is lost or repeated. A domain's number of samples follows from its number of tokens alone. A chunk is packed
again, in about a millisecond, when one of its samples is needed: so a sample stays a pure function of (shards, seed,
k).
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numba import njit

from corpus.kernels.types import I64
from train.data.domain_tokens import DomainTokens

Array = I64
CHUNK_TOKENS = 1 << 20  # packed together; 4 MiB, four blocks of an object store
KEPT_CHUNKS = 256  # packed chunks that a process remembers per domain: a shuffle buffer of the order


@dataclass(frozen=True)
class Packed:
    """Spans of a chunk's samples; those of sample b are `starts[firsts[b]:firsts[b + 1]]`, in the chunk's order."""

    firsts: Array  # int64[bins + 1]
    starts: Array  # int64[spans], tokens from the beginning of the chunk
    lengths: Array  # int64[spans]


@njit(nogil=True, cache=True)
def _best_fit(starts: Array, lengths: Array, bins: int, capacity: int) -> tuple[Array, Array, Array]:
    """Spans (bin, start, length) of documents that have `bins * capacity` tokens together."""
    most = 2 * lengths.size + 2 * bins  # a cut ends a document or fills a bin
    out = np.empty((3, most), np.int64)
    room = np.full(bins, capacity)
    count = 0
    used = 0  # bins that one span fills
    rest = np.empty((2, lengths.size), np.int64)
    rests = 0
    for i in range(lengths.size):
        start, length = starts[i], lengths[i]
        while length >= capacity:
            out[0, count], out[1, count], out[2, count] = used, start, capacity
            room[used] = 0
            count += 1
            used += 1
            start += capacity
            length -= capacity
        if length > 0:
            rest[0, rests], rest[1, rests] = start, length
            rests += 1
    order = np.argsort(-rest[1, :rests], kind="mergesort")
    late = 0
    for i in order:
        start, length = rest[0, i], rest[1, i]
        best = -1
        for b in range(used, bins):
            if room[b] >= length and (best < 0 or room[b] < room[best]):
                best = b
        if best < 0:
            order[late] = i
            late += 1
            continue
        out[0, count], out[1, count], out[2, count] = best, start, length
        room[best] -= length
        count += 1
    for i in order[:late]:
        start, length = rest[0, i], rest[1, i]
        while length > 0:
            b = int(np.argmax(room))
            take = min(length, room[b])
            out[0, count], out[1, count], out[2, count] = b, start, take
            room[b] -= take
            count += 1
            start += take
            length -= take
    return out[0, :count], out[1, :count], out[2, :count]


def best_fit(starts: Array, lengths: Array, bins: int, capacity: int) -> Packed:
    """Pack documents (`starts` ascending, int64[documents]) into `bins` samples of `capacity` tokens, all filled."""
    where, starts, lengths = _best_fit(starts, lengths, bins, capacity)
    order = np.lexsort((starts, where))
    firsts = np.zeros(bins + 1, np.int64)
    np.cumsum(np.bincount(where, minlength=bins), out=firsts[1:])
    return Packed(firsts, starts[order], lengths[order])


class PackedDomain:
    """The packed samples of a domain, a chunk at a time."""

    def __init__(self, source: DomainTokens, width: int) -> None:
        """`width` is the tokens of a sample (sequence length + 1)."""
        self.source = source
        self.width = width
        self.chunk = max(1, CHUNK_TOKENS // width)  # samples
        self.num_samples = -(-source.num_tokens // width)
        self._kept: OrderedDict[tuple[int, int], Packed] = OrderedDict()

    def spans(self, offset: int, sample: int) -> tuple[Array, Array]:
        """First tokens (on the circle) and lengths of the documents in a sample of an epoch that begins at `offset`."""
        number, sample_bin = divmod(sample, self.chunk)
        begin = (offset + number * self.chunk * self.width) % self.source.num_tokens
        packed = self._kept.pop((offset, number), None) or self._pack(begin, number)
        self._kept[offset, number] = packed
        if len(self._kept) > KEPT_CHUNKS:
            self._kept.popitem(last=False)
        mine = slice(packed.firsts[sample_bin], packed.firsts[sample_bin + 1])
        return (begin + packed.starts[mine]) % self.source.num_tokens, packed.lengths[mine]

    def _pack(self, begin: int, number: int) -> Packed:
        bins = min(self.chunk, self.num_samples - number * self.chunk)
        tokens = bins * self.width
        starts = np.union1d(self.source.document_starts(begin, tokens), [0])
        return best_fit(starts, np.diff(starts, append=tokens), bins, self.width)
