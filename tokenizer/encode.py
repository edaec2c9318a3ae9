"""Encoding: a column of documents to token ids, the same ids as the `tokenizers` library's.

Text is ordinary text: `<｜end▁of▁sentence｜>` in a web page is encoded as the characters it is made of, never as the special
token, so nobody can write a document boundary into the corpus (in the library: `encode_special_tokens = True`). The
special token is added by `Encoder` behind each document (and BOS before it, where asked for).

Pieces repeat, so the ids of a piece are remembered. A piece that is new is joined by rank: always the leftmost of the
pairs of lowest rank. Short pieces look through their pairs for it; long ones keep a heap, because a run of a million
characters without a cut would take hours otherwise."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.buffers import utf8_buffers
from tokenizer.bytes_table import FIELDS, LENGTH, SPARE, VALUE, add, find, hash_bytes, new_table, prefetch
from tokenizer.characters import class_table
from tokenizer.pretokenizer import new_memo, scan
from tokenizer.vocabulary import Vocabulary

_CHUNK = 1024  # pieces a scan
_BLOCK = 1 << 20  # ids that one output block holds
_SLOTS = 1 << 19  # of the memory of pieces: 16 MiB, half of them used before it is emptied
_CACHED = 64  # bytes of the longest piece that is remembered; longer ones hardly repeat
_SHORT = 48  # symbols up to which looking through all pairs beats the heap
_NO_RANK = np.int32(2**31 - 1)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio

# What `_encode` keeps between calls: where it is, how full the output block and the memory of pieces are, and whether it
# is inside a document.
_DOCUMENT, _AT, _WRITTEN, _USED, _ARENA_USED, _STARTED = range(6)


class Encoder:
    """Encodes columns of text with one vocabulary. It keeps a memory of pieces: use one a thread."""

    def __init__(self, vocabulary: Vocabulary, bos: bool = False, eos: bool = True) -> None:
        """`bos`, `eos`: whether each document gets BOS before and EOS behind it."""
        self.vocabulary = vocabulary
        self._before = vocabulary.bos if bos else -1
        self._after = vocabulary.eos if eos else -1
        self._ranks = _rank_table(vocabulary)
        self._byte_ids = vocabulary.byte_ids
        self._slots, self._arena = new_table(_SLOTS, _SLOTS // 2 * _CACHED)
        self._ids = np.empty(_SLOTS // 2 * _CACHED, np.int32)
        self._ends = np.empty(_CHUNK, np.int64)
        self._hashes = np.empty(_CHUNK, np.uint64)
        self._state = np.zeros(6, np.int64)

    def encode_column(self, column: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Encode a string column: `(tokens, lengths)`, the ids of all documents end to end (int32) and how many each
        has (int32[rows]). Nulls are empty documents. Bytes that are not UTF-8 are encoded so that they decode to
        themselves."""
        return self.encode_buffers(*utf8_buffers(column))

    def encode_buffers(
        self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """As `encode_column`, for what `corpus.buffers.utf8_buffers` returns."""
        lengths = np.zeros(len(offsets) - 1, np.int32)
        state = self._state
        state[[_DOCUMENT, _AT, _STARTED]] = 0
        memo, classes = new_memo(), class_table()
        blocks = []
        need = 1
        while need:
            block = np.empty(max(_BLOCK, need + 2), np.int32)
            state[_WRITTEN] = 0
            need = _encode(
                data, offsets, classes, *self._ranks, self._byte_ids, self._before, self._after,
                self._slots, self._arena, self._ids, self._ends, self._hashes, memo, state, block, lengths,
            )  # fmt: skip
            blocks.append(block[: state[_WRITTEN]])
        return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)), lengths

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """The ids of one text, int32, without BOS and EOS: for people and tests."""
        before, after, self._before, self._after = self._before, self._after, -1, -1
        try:
            return self.encode_column(pa.array([text], pa.large_string()))[0]
        finally:
            self._before, self._after = before, after


