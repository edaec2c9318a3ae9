"""Counting pretokens: how often each pretoken of the pre-tokenizer occurs in a text.

All that byte-pair training needs of a corpus is this table; it is counted in parallel, a shard each, and added up. It
is an Arrow table with columns `pretoken` (large_binary) and `count` (int64), ordered by the pretoken's hash. So equal
counts are equal bytes and a range of hashes can be merged on its own. Counts are 64-bit: `tokenizers` adds them up in
32 and overflows without a word."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.bytes_table import FIELDS, HASH, LENGTH, SPARE, START, VALUE, add, find, move, new_table
from corpus.kernels.hashing import hash_key
from corpus.kernels.memory import prefetch
from corpus.kernels.types import I64, U8, U64, Word
from tokenizer.characters import class_table
from tokenizer.pretokenizer import new_memo, scan

SCHEMA = pa.schema([("pretoken", pa.large_binary()), ("count", pa.int64())])
_CHUNK = 1024  # pretokens per scan; the table always has room for one chunk


class PretokenCounter:
    """Counts the pretokens of any number of text columns. Memory grows with the distinct ones, not with the text."""

    def __init__(self) -> None:
        self._slots, self._arena = new_table(1 << 16, 1 << 20)
        self._state = np.zeros(4, np.int64)  # document, position in the data, distinct pretokens, bytes of the arena
        self._ends = np.empty(_CHUNK, np.int64)
        self._hashes = np.empty(_CHUNK, np.uint64)

    @property
    def distinct(self) -> int:
        """How many different pretokens have been counted."""
        return int(self._state[2])

    def add(self, column: pa.Array | pa.ChunkedArray) -> None:
        """Count the pretokens of each document of a string column."""
        data, offsets = utf8_buffers(column)
        memo, classes = new_memo(), class_table()
        self._state[0], self._state[1] = 0, 0
        while need := _count(
            data, offsets, classes, self._slots, self._arena, self._state, self._ends, self._hashes, memo
        ):
            self._grow(need)

    def add_counts(self, counts: pa.Table) -> None:
        """Add a table of counts."""
        data, offsets = utf8_buffers(counts["pretoken"])
        weights = read_weights(counts)
        self._state[0] = 0
        while need := _add_counts(data, offsets, weights, self._slots, self._arena, self._state):
            self._grow(need)

    def _grow(self, need: int) -> None:
        """Make room for one more chunk and for `need` bytes of pretokens."""
        if 2 * (int(self._state[2]) + _CHUNK) * FIELDS > len(self._slots):
            slots, self._slots = self._slots, np.zeros(2 * len(self._slots), np.int64)
            move(slots, self._slots)
        size = len(self._arena)
        while size - SPARE < int(self._state[3]) + need:
            size *= 2
        if size > len(self._arena):
            arena, self._arena = self._arena, np.zeros(size, np.uint8)
            self._arena[: len(arena)] = arena

    def result(self, min_count: int = 1) -> pa.Table:
        """The counts of at least `min_count`, ordered by (hash, pretoken)."""
        slots = self._slots.reshape(-1, FIELDS)
        slots = slots[(slots[:, LENGTH] != 0) & (slots[:, VALUE] >= min_count)]
        hashes = slots[:, HASH].astype(np.uint64)
        order = np.argsort(hashes, kind="stable")
        slots, hashes = slots[order], hashes[order]
        counts = pa.table([_gather(slots, self._arena), slots[:, VALUE].copy()], schema=SCHEMA)
        # Pretokens that share a hash, of which there are a handful in millions, are ordered by their bytes.
        shared = np.flatnonzero(hashes[1:] == hashes[:-1])
        if not len(shared):
            return counts
        rows = np.arange(len(counts))
        for first in shared[np.diff(shared, prepend=-2) > 1].tolist():
            run = slice(first, int(np.searchsorted(hashes, hashes[first], "right")))
            rows[run] = sorted(rows[run].tolist(), key=lambda row: counts["pretoken"][row].as_py())
        return counts.take(rows)


def read_weights(counts: pa.Table) -> I64:
    """The counts of a table, int64[rows]; always writable, because a kernel is compiled anew for a read-only array."""
    return np.array(counts["count"].to_numpy())


def merge_counts(tables: Iterable[pa.Table], min_count: int = 1) -> pa.Table:
    """The sum of tables of counts, less the pretokens that occur fewer than `min_count` times in all."""
    counter = PretokenCounter()
    for counts in tables:
        counter.add_counts(counts)
    return counter.result(min_count)


@njit(nogil=True, cache=True)
def hash_rows(data: U8, offsets: I64) -> U64:
    """A 64-bit hash of each row of `utf8_buffers`: uint64[rows]. It depends on the row's bytes alone."""
    hashes = np.empty(offsets.size - 1, np.uint64)
    for row in range(hashes.size):
        hashes[row] = hash_key(data, offsets[row], offsets[row + 1])
    return hashes


