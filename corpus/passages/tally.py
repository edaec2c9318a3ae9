"""Counting by 64-bit key in bounded memory: how often a key occurs, and where first.

Keys are hashes, so a range of them is an even share of all, and a task that handles one range knows how much memory
that takes: `KEY_BYTES` a distinct key, however often it occurs. Whatever is counted is taken in the order in which the
corpus is stored, so `first` needs no sorting.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels.simd import MIX_A

KEY_BYTES = 140  # a distinct key of a `Tally`, at most: while its table is doubled; 50 to 105 before and after

_U64 = np.uint64
_ONE = _U64(1)


class Numbering:
    """Keys get the numbers 0, 1, 2, ... in the order in which they first appear; `len()` is how many there are.

    What is known by key is then a plain array by number. The table is open addressing, doubled when it is half full.
    """

    def __init__(self) -> None:
        self._keys = np.zeros(1 << 10, np.uint64)
        self._numbers = np.full(1 << 10, -1, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def number(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The number of each key, in order; new keys get the next ones."""
        out = np.empty(len(keys), np.int64)
        done = 0
        while done < len(keys):
            done, self._count = _number(keys, done, self._keys, self._numbers, self._count, out)
            if done < len(keys):
                self._double()
        return out

    def _double(self) -> None:
        there = self._numbers >= 0
        keys, numbers = self._keys[there], self._numbers[there]
        self._keys = np.zeros(2 * len(self._keys), np.uint64)
        self._numbers = np.full(len(self._keys), -1, np.int64)
        _place(keys, numbers, self._keys, self._numbers)


class Tally:
    """In how many places each key is, and in which one first. Equal places come together."""

    def __init__(self) -> None:
        self.numbering = Numbering()
        self._added = 0
        self._counts, self._first, self._last = np.zeros(0, np.int32), np.zeros(0, np.uint64), np.zeros(0, np.uint64)

    def add(self, keys: npt.NDArray[np.uint64], places: npt.NDArray[np.uint64] | None = None) -> None:
        """Count keys at places, `[n]` each; a key that a place has twice counts once. None: each has its own place."""
        if places is None:
            places = np.arange(self._added, self._added + len(keys), dtype=np.uint64)
        self._added += len(keys)
        numbers = self.numbering.number(keys)
        columns = (self._counts, self._first, self._last)
        self._counts, self._first, self._last = (grown(column, len(self.numbering)) for column in columns)
        _tally(numbers, places, self._counts, self._first, self._last)

    def of(self, keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
        """`(places, first place)` of keys that were counted before."""
        numbers = self.numbering.number(keys)
        return self._counts[numbers], self._first[numbers]


class FirstPlaces:
    """Where each window of `size` words was first; later ones repeat it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.numbering = Numbering()
        self._documents, self._words = np.zeros(0, np.uint64), np.zeros(0, np.uint32)

    def repeated(
        self, keys: npt.NDArray[np.uint64], documents: npt.NDArray[np.uint64], words: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.bool_]:
        """Whether each window, found at a word of a document, is elsewhere before: in an earlier document, or in this
        one where it ends before this begins. Windows come as the corpus is stored."""
        known = len(self.numbering)
        numbers = self.numbering.number(keys)
        self._documents = grown(self._documents, len(self.numbering))
        self._words = grown(self._words, len(self.numbering))
        return _repeated(numbers, known, documents, words, self.size, self._documents, self._words)


def grown(column: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The column with room for `size` values, at least doubled where it has to grow."""
    if size <= len(column):
        return column
    larger = np.zeros(max(size, 2 * len(column)), column.dtype)
    larger[: len(column)] = column
    return larger


@njit(inline="always")
def _slot(slots, taken, key):  # type: ignore[no-untyped-def]
    """Where the key is, or would be."""
    mask = _U64(len(slots) - 1)
    at = (key * MIX_A) >> _U64(20) & mask
    while taken[at] >= 0 and slots[at] != key:
        at = (at + _ONE) & mask
    return at


@njit(nogil=True, cache=True)
def _number(keys, first, slots, numbers, count, out):  # type: ignore[no-untyped-def]
    """Number `keys[first:]` until the table is half full; return (how far it came, numbers given in all)."""
    for i in range(first, len(keys)):
        at = _slot(slots, numbers, keys[i])
        if numbers[at] < 0:
            if 2 * count >= len(slots):
                return i, count
            slots[at] = keys[i]
            numbers[at] = count
            count += 1
        out[i] = numbers[at]
    return len(keys), count


@njit(nogil=True, cache=True)
def _place(keys, values, slots, numbers):  # type: ignore[no-untyped-def]
    for i in range(len(keys)):
        at = _slot(slots, numbers, keys[i])
        slots[at] = keys[i]
        numbers[at] = values[i]


@njit(nogil=True, cache=True)
def _tally(numbers, places, counts, first, last):  # type: ignore[no-untyped-def]
    for i in range(len(numbers)):
        number = numbers[i]
        if counts[number] == 0:
            first[number] = places[i]
        elif last[number] == places[i]:
            continue
        last[number] = places[i]
        counts[number] += 1


@njit(nogil=True, cache=True)
def _repeated(numbers, known, documents, words, size, first_documents, first_words):  # type: ignore[no-untyped-def]
    out = np.zeros(len(numbers), np.bool_)
    for i in range(len(numbers)):
        number = numbers[i]
        if number == known:
            first_documents[number], first_words[number] = documents[i], words[i]
            known += 1
        else:
            out[i] = documents[i] != first_documents[number] or words[i] >= first_words[number] + size
    return out
