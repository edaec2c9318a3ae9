"""Finding benchmark items in documents.

A document holds an item when it has at least `least_share` of the distinct n-grams of one of the item's texts. A share,
and not any single n-gram (GPT-3's rule), because a document that quotes the same sentence of a law or a manual as a
question does has not leaked the question; docs/decisions/decontamination.md compares both. The number of items held is
a signal like any other, with its threshold in the tables of the verdicts, and what matched is kept beside it, with its
place in the text.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.contamination.index import ANCHOR, Index, hash_words
from corpus.io.buffers import utf8_buffers
from corpus.kernels.simd import MIX_A
from corpus.kernels.words import new_scratch, split_words

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
    """An index made ready to scan documents with; holds 24 bytes an entry and a filter of 8 to 16 bits an entry."""

    def __init__(self, index: Index, least_share: float) -> None:
        self.pieces = index.pieces
        self._least = least_share
        anchors = index.entries["anchor"].to_numpy()
        self._lookup = _Lookup(
            anchors,
            index.entries["length"].to_numpy(),
            index.entries["hash"].to_numpy(),
            index.entries["piece"].to_numpy(),
            index.pieces["grams"].to_numpy(),
            *_table(anchors),
        )
        self._items = index.pieces["item"].to_numpy()
        sets = index.pieces["benchmark"].combine_chunks().dictionary_encode()
        self._sets = sets.indices.to_numpy()

    def match(self, ids: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.Table:
        """A table of `SCHEMA`, a row a document; matches in the order of sets, items and fields.

        `start` and `end` are the byte offsets in the text from the first n-gram that matched to the last.
        """
        data, offsets = utf8_buffers(texts)
        scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
        rows, pieces, counts, starts, ends = _scan(data, offsets, scratch, self._lookup, np.float32(self._least))
        grams = self._lookup.grams[pieces]
        matches: list[list[dict[str, Any]]] = [[] for _ in range(len(offsets) - 1)]
        items: list[set[tuple[int, int]]] = [set() for _ in matches]
        described = self.pieces.take(pa.array(pieces)).select(["benchmark", "item", "field"]).to_pylist()
        for at in np.lexsort((pieces, rows)):
            row, piece = rows[at], pieces[at]
            found = {"share": counts[at] / grams[at], "start": starts[at], "end": ends[at]}
            matches[row].append(described[at] | found)
            items[row].add((self._sets[piece], self._items[piece]))
        return pa.table([ids, pa.array([len(held) for held in items], pa.int32()), matches], schema=SCHEMA)


class _Lookup(NamedTuple):
    anchors: npt.NDArray[np.uint64]  # sorted
    lengths: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    pieces: npt.NDArray[np.int32]
    grams: npt.NDArray[np.int32]  # by piece
    slots: npt.NDArray[np.int32]  # open addressing: the first entry of an anchor, or -1
    bits: npt.NDArray[np.uint64]  # a filter of the anchors


def _table(anchors: npt.NDArray[np.uint64]) -> tuple[Any, Any]:
    size = 1 << max(6, (2 * len(anchors)).bit_length())
    slots, bits = np.full(size, -1, np.int32), np.zeros(size * 4 // 64, np.uint64)
    _fill(anchors, slots, bits)
    return slots, bits


@njit(nogil=True, cache=True)
def _fill(anchors, slots, bits):  # type: ignore[no-untyped-def]
    for entry in range(len(anchors)):
        if entry and anchors[entry] == anchors[entry - 1]:
            continue
        at = _mixed(anchors[entry])
        bit = at % _U64(64 * len(bits))
        bits[bit >> _U64(6)] |= _U64(1) << (bit & _U64(63))
        slot = at % _U64(len(slots))
        while slots[slot] >= 0:
            slot = (slot + _U64(1)) % _U64(len(slots))
        slots[slot] = entry


@njit(inline="always")
def _mixed(value):  # type: ignore[no-untyped-def]
    value = _U64(value)
    return (value ^ (value >> _U64(32))) * MIX_A >> _U64(16)


@njit(nogil=True, cache=True)
def _scan(data, offsets, scratch, index, least):  # type: ignore[no-untyped-def]
    """The texts that documents hold: (row, piece, n-grams found, start, end), as arrays."""
    seen = np.full(len(index.anchors), -1, np.int32)  # the last document that each entry was found in
    count = np.zeros(len(index.grams), np.int32)
    first = np.zeros(len(index.grams), np.int64)
    last = np.zeros(len(index.grams), np.int64)
    touched = np.empty(len(index.grams), np.int32)
    room = 64
    found = np.empty((room, 5), np.int64)
    total = 0
    leaving = _U64(1)
    for _ in range(ANCHOR):
        leaving *= MIX_A
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        hashes = scratch.hashes
        held = 0
        anchor = _U64(0)
        for end in range(words):
            anchor = anchor * MIX_A + hashes[end]
            at = end - ANCHOR + 1
            if at < 0:
                continue
            if at > 0:
                anchor -= hashes[at - 1] * leaving
            place = _mixed(anchor)
            bit = place % _U64(64 * len(index.bits))
            if not (index.bits[bit >> _U64(6)] >> (bit & _U64(63))) & _U64(1):
                continue
            slot = place % _U64(len(index.slots))
            while index.slots[slot] >= 0 and index.anchors[index.slots[slot]] != anchor:
                slot = (slot + _U64(1)) % _U64(len(index.slots))
            entry = index.slots[slot]
            if entry < 0:
                continue
            length = 0
            value = _U64(0)
            while entry < len(index.anchors) and index.anchors[entry] == anchor:
                if index.lengths[entry] != length:
                    length = index.lengths[entry]
                    if at + length > words:
                        break
                    value = hash_words(hashes, at, length)
                if index.hashes[entry] == value and seen[entry] != row:
                    seen[entry] = row
                    piece = index.pieces[entry]
                    if count[piece] == 0:
                        touched[held] = piece
                        held += 1
                        first[piece] = scratch.starts[at]
                    count[piece] += 1
                    last[piece] = max(last[piece], scratch.ends[at + length - 1])
                entry += 1
        for i in range(held):
            piece = touched[i]
            if np.float32(count[piece] / index.grams[piece]) >= least:
                if total == room:
                    room *= 2
                    larger = np.empty((room, 5), np.int64)
                    larger[:total] = found
                    found = larger
                found[total, 0] = row
                found[total, 1] = piece
                found[total, 2] = count[piece]
                found[total, 3] = first[piece] - offsets[row]
                found[total, 4] = last[piece] - offsets[row]
                total += 1
            count[piece] = 0
            last[piece] = 0
    return found[:total, 0], found[:total, 1], found[:total, 2], found[:total, 3], found[:total, 4]
