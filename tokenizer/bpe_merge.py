"""Joining the bytes of one piece into tokens by the ranks of merges.

The rule is the library's: as long as some pair of neighbours can be merged, merge the leftmost of those of lowest
rank. Pieces of up to SHORT symbols find it by going through the ranks of all pairs, which lie side by side; longer
ones keep a heap, because a run of a million characters without a cut would take hours otherwise.

A piece longer than WINDOW is joined window by window, so that memory does not grow with it. That is exact by a property
of the rule: a sequence of tokens is what a text becomes if and only if each two neighbours are what their own bytes
become. (The first merge across the border of two tokens would see on both sides what it sees when the two stand alone,
and the other way round.) So a window may begin at a border q of the window before, and what that one gave for the text
before q stays, if the first token behind q is the same in both: then every two neighbours stand side by side in one of
the windows. If it is another token, the window before is made twice as long."""

import numpy as np
import numpy.typing as npt

from corpus.kernels import njit
from tokenizer.merge_ranks import NEVER, candidate

SHORT = 128  # symbols, at most 256; about where a heap begins to pay
WINDOW = 1 << 16  # bytes; the scratch space of one, 40 bytes a byte, stays in a core's cache


@njit(nogil=True, cache=True)
def _join_short(
    symbols: npt.NDArray[np.int32],
    first: int,
    size: int,
    made: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.int32],
    merges: npt.NDArray[np.int64],
) -> int:
    """Join `symbols[first:first + size]` in place; return how many are left. `merges` (int64[SHORT]) is scratch: the
    rank of each pair, as far as `candidate` can say."""
    for at in range(size - 1):
        merges[at] = candidate(ranks, symbols[first + at], symbols[first + at + 1])
    while True:
        lowest = np.int64(NEVER << 8)
        for at in range(size - 1):
            lowest = min(lowest, merges[at] << 8 | at)  # with its place in the lowest 8 bits: no branch to be guessed
        place, rank = lowest & 0xFF, lowest >> 8
        if rank == NEVER:
            return size
        here = first + place
        if symbols[here] != made[3 * rank] or symbols[here + 1] != made[3 * rank + 1]:
            merges[place] = NEVER
            continue
        size -= 1
        symbols[here] = made[3 * rank + 2]
        for at in range(place + 1, size):
            symbols[first + at] = symbols[first + at + 1]
            merges[at] = merges[at + 1]
        if place > 0:
            merges[place - 1] = candidate(ranks, symbols[here - 1], symbols[here])
        if place < size - 1:
            merges[place] = candidate(ranks, symbols[here], symbols[here + 1])


@njit(nogil=True, cache=True)
def _join_long(
    symbols: npt.NDArray[np.int32],
    made: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.int32],
) -> int:
    """As `_join_short`, in O(size log size): a heap of `rank << 32 | place` in which outdated entries are skipped."""
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
def _propose(
    heap: npt.NDArray[np.int64],
    size: int,
    ranks: npt.NDArray[np.int32],
    symbols: npt.NDArray[np.int32],
    left: int,
    right: int,
) -> int:
    """Put the rank of the symbols at two places, if they may have one, on the heap; return the heap's size."""
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
def _pop(heap: npt.NDArray[np.int64], size: int) -> int:
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
def _start(
    data: npt.NDArray[np.uint8],
    first: int,
    last: int,
    byte_ids: npt.NDArray[np.int32],
    characters: npt.NDArray[np.int32],
    output: npt.NDArray[np.int32],
    written: int,
) -> int:
    """Write the ids to start from: of characters (`first_symbols`) where there is one, else of bytes; return the new
    `written`. Bytes that are not UTF-8 are taken one by one."""
    at = first
    while at < last:
        lead = np.int64(data[at])
        if 0xE0 <= lead < 0xF0 and at + 2 < last and data[at + 1] & 0xC0 == 0x80 and data[at + 2] & 0xC0 == 0x80:
            code = (lead & 15) << 12 | np.int64(data[at + 1] & 63) << 6 | np.int64(data[at + 2] & 63)
            if code >= 0x800 and characters[code] >= 0:
                output[written] = characters[code]
                written += 1
                at += 3
                continue
        elif 0xC2 <= lead < 0xE0 and at + 1 < last and data[at + 1] & 0xC0 == 0x80:
            code = (lead & 31) << 6 | np.int64(data[at + 1] & 63)
            if characters[code] >= 0:
                output[written] = characters[code]
                written += 1
                at += 2
                continue
        output[written] = byte_ids[lead]
        written += 1
        at += 1
    return written


@njit(nogil=True, cache=True)
def join(
    data: npt.NDArray[np.uint8],
    first: int,
    last: int,
    byte_ids: npt.NDArray[np.int32],
    characters: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int32],
    made: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.int32],
    output: npt.NDArray[np.int32],
    written: int,
    merges: npt.NDArray[np.int64],
) -> int:
    """Encode the piece `data[first:last]` into `output` from `written` on, where there is room for an id a byte; return
    the new `written`.

    `sizes` are the bytes of each token; `made` (int32[3 * merges]) are left, right and joined id of each merge, and
    `ranks` their `rank_table`; `merges` is scratch space, int64[SHORT]."""
    if last - first <= WINDOW:
        written += _join_window(data, first, last, byte_ids, characters, made, ranks, output, written, merges)
    else:
        written = _join_windows(data, first, last, byte_ids, characters, sizes, made, ranks, output, written, merges)
    return written


@njit(nogil=True, cache=True)
def _join_windows(
    data: npt.NDArray[np.uint8],
    first: int,
    last: int,
    byte_ids: npt.NDArray[np.int32],
    characters: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int32],
    made: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.int32],
    output: npt.NDArray[np.int32],
    written: int,
    merges: npt.NDArray[np.int64],
) -> int:
    """As `join`, for a piece that is longer than a window."""
    window = WINDOW
    count = _join_window(
        data, first, min(last, first + window), byte_ids, characters, made, ranks, output, written, merges
    )
    while first + window < last:
        kept = count * 3 // 4
        border = first
        for at in range(kept):
            border += sizes[output[written + at]]
        expected = output[written + kept]
        stop = min(last, border + window)
        count = _join_window(data, border, stop, byte_ids, characters, made, ranks, output, written + kept, merges)
        if kept > 0 and output[written + kept] == expected:
            written += kept
            first = border
        else:
            window *= 2
            stop = min(last, first + window)
            count = _join_window(data, first, stop, byte_ids, characters, made, ranks, output, written, merges)
    return written + count


@njit(nogil=True, cache=True)
def _join_window(
    data: npt.NDArray[np.uint8],
    first: int,
    last: int,
    byte_ids: npt.NDArray[np.int32],
    characters: npt.NDArray[np.int32],
    made: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.int32],
    output: npt.NDArray[np.int32],
    written: int,
    merges: npt.NDArray[np.int64],
) -> int:
    """Encode `data[first:last]` at once; return how many ids there are."""
    size = _start(data, first, last, byte_ids, characters, output, written) - written
    if size <= SHORT:
        return _join_short(output, written, size, made, ranks, merges)
    return _join_long(output[written : written + size], made, ranks)