@njit(nogil=True, cache=True)
def _count(
    data: U8, offsets: I64, classes: U8, slots: I64, arena: U8, state: I64, ends: I64, hashes: U64, memo: I64
) -> Word:
    """Count from `state` on; return 0 when all is counted, or the bytes of arena that the next chunk may need."""
    document, at, used, arena_used = state[0], state[1], state[2], state[3]
    mask = np.uint64(slots.size // FIELDS - 1)
    need = np.int64(0)
    while document < offsets.size - 1:
        last = offsets[document + 1]
        if at >= last:
            document += 1
            memo[0] = 0
            continue
        count, stop = scan(data, at, last, classes, ends, memo)
        if 2 * (used + count) * FIELDS > slots.size or arena_used + stop - at > arena.size - SPARE:
            need = stop - at + 1
            memo[0] = 0
            break
        first = at
        for number in range(count):
            hashed = hash_key(data, first, ends[number])
            hashes[number] = hashed
            prefetch(slots, np.int64(hashed & mask) * FIELDS)
            first = ends[number]
        for number in range(count):
            slot = find(slots, arena, hashes[number], data, at, ends[number])
            if slots[slot + LENGTH] == 0:
                arena_used = add(slots, arena, slot, hashes[number], data, at, ends[number], arena_used)
                used += 1
            slots[slot + VALUE] += 1
            at = ends[number]
    state[0], state[1], state[2], state[3] = document, at, used, arena_used
    return need


@njit(nogil=True, cache=True)
def _add_counts(data: U8, offsets: I64, weights: I64, slots: I64, arena: U8, state: I64) -> Word:
    """As `_count`, for rows that are pretokens already."""
    row, used, arena_used = state[0], state[2], state[3]
    need = np.int64(0)
    while row < offsets.size - 1:
        first, last = offsets[row], offsets[row + 1]
        if 2 * (used + 1) * FIELDS > slots.size or arena_used + last - first > arena.size - SPARE:
            need = last - first + 1
            break
        hashed = hash_key(data, first, last)
        slot = find(slots, arena, hashed, data, first, last)
        if slots[slot + LENGTH] == 0:
            arena_used = add(slots, arena, slot, hashed, data, first, last, arena_used)
            used += 1
        slots[slot + VALUE] += weights[row]
        row += 1
    state[0], state[2], state[3] = row, used, arena_used
    return need


@njit(nogil=True, cache=True)
def _copy_keys(slots: I64, arena: U8, offsets: I64, data: U8) -> None:
    for row in range(slots.shape[0]):
        start = slots[row, START]
        for byte in range(slots[row, LENGTH]):
            data[offsets[row] + byte] = arena[start + byte]


def _gather(slots: I64, arena: U8) -> pa.Array:
    """The keys of some slots as a large_binary array."""
    offsets = np.zeros(len(slots) + 1, np.int64)
    np.cumsum(slots[:, LENGTH], out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    _copy_keys(slots, arena, offsets, data)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(slots), buffers)
