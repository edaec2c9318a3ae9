"""Joining the bytes of one pretoken into tokens by the ranks of merges.

The rule is the library's: as long as some pair of neighbours can be merged, merge the leftmost of those of lowest
rank. Pretokens of up to SHORT symbols find it by going through the ranks of all pairs, which lie side by side. Longer
ones keep a heap, because a run of a million characters without a cut would take hours otherwise.

A pretoken longer than SPAN is joined span by span, so that memory does not grow with it. That is exact by a property
of the rule: a sequence of tokens is what a text becomes if and only if each two neighbours are what their own bytes
become. (The first merge across the border of two tokens would see on both sides what it sees when the two stand alone.
So is it the other way round.) So a span may begin at a border q of the span before. What that one gave for the text
before q stays, if the first token behind q is the same in both: then every two neighbours stand side by side in one of
the spans. If it is another token, the span before is made twice as long."""

import numpy as np
from numba import njit

from corpus.kernels.types import I32, I64, U8, Word
from corpus.kernels.utf8 import decode_checked
from tokenizer.merge_ranks import NEVER, candidate

SHORT = 128  # symbols, at most 256; about where a heap begins to pay
SPAN = 1 << 16  # bytes; the scratch space of one, 40 times as many, stays in a core's cache


@njit(nogil=True, cache=True)
def _join_short(symbols: I32, first: int, size: int, made: I32, ranks: I32, merges: I64) -> int:
    """Join `symbols[first:first + size]` in place; return how many are left. `merges` (int64[SHORT]) is scratch: the
    rank of each pair, as far as `candidate` can say."""
    for at in range(size - 1):
        merges[at] = candidate(ranks, symbols[first + at], symbols[first + at + 1])
    while True:
        lowest = np.int64(NEVER << 8)
        for at in range(size - 1):
            lowest = min(lowest, merges[at] << 8 | at)  # position in the lowest 8 bits: no branch to be guessed
        position, rank = lowest & 0xFF, lowest >> 8
        if rank == NEVER:
            return size
        here = first + position
        if symbols[here] != made[3 * rank] or symbols[here + 1] != made[3 * rank + 1]:
            merges[position] = NEVER
            continue
        size -= 1
        symbols[here] = made[3 * rank + 2]
        for at in range(position + 1, size):
            symbols[first + at] = symbols[first + at + 1]
            merges[at] = merges[at + 1]
        if position > 0:
            merges[position - 1] = candidate(ranks, symbols[here - 1], symbols[here])
        if position < size - 1:
            merges[position] = candidate(ranks, symbols[here], symbols[here + 1])


@njit(nogil=True, cache=True)
def _join_long(symbols: I32, made: I32, ranks: I32) -> int:
    """As `_join_short`, in O(size log size): a heap of `rank << 32 | position`; outdated entries are skipped."""
    size = symbols.size
    after = np.arange(1, size + 1)
    before = np.arange(-1, size - 1)
    heap = np.empty(3 * size, np.int64)  # size - 1 entries, and each of at most size - 1 joins adds two
    entries = 0
    for at in range(size - 1):
        entries = _propose(heap, entries, ranks, symbols, at, at + 1)
    while entries > 0:
        rank, at = heap[0] >> 32, heap[0] & 0xFFFFFFFF
        entries = _pop(heap, entries)
        right = after[at]
        if right >= size or symbols[at] != made[3 * rank] or symbols[right] != made[3 * rank + 1]:
            continue
        symbols[at] = made[3 * rank + 2]
        symbols[right] = -1
        after[at] = after[right]
        if after[at] < size:
            before[after[at]] = at
            entries = _propose(heap, entries, ranks, symbols, at, after[at])
        if before[at] >= 0:
            entries = _propose(heap, entries, ranks, symbols, before[at], at)
    left = 0
    for at in range(size):
        if symbols[at] >= 0:
            symbols[left] = symbols[at]
            left += 1
    return left


