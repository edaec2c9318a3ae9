"""What trade a page is of: the share of its words that lie inside phrases of adult, gambling and spam pages.

One look-up a word in most texts: a table holds the hash of every beginning of every phrase, so the search at a word
stops where no phrase goes on. Of phrases that begin at one word the longest counts, and the search goes on behind it.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.simd import MIX_A
from corpus.kernels.words import new_scratch, split_words, words_of
from corpus.safety.lexicon import TRADES, phrases

SIGNALS = tuple(f"{trade}_share" for trade in TRADES)
SCHEMA = pa.schema([pa.field(name, pa.float32()) for name in SIGNALS])
_U64 = np.uint64
_GOES_ON, _FREE = -1, -2  # marks in the table: a beginning that is no phrase yet; an empty slot


class _Phrases(NamedTuple):
    keys: npt.NDArray[np.uint64]  # open addressing: hashes of beginnings
    trades: npt.NDArray[np.int8]  # the trade whose phrase it is, or a mark


def trade_shares(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """A table of `SCHEMA` for a (large_)string column, a row a document; null is empty, and empty is 0."""
    data, offsets = utf8_buffers(texts)
    scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
    shares = np.zeros((len(offsets) - 1, len(SIGNALS)), np.float32)
    _measure(data, offsets, scratch, _lexicon(), shares)
    return pa.Table.from_arrays([pa.array(shares[:, i]) for i in range(len(SIGNALS))], schema=SCHEMA)


def lexicon_hash() -> str:
    """What stands for the phrases of all trades: another lexicon gives other shares."""
    lines = (f"{trade}\t{phrase}" for trade in TRADES for phrase in phrases(trade))
    return xxhash.xxh3_64_hexdigest("\n".join(lines).encode())


@functools.cache
def _lexicon() -> _Phrases:
    marks: dict[int, int] = {}
    for number, trade in enumerate(TRADES):
        for phrase in phrases(trade):
            value = 0
            words = words_of(phrase)
            for place, (_, word) in enumerate(words):
                value = (value * int(MIX_A) + word) % 2**64
                if place + 1 == len(words):
                    marks[value] = number
                else:
                    marks.setdefault(value, _GOES_ON)
    size = 1 << (4 * len(marks)).bit_length()
    keys, trades = np.zeros(size, np.uint64), np.full(size, _FREE, np.int8)
    for value, mark in marks.items():
        slot = (value >> 32) % size
        while trades[slot] != _FREE:
            slot = (slot + 1) % size
        keys[slot], trades[slot] = value, mark
    return _Phrases(keys, trades)


@njit(nogil=True, cache=True)
def _measure(data, offsets, scratch, lexicon, shares):  # type: ignore[no-untyped-def]
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        first = 0
        while first < words:
            value = _U64(0)
            behind, trade = first + 1, _GOES_ON
            for at in range(first, words):
                value = value * MIX_A + scratch.hashes[at]
                mark = _find(lexicon, value)
                if mark == _FREE:
                    break
                if mark != _GOES_ON:
                    behind, trade = at + 1, mark
            if trade != _GOES_ON:
                shares[row, trade] += behind - first
            first = behind
        if words:
            shares[row] /= np.float32(words)


@njit(inline="always")
def _find(lexicon, value):  # type: ignore[no-untyped-def]
    """The trade or mark of a beginning; `_FREE` where no phrase begins so."""
    mask = _U64(len(lexicon.keys) - 1)
    slot = (value >> _U64(32)) & mask
    while lexicon.trades[slot] != _FREE and lexicon.keys[slot] != value:
        slot = (slot + _U64(1)) & mask
    return lexicon.trades[slot]
