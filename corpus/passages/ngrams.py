"""N-grams of words: what two documents must share for a passage to be a repeat, and how repeats are found cheaply.

A repeated passage is a run of at least `size` words (Lee et al. 2022 take 50 tokens) that occurs twice. Equal runs are
equal *n-grams* of exactly `size` words, one beginning at each word of the run, so it is enough to know which n-grams
occur twice. Words are those of `corpus.kernels.words`: a CJK character is a word, and case, accents, width, punctuation
and spacing make no difference.

A key for every n-gram of a corpus would be more bytes than the corpus. So each n-gram is first known by its
*minimizer*: of the runs of half as many words inside it, the one with the smallest hash (winnowing, Schleimer et al.
2003). N-grams that begin next to each other mostly have the same minimizer, which makes one minimizer in about
`size / 4` words. Equal n-grams have equal minimizers, so an n-gram can occur twice only where its minimizer does. Only
such n-grams get a key.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.hash_table import has, set_of
from corpus.kernels.hashing import fmix64
from corpus.kernels.types import I64, U8, U32, U64
from corpus.kernels.words import Scratch, new_scratch, split_words

_U64 = np.uint64
_ZERO, _ONE = _U64(0), _U64(1)
_BASE = _U64(0xD6E8FEB86659FD93)  # of the polynomial; odd, so that no word is lost from it


class NgramKeys(NamedTuple):
    """Keys of n-grams, each with the document's row among those given and the number of its first word."""

    keys: U64
    rows: U32
    words: U32


def minimizer_keys(text: pa.Array | pa.ChunkedArray, size: int) -> U64:
    """The minimizers of the documents' n-grams of `size` words, once per run that is one; never 0."""
    data, offsets = utf8_buffers(text)
    longest = int(np.diff(offsets).max(initial=0))
    out = np.empty(_most_words(offsets), np.uint64)
    return out[: _minimizers(data, offsets, new_scratch(longest), size, *_work(longest), out)].copy()


def ngram_keys(text: pa.Array | pa.ChunkedArray, size: int, repeated: U64) -> NgramKeys:
    """The n-grams of `size` words whose minimizer is in `repeated`, a `minimizer_set`."""
    data, offsets = utf8_buffers(text)
    longest = int(np.diff(offsets).max(initial=0))
    most = _most_words(offsets)
    out = NgramKeys(np.empty(most, np.uint64), np.empty(most, np.uint32), np.empty(most, np.uint32))
    count = _ngrams(data, offsets, new_scratch(longest), size, *_work(longest), repeated, out)
    return NgramKeys(out.keys[:count].copy(), out.rows[:count].copy(), out.words[:count].copy())


def minimizer_set(keys: U64) -> U64:
    """Minimizers as `ngram_keys` takes them: 8 bytes per slot, at most half full."""
    return set_of(keys)


def _most_words(offsets: I64) -> int:
    """No text has more words than this: a word and what separates it are two bytes, or a word is three of them."""
    return int(offsets[-1]) // 2 + len(offsets)


def _work(longest: int) -> tuple[U64, I64, U64]:
    """Room for the runs, minimizers and n-grams of a document."""
    most = longest // 2 + 2
    return np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, np.uint64)


@njit(nogil=True, cache=True)
def _run_hashes(words: U64, count: int, size: int, out: U64) -> int:
    """Write the hash of each run of `size` of `words[:count]` to `out` (a rolling polynomial); return how many."""
    runs = count - size + 1
    if runs <= 0:
        return 0
    lead = _ONE
    value = _ZERO
    for i in range(size):
        value = value * _BASE + words[i]
        lead *= _BASE
    out[0] = max(fmix64(value), _ONE)
    for i in range(1, runs):
        value = value * _BASE + words[i + size - 1] - words[i - 1] * lead
        out[i] = max(fmix64(value), _ONE)
    return runs


@njit(nogil=True, cache=True)
def _minima(values: U64, count: int, width: int, out: I64) -> None:
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
def _find_minimizers(words: U64, count: int, size: int, runs: U64, minimizers: I64) -> int:
    """Hash the runs of half as many words, and write which is the minimizer of each n-gram; return how many n-grams."""
    if count < size:
        return 0
    half = (size + 1) // 2
    _minima(runs, _run_hashes(words, count, half, runs), size - half + 1, minimizers)
    return count - size + 1


@njit(nogil=True, cache=True)
def _minimizers(
    data: U8, offsets: I64, scratch: Scratch, size: int, runs: U64, minimizers: I64, keys: U64, out: U64
) -> int:
    """Write the hash of every run that is a minimizer to `out`; return how many."""
    at = 0
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        ngrams = _find_minimizers(scratch.hashes, words, size, runs, minimizers)
        last = -1
        for i in range(ngrams):
            if minimizers[i] != last:
                last = minimizers[i]
                out[at] = runs[last]
                at += 1
    return at


@njit(nogil=True, cache=True)
def _ngrams(
    data: U8,
    offsets: I64,
    scratch: Scratch,
    size: int,
    runs: U64,
    minimizers: I64,
    keys: U64,
    repeated: U64,
    out: NgramKeys,
) -> int:
    at = 0
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        ngrams = _find_minimizers(scratch.hashes, words, size, runs, minimizers)
        hashed = inside = False
        last = -1
        for i in range(ngrams):
            if minimizers[i] != last:
                last = minimizers[i]
                inside = has(repeated, runs[last])
            if inside:
                if not hashed:
                    _run_hashes(scratch.hashes, words, size, keys)
                    hashed = True
                out.keys[at] = keys[i]
                out.rows[at] = row
                out.words[at] = i
                at += 1
    return at