@njit(nogil=True, cache=True)
def _propose(heap: I64, size: int, ranks: I32, symbols: I32, left: int, right: int) -> int:
    """Put the rank of the symbols at two positions, if they may have one, on the heap; return the heap's size."""
    rank = candidate(ranks, symbols[left], symbols[right])
    if rank == NEVER:
        return size
    value = rank << 32 | left
    at = size
    while at > 0 and heap[(at - 1) >> 1] > value:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = value
    return size + 1


@njit(nogil=True, cache=True)
def _pop(heap: I64, size: int) -> int:
    """Take the smallest entry off the heap; return the heap's size."""
    size -= 1
    value = heap[size]
    at = 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if heap[below] >= value:
            break
        heap[at] = heap[below]
        at = below
    heap[at] = value
    return size


@njit(nogil=True, cache=True)
def _start(data: U8, first: int, last: int, byte_ids: I32, characters: I32, output: I32, written: int) -> int:
    """Write the ids to start from: of characters (`first_symbols`) where there is one, else of bytes; return the new
    `written`. Bytes that are not UTF-8 are taken one by one."""
    at: Word = first
    while at < last:
        code, length = decode_checked(data, np.uint64(at), np.uint64(last))
        whole = length == 2 or (length == 3 and code >= 0x800)
        if whole and characters[code] >= 0:
            output[written] = characters[code]
            at += np.int64(length)
        else:
            output[written] = byte_ids[data[at]]
            at += 1
        written += 1
    return written


@njit(nogil=True, cache=True)
def join(
    data: U8,
    first: int,
    last: int,
    byte_ids: I32,
    characters: I32,
    sizes: I32,
    made: I32,
    ranks: I32,
    output: I32,
    written: int,
    merges: I64,
) -> int:
    """Encode the pretoken `data[first:last]` into `output` from `written` on; return the new `written`.

    There is room for one id per byte.

    `sizes` are the bytes of each token; `made` (int32[3 * merges]) are left, right and joined id of each merge, and
    `ranks` their `rank_table`; `merges` is scratch space, int64[SHORT]."""
    if last - first <= SPAN:
        written += _join_span(data, first, last, byte_ids, characters, made, ranks, output, written, merges)
    else:
        written = _join_spans(data, first, last, byte_ids, characters, sizes, made, ranks, output, written, merges)
    return written


@njit(nogil=True, cache=True)
def _join_spans(
    data: U8,
    first: int,
    last: int,
    byte_ids: I32,
    characters: I32,
    sizes: I32,
    made: I32,
    ranks: I32,
    output: I32,
    written: int,
    merges: I64,
) -> int:
    """As `join`, for a pretoken that is longer than a span."""
    span = SPAN
    count = _join_span(data, first, min(last, first + span), byte_ids, characters, made, ranks, output, written, merges)
    while first + span < last:
        kept = count * 3 // 4
        border = first
        for at in range(kept):
            border += sizes[output[written + at]]
        expected = output[written + kept]
        stop = min(last, border + span)
        count = _join_span(data, border, stop, byte_ids, characters, made, ranks, output, written + kept, merges)
        if kept > 0 and output[written + kept] == expected:
            written += kept
            first = border
        else:
            span *= 2
            stop = min(last, first + span)
            count = _join_span(data, first, stop, byte_ids, characters, made, ranks, output, written, merges)
    return written + count


@njit(nogil=True, cache=True)
def _join_span(
    data: U8,
    first: int,
    last: int,
    byte_ids: I32,
    characters: I32,
    made: I32,
    ranks: I32,
    output: I32,
    written: int,
    merges: I64,
) -> int:
    """Encode `data[first:last]` at once; return how many ids there are."""
    size = _start(data, first, last, byte_ids, characters, output, written) - written
    if size <= SHORT:
        return _join_short(output, written, size, made, ranks, merges)
    return _join_long(output[written : written + size], made, ranks)
