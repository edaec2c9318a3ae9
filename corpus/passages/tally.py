"""Counting by 64-bit key in bounded memory: how often a key occurs, and where first.

Keys are hashes, so a range of them is an even share of all, and a task that handles one range knows how much memory
that takes: `KEY_BYTES` per distinct key, however often it occurs. Whatever is counted is taken in the order in which
the corpus is stored, so `first` needs no sorting.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels.hash_table import doubled, find
from corpus.kernels.types import I32, I64, U32, U64, Bools

KEY_BYTES = 140  # of a distinct key in a `Tally`, at most: while its table is doubled; 50 to 105 before and after


class Numbering:
    """Keys get the numbers 0, 1, 2, ... in the order in which they first appear; `len()` is how many there are.

    What is known by key is then a plain array by number. The map from keys to numbers is at most half full.
    """

    def __init__(self) -> None:
        self._slots = np.zeros(2 << 10, np.uint64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def number(self, keys: U64) -> I64:
        """The number of each key, in order; new keys get the next ones."""
        out = np.empty(len(keys), np.int64)
        done = 0
        while done < len(keys):
            done, self._count = _number(keys, done, self._slots, self._count, out)
            if done < len(keys):
                self._slots = doubled(self._slots)
        return out


class Tally:
    """At how many positions each key is, and at which one first. Equal positions come together."""

    def __init__(self) -> None:
        self.numbering = Numbering()
        self._added = 0
        self._counts, self._first, self._last = np.zeros(0, np.int32), np.zeros(0, np.uint64), np.zeros(0, np.uint64)

    def add(self, keys: U64, positions: U64 | None = None) -> None:
        """Count keys at positions, `[n]` each; a key that a position has twice counts once.

        None: each key has a position of its own.
        """
        if positions is None:
            positions = np.arange(self._added, self._added + len(keys), dtype=np.uint64)
        self._added += len(keys)
        numbers = self.numbering.number(keys)
        columns = (self._counts, self._first, self._last)
        self._counts, self._first, self._last = (_with_room(column, len(self.numbering)) for column in columns)
        _tally(numbers, positions, self._counts, self._first, self._last)

    def of(self, keys: U64) -> tuple[I32, U64]:
        """`(positions, first position)` of keys that were counted before."""
        numbers = self.numbering.number(keys)
        return self._counts[numbers], self._first[numbers]


class FirstOccurrences:
    """Where each n-gram of `size` words was first; later ones repeat it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.numbering = Numbering()
        self._documents, self._words = np.zeros(0, np.uint64), np.zeros(0, np.uint32)

    def repeated(self, keys: U64, documents: U64, words: U32) -> Bools:
        """Whether each n-gram, found at a word of a document, occurs before.

        That is in an earlier document, or in this one where it ends before this one begins. N-grams come as the corpus
        is stored.
        """
        known = len(self.numbering)
        numbers = self.numbering.number(keys)
        self._documents = _with_room(self._documents, len(self.numbering))
        self._words = _with_room(self._words, len(self.numbering))
        return _repeated(numbers, known, documents, words, self.size, self._documents, self._words)


def _with_room(column: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The column with room for `size` values, at least doubled where it has to grow."""
    if size <= len(column):
        return column
    larger = np.zeros(max(size, 2 * len(column)), column.dtype)
    larger[: len(column)] = column
    return larger


@njit(nogil=True, cache=True)
def _number(keys: U64, first: int, slots: U64, count: int, out: I64) -> tuple[int, int]:
    """Number `keys[first:]` until the map is half full; return (how far it came, numbers given in all)."""
    for i in range(first, len(keys)):
        at = find(slots, keys[i])
        if slots[at + 1] == 0:
            if 4 * count >= len(slots):
                return i, count
            count += 1
            slots[at], slots[at + 1] = keys[i], count
        out[i] = np.int64(slots[at + 1]) - 1
    return len(keys), count


@njit(nogil=True, cache=True)
def _tally(numbers: I64, positions: U64, counts: I32, first: U64, last: U64) -> None:
    for i in range(len(numbers)):
        number = numbers[i]
        if counts[number] == 0:
            first[number] = positions[i]
        elif last[number] == positions[i]:
            continue
        last[number] = positions[i]
        counts[number] += 1


@njit(nogil=True, cache=True)
def _repeated(
    numbers: I64, known: int, documents: U64, words: U32, size: int, first_documents: U64, first_words: U32
) -> Bools:
    out = np.zeros(len(numbers), np.bool_)
    for i in range(len(numbers)):
        number = numbers[i]
        if number == known:
            first_documents[number], first_words[number] = documents[i], words[i]
            known += 1
        else:
            out[i] = documents[i] != first_documents[number] or words[i] >= first_words[number] + size
    return out
