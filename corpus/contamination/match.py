"""Finding benchmark items in documents.

A document holds an item when it has at least `least_share` of the distinct n-grams of one of the item's texts. A
share, and not any single n-gram (GPT-3's rule): a document that quotes the same sentence of a law or a manual as a
question does has not leaked the question. Docs/decisions/decontamination.md compares both. The number of items held is
a signal like any other, with its threshold in the tables of the verdicts. What matched is kept beside it, with its
position in the text.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.contamination.index import HEAD, Index
from corpus.io.buffers import utf8_buffers
from corpus.kernels.hash_table import find, map_of, slots_for
from corpus.kernels.hashing import GOLDEN_RATIO, hash_ngram
from corpus.kernels.types import I32, I64, U8, U64, Word
from corpus.kernels.words import Scratch, new_scratch, split_words

_U64 = np.uint64
SIGNAL = "benchmark_items"
MATCH = pa.struct(
    [
        ("benchmark", pa.string()),
        ("item", pa.int32()),
        ("field", pa.string()),
        ("share", pa.float32()),
        ("start", pa.int64()),
        ("end", pa.int64()),
    ]
)
SCHEMA = pa.schema([("id", pa.string()), (SIGNAL, pa.int32()), ("matches", pa.list_(MATCH))])


class Matcher:
    """An index made ready to scan documents with; holds 24 bytes per entry, and 34 to 68 per distinct head."""

    def __init__(self, index: Index, least_share: float) -> None:
        self.texts = index.texts
        self._least = least_share
        heads = index.entries["head"].to_numpy()
        distinct, first = np.unique(heads, return_index=True)
        self._lookup = _Lookup(
            heads,
            index.entries["length"].to_numpy(),
            index.entries["hash"].to_numpy(),
            index.entries["text"].to_numpy(),
            index.texts["grams"].to_numpy(),
            map_of(distinct, first.astype(np.uint64) + _U64(1)),
            _filter_of(distinct),
        )
        self._items = index.texts["item"].to_numpy()
        sets = index.texts["benchmark"].combine_chunks().dictionary_encode()
        self._sets = sets.indices.to_numpy()

    def match(self, ids: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.Table:
        """A table of `SCHEMA`, a row per document; matches in the order of sets, items and fields.

        `start` and `end` are the byte offsets in the text from the first n-gram that matched to the last.
        """
        data, offsets = utf8_buffers(texts)
        scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
        rows, found, counts, starts, ends = _scan(data, offsets, scratch, self._lookup, np.float32(self._least))
        grams = self._lookup.grams[found]
        matches: list[list[dict[str, Any]]] = [[] for _ in range(len(offsets) - 1)]
        items: list[set[tuple[int, int]]] = [set() for _ in matches]
        described = self.texts.take(pa.array(found)).select(["benchmark", "item", "field"]).to_pylist()
        for at in np.lexsort((found, rows)):
            row, text = rows[at], found[at]
            where = {"share": counts[at] / grams[at], "start": starts[at], "end": ends[at]}
            matches[row].append(described[at] | where)
            items[row].add((self._sets[text], self._items[text]))
        return pa.table([ids, pa.array([len(held) for held in items], pa.int32()), matches], schema=SCHEMA)


class _Lookup(NamedTuple):
    heads: U64  # sorted
    lengths: I32
    hashes: U64
    texts: I32
    grams: I32  # by text
    entries: U64  # map from a head to its first entry, and 1
    bits: U64  # a filter of the heads: most words begin none, and this fits in a core's cache


def _filter_of(heads: U64) -> U64:
    bits = np.zeros(max(1, slots_for(len(heads), 16) // 64), np.uint64)  # 16 to 32 per head
    _set_bits(heads, bits)
    return bits


@njit(nogil=True, cache=True)
def _set_bits(heads: U64, bits: U64) -> None:
    for head in heads:
        bit = _bit(head, bits)
        bits[bit >> _U64(6)] |= _U64(1) << (bit & _U64(63))


@njit(inline="always")
def _bit(head: Word, bits: U64) -> Word:
    """The bit of a head in the filter, whose length is a power of two."""
    value = _U64(head)
    return (value ^ (value >> _U64(32))) * GOLDEN_RATIO >> _U64(16) & _U64(64 * len(bits) - 1)


@njit(nogil=True, cache=True)
def _scan(
    data: U8, offsets: I64, scratch: Scratch, index: _Lookup, least: np.float32
) -> tuple[I64, I64, I64, I64, I64]:
    """The texts that documents hold: (row, text, n-grams found, start, end), as arrays."""
    seen = np.full(len(index.heads), -1, np.int32)  # the last document that each entry was found in
    count = np.zeros(len(index.grams), np.int32)
    first = np.zeros(len(index.grams), np.int64)
    last = np.zeros(len(index.grams), np.int64)
    touched = np.empty(len(index.grams), np.int32)
    room = 64
    found = np.empty((room, 5), np.int64)
    total = 0
    leaving = _U64(1)
    for _ in range(HEAD):
        leaving *= GOLDEN_RATIO
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        hashes = scratch.hashes
        held = 0
        head = _U64(0)
        for end in range(words):
            head = head * GOLDEN_RATIO + hashes[end]
            at = end - HEAD + 1
            if at < 0:
                continue
            if at > 0:
                head -= hashes[at - 1] * leaving
            bit = _bit(head, index.bits)
            if not (index.bits[bit >> _U64(6)] >> (bit & _U64(63))) & _U64(1):
                continue
            entry = np.int64(index.entries[find(index.entries, head) + 1]) - 1
            if entry < 0:
                continue
            length = 0
            value = _U64(0)
            while entry < len(index.heads) and index.heads[entry] == head:
                if index.lengths[entry] != length:
                    length = index.lengths[entry]
                    if at + length > words:
                        break
                    value = hash_ngram(hashes, at, length)
                if index.hashes[entry] == value and seen[entry] != row:
                    seen[entry] = row
                    text = index.texts[entry]
                    if count[text] == 0:
                        touched[held] = text
                        held += 1
                        first[text] = scratch.starts[at]
                    count[text] += 1
                    last[text] = max(last[text], scratch.ends[at + length - 1])
                entry += 1
        for i in range(held):
            text = touched[i]
            if np.float32(count[text] / index.grams[text]) >= least:
                if total == room:
                    room *= 2
                    larger = np.empty((room, 5), np.int64)
                    larger[:total] = found
                    found = larger
                found[total, 0] = row
                found[total, 1] = text
                found[total, 2] = count[text]
                found[total, 3] = first[text] - offsets[row]
                found[total, 4] = last[text] - offsets[row]
                total += 1
            count[text] = 0
            last[text] = 0
    return found[:total, 0], found[:total, 1], found[:total, 2], found[:total, 3], found[:total, 4]