def _rank_table(
    vocabulary: Vocabulary,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """A hash table from a pair of ids to the rank of its merge and to the id that it makes."""
    size = 1 << max(4, int(4 * len(vocabulary.made)).bit_length())
    keys, ranks, made = np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(size, np.int32)
    _fill_ranks(vocabulary.pairs, vocabulary.made, keys, ranks, made)
    return keys, ranks, made


@njit(nogil=True, cache=True)
def _fill_ranks(pairs, results, keys, ranks, made):
    for rank in range(results.size):
        key = _pair(pairs[rank, 0], pairs[rank, 1])
        slot = _slot(keys, key)
        keys[slot] = key
        ranks[slot] = rank
        made[slot] = results[rank]


@njit(nogil=True, cache=True)
def _pair(left, right):
    return (np.uint64(left + 1) << np.uint64(32)) | np.uint64(right + 1)


@njit(nogil=True, cache=True)
def _slot(keys, key):
    mask = np.uint64(keys.size - 1)
    slot = key * _MULTIPLIER
    slot = (slot ^ (slot >> np.uint64(29))) & mask
    while keys[slot] != np.uint64(0) and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@njit(nogil=True, cache=True)
def _rank_of(keys, ranks, left, right):
    key = _pair(left, right)
    slot = _slot(keys, key)
    return ranks[slot] if keys[slot] == key else _NO_RANK


@njit(nogil=True, cache=True)
def _join_short(symbols, size, best, keys, ranks, made):
    """Join `symbols[:size]` in place; `best` is room for as many ranks. Returns how many symbols are left."""
    for at in range(size - 1):
        best[at] = _rank_of(keys, ranks, symbols[at], symbols[at + 1])
    while size > 1:
        lowest = _NO_RANK
        where = 0
        for at in range(size - 1):
            if best[at] < lowest:
                lowest = best[at]
                where = at
        if lowest == _NO_RANK:
            break
        symbols[where] = made[_slot(keys, _pair(symbols[where], symbols[where + 1]))]
        size -= 1
        for at in range(where + 1, size):
            symbols[at] = symbols[at + 1]
            best[at] = best[at + 1]
        if where > 0:
            best[where - 1] = _rank_of(keys, ranks, symbols[where - 1], symbols[where])
        if where < size - 1:
            best[where] = _rank_of(keys, ranks, symbols[where], symbols[where + 1])
    return size


@njit(nogil=True, cache=True)
def _join_long(symbols, size, keys, ranks, made):
    """As `_join_short`, in O(size log size): a heap of (rank, place), a list linked both ways, outdated entries skipped."""
    after = np.arange(1, size + 1)
    before = np.arange(-1, size - 1)
    heap = np.empty(3 * size, np.int64)  # rank << 32 | place; each join adds at most two to size - 1 entries
    entries = 0
    for at in range(size - 1):
        rank = _rank_of(keys, ranks, symbols[at], symbols[at + 1])
        if rank != _NO_RANK:
            entries = _heap_push(heap, entries, (np.int64(rank) << 32) | at)
    while entries > 0:
        top = heap[0]
        entries = _heap_pop(heap, entries)
        at = top & 0xFFFFFFFF
        right = after[at]
        if symbols[at] < 0 or right >= size:
            continue
        if _rank_of(keys, ranks, symbols[at], symbols[right]) != top >> 32:
            continue
        symbols[at] = made[_slot(keys, _pair(symbols[at], symbols[right]))]
        symbols[right] = -1
        after[at] = after[right]
        if after[at] < size:
            before[after[at]] = at
            rank = _rank_of(keys, ranks, symbols[at], symbols[after[at]])
            if rank != _NO_RANK:
                entries = _heap_push(heap, entries, (np.int64(rank) << 32) | at)
        if before[at] >= 0:
            rank = _rank_of(keys, ranks, symbols[before[at]], symbols[at])
            if rank != _NO_RANK:
                entries = _heap_push(heap, entries, (np.int64(rank) << 32) | before[at])
    left = 0
    for at in range(size):
        if symbols[at] >= 0:
            symbols[left] = symbols[at]
            left += 1
    return left


@njit(nogil=True, cache=True)
def _heap_push(heap, size, value):
    at = size
    while at > 0 and heap[(at - 1) >> 1] > value:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = value
    return size + 1


@njit(nogil=True, cache=True)
def _heap_pop(heap, size):
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
def _join(data, first, last, byte_ids, keys, ranks, made, output, written, best):
    """Encode the piece `data[first:last]` into `output` from `written` on; return the new `written`."""
    size = last - first
    symbols = output[written : written + size]
    for at in range(size):
        symbols[at] = byte_ids[data[first + at]]
    if size <= _SHORT:
        return written + _join_short(symbols, size, best, keys, ranks, made)
    return written + _join_long(symbols, size, keys, ranks, made)


@njit(nogil=True, cache=True)
def _encode(
    data, offsets, classes, keys, ranks, made, byte_ids, before, after,
    slots, arena, ids, ends, hashes, memo, state, output, lengths,
):  # fmt: skip
    """Encode from `state` on until all is done (return 0) or `output` may be too small for what comes next (return the
    room that is needed)."""
    document, at, written = state[_DOCUMENT], state[_AT], state[_WRITTEN]
    used, arena_used = state[_USED], state[_ARENA_USED]
    mask = np.uint64(slots.size // FIELDS - 1)
    best = np.empty(_SHORT, np.int32)
    need = np.int64(0)
    while document < lengths.size and need == 0:
        last = offsets[document + 1]
        if written + 2 > output.size:
            need = 2
            break
        if not state[_STARTED]:
            state[_STARTED] = 1
            memo[0] = 0
            if before >= 0:
                output[written] = before
                written += 1
                lengths[document] += 1
        if at >= last:
            if after >= 0:
                output[written] = after
                written += 1
                lengths[document] += 1
            document += 1
            state[_STARTED] = 0
            continue
        count, _ = scan(data, at, last, classes, ends, memo)
        first = at
        for piece in range(count):
            hashed = hash_bytes(data, first, ends[piece])
            hashes[piece] = hashed
            prefetch(slots, np.int64(hashed & mask) * FIELDS)
            first = ends[piece]
        start = written
        for piece in range(count):
            end = ends[piece]
            size = end - at
            if written + size + 2 > output.size:
                need = size
                memo[0] = 0
                break
            if size > _CACHED:
                written = _join(data, at, end, byte_ids, keys, ranks, made, output, written, best)
                at = end
                continue
            slot = find(slots, arena, hashes[piece], data, at, end)
            if slots[slot + LENGTH]:
                value = slots[slot + VALUE]
                from_, length = value >> 8, value & 0xFF
                for index in range(length):
                    output[written + index] = ids[from_ + index]
                written += length
            else:
                joined = _join(data, at, end, byte_ids, keys, ranks, made, output, written, best)
                if 2 * (used + 1) * FIELDS > slots.size:
                    slots[:] = 0
                    used, arena_used = 0, 0
                    slot = find(slots, arena, hashes[piece], data, at, end)
                for index in range(joined - written):
                    ids[arena_used + index] = output[written + index]
                slots[slot + VALUE] = (arena_used << 8) | (joined - written)
                arena_used = add(slots, arena, slot, hashes[piece], data, at, end, arena_used)
                used += 1
                written = joined
            at = end
        lengths[document] += written - start
    state[_DOCUMENT], state[_AT], state[_WRITTEN] = document, at, written
    state[_USED], state[_ARENA_USED] = used, arena_used
    return need
