"""Windows of words: what two documents must share for a passage to be a repeat, and how repeats are found cheaply.

A repeated passage is a run of at least `size` words (Lee et al. 2022 take 50 tokens) that stands in two places. Equal
runs are equal *windows* of exactly `size` words, one beginning at each word of the run, so it is enough to know which
windows occur twice. Words are those of `corpus.kernels.words`: a CJK character is a word, and case, accents, width,
punctuation and spacing make no difference.

A key for every window of a corpus would be more bytes than the corpus. So each window is first known by its *anchor*:
of the runs of half as many words inside it, the one with the smallest hash (winnowing, Schleimer et al. 2003). Windows
that begin next to each other mostly have the same anchor, which makes one anchor in about `size / 4` words; and equal
windows have equal anchors, so a window can occur twice only where its anchor does. Only such windows get a key.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.simd import MIX_A, mix64
from corpus.kernels.words import new_scratch, split_words

_U32, _U64 = np.uint32, np.uint64
_ZERO, _ONE = _U64(0), _U64(1)
_BASE = _U64(0xD6E8FEB86659FD93)  # of the polynomial; odd, so that no word is lost from it


class Places(NamedTuple):
    """Keys with where they were found: the document's row among those given, and the number of its word."""

    keys: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.uint32]
    words: npt.NDArray[np.uint32]


def anchor_keys(text: pa.Array | pa.ChunkedArray, size: int) -> npt.NDArray[np.uint64]:
    """The anchors of the documents' windows of `size` words, one for each place that is an anchor; never 0."""
    data, offsets = utf8_buffers(text)
    longest = int(np.diff(offsets).max(initial=0))
    out = np.empty(_most_words(offsets), np.uint64)
    return out[: _anchors(data, offsets, new_scratch(longest), size, *_work(longest), out)].copy()


def window_keys(text: pa.Array | pa.ChunkedArray, size: int, shared: npt.NDArray[np.uint64]) -> Places:
    """The windows of `size` words whose anchor is in `shared`, an `anchor_set`."""
    data, offsets = utf8_buffers(text)
    longest = int(np.diff(offsets).max(initial=0))
    most = _most_words(offsets)
    out = Places(np.empty(most, np.uint64), np.empty(most, np.uint32), np.empty(most, np.uint32))
    count = _windows(data, offsets, new_scratch(longest), size, *_work(longest), shared, out)
    return Places(out.keys[:count].copy(), out.rows[:count].copy(), out.words[:count].copy())


def _most_words(offsets: npt.NDArray[np.int64]) -> int:
    """No text has more words than this: a word and what separates it are two bytes, or a word is three of them."""
    return int(offsets[-1]) // 2 + len(offsets)


def _work(longest: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Room for the runs, anchors and windows of a document."""
    most = longest // 2 + 2
    return np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, np.uint64)


@njit(nogil=True, cache=True)
def _run_hashes(words, count, size, out):  # type: ignore[no-untyped-def]
    """Write the hash of each run of `size` of `words[:count]` to `out` (a rolling polynomial); return how many."""
    runs = count - size + 1
    if runs <= 0:
        return 0
    lead = _ONE
    value = _ZERO
    for i in range(size):
        value = value * _BASE + words[i]
        lead *= _BASE
    out[0] = max(mix64(value), _ONE)
    for i in range(1, runs):
        value = value * _BASE + words[i + size - 1] - words[i - 1] * lead
        out[i] = max(mix64(value), _ONE)
    return runs


@njit(nogil=True, cache=True)
def _minima(values, count, width, out):  # type: ignore[no-untyped-def]
    """Write where the smallest of each `width` neighbours of `values[:count]` is, the last of equals, to `out`."""
    best = -1
    for i in range(count):
        if best < 0 or values[i] <= values[best]:
            best = i
        elif best <= i - width:
            best = i
            for j in range(i - 1, i - width, -1):
                if values[j] < values[best]:
                    best = j
        if i >= width - 1:
            out[i - width + 1] = best


@njit(nogil=True, cache=True)
def _find_anchors(words, count, size, runs, anchors):  # type: ignore[no-untyped-def]
    """Hash the runs of half as many words, and write which of them is the anchor of each window; return how many
    windows there are."""
    if count < size:
        return 0
    half = (size + 1) // 2
    _minima(runs, _run_hashes(words, count, half, runs), size - half + 1, anchors)
    return count - size + 1


@njit(nogil=True, cache=True)
def _anchors(data, offsets, scratch, size, runs, anchors, keys, out):  # type: ignore[no-untyped-def]
    """Write the hash of every run that is an anchor to `out`; return how many."""
    at = 0
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        windows = _find_anchors(scratch.hashes, words, size, runs, anchors)
        last = -1
        for i in range(windows):
            if anchors[i] != last:
                last = anchors[i]
                out[at] = runs[last]
                at += 1
    return at


def anchor_set(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A hash table of anchors (non-zero keys): open addressing, at most half full; 0 is an empty slot."""
    slots = np.zeros(1 << max(1, (2 * len(keys)).bit_length()), np.uint64)
    _fill(slots, keys)
    return slots


@njit(nogil=True, cache=True)
def _fill(slots, keys):  # type: ignore[no-untyped-def]
    for key in keys:
        slots[_slot(slots, key)] = key


@njit(inline="always")
def _slot(slots, key):  # type: ignore[no-untyped-def]
    """Where the key is, or would be."""
    mask = _U64(len(slots) - 1)
    at = (key * MIX_A) >> _U64(32) & mask
    while slots[at] != _ZERO and slots[at] != key:
        at = (at + _ONE) & mask
    return at


@njit(nogil=True, cache=True)
def _windows(data, offsets, scratch, size, runs, anchors, keys, shared, out):  # type: ignore[no-untyped-def]
    at = 0
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        windows = _find_anchors(scratch.hashes, words, size, runs, anchors)
        hashed = inside = False
        last = -1
        for i in range(windows):
            if anchors[i] != last:
                last = anchors[i]
                inside = shared[_slot(shared, runs[last])] == runs[last]
            if inside:
                if not hashed:
                    _run_hashes(scratch.hashes, words, size, keys)
                    hashed = True
                out.keys[at] = keys[i]
                out.rows[at] = row
                out.words[at] = i
                at += 1
    return at
