"""What trade a page is of: the share of its words that lie inside phrases of adult, gambling and spam pages.

One look-up per word in most texts: a map holds the hash of every beginning of every phrase, so the search at a word
stops where no phrase goes on. Of phrases that begin at one word the longest counts, and the search goes on behind it.
"""

import functools

import numpy as np
import pyarrow as pa
import xxhash
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.hash_table import find, map_of
from corpus.kernels.hashing import GOLDEN_RATIO
from corpus.kernels.types import F32, I64, U8, U64, Word
from corpus.kernels.words import Scratch, new_scratch, split_words, words_of
from corpus.safety.lexicon import TRADES, phrases

SIGNALS = tuple(f"{trade}_share" for trade in TRADES)
SCHEMA = pa.schema([pa.field(name, pa.float32()) for name in SIGNALS])
_U64 = np.uint64


def trade_shares(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """A table of `SCHEMA` for a (large_)string column, a row per document; null is empty, and empty is 0."""
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
def _lexicon() -> U64:
    """A map from the hash of each beginning of a phrase to 1 more than the phrase's trade, or 0 if it is no phrase."""
    trades: dict[int, int] = {}
    for trade, name in enumerate(TRADES):
        for phrase in phrases(name):
            value = 0
            words = words_of(phrase)
            for number, (_, word) in enumerate(words, 1):
                value = (value * int(GOLDEN_RATIO) + word) % 2**64
                if number == len(words):
                    trades[value] = trade + 1
                else:
                    trades.setdefault(value, 0)
    return map_of(np.array([*trades], np.uint64), np.array([*trades.values()], np.uint64), 8)


@njit(nogil=True, cache=True)
def _measure(data: U8, offsets: I64, scratch: Scratch, lexicon: U64, shares: F32) -> None:
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        first = 0
        while first < words:
            value = _U64(0)
            behind = first + 1  # the longest phrase
            trade: Word = 0
            for word in range(first, words):
                value = value * GOLDEN_RATIO + scratch.hashes[word]
                at = find(lexicon, value)
                if lexicon[at] != value:
                    break
                if lexicon[at + 1] != 0:
                    behind, trade = word + 1, np.int64(lexicon[at + 1])
            if trade:
                shares[row, trade - 1] += behind - first
            first = behind
        if words:
            shares[row] /= np.float32(words)
