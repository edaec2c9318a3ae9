"""Hash functions. Values of all but `hash_short_key` are in tables on disk, so none may ever change.

Numbers are mixed by standard functions. Bytes are hashed in two ways: `hash_bytes` is what words, lines and sites are
known by, and `hash_key` the keys of a `corpus.kernels.bytes_table`, which needs that short strings never collide.
"""

import numpy as np
from numba import njit

from corpus.kernels.bits import ALL
from corpus.kernels.jit import kernel
from corpus.kernels.memory import load64
from corpus.kernels.types import U8, U64, Word

_U32, _U64 = np.uint32, np.uint64
GOLDEN_RATIO = _U64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd: Knuth's multiplicative hashing
MURMUR_1 = _U64(0xFF51AFD7ED558CCD)  # MurmurHash3 fmix64, first constant
MURMUR_2 = _U64(0xC4CEB9FE1A85EC53)  # MurmurHash3 fmix64, second constant
LOWER = _U64(0x2020202020202020)  # sets bit 5 of each byte: ASCII letters become lower case
NO_FOLD = _U64(0)
# Masks by which n <= 16 bytes are read as two numbers of 8: [n + 8] for the first bytes, [n] for the others.
_PART = np.array([0] * 9 + [int(ALL) >> (64 - 8 * n) for n in range(1, 8)] + [int(ALL)] * 9, np.uint64)


@njit(inline="always")
def fmix64(value: Word) -> Word:
    """MurmurHash3's finaliser of 64 bits: one-to-one, and each input bit changes each output bit half of the time."""
    value ^= value >> _U64(33)
    value *= MURMUR_1
    value ^= value >> _U64(33)
    value *= MURMUR_2
    return value ^ (value >> _U64(33))


@njit(inline="always")
def fmix32(value: Word) -> Word:
    """MurmurHash3's finaliser of 32 bits (uint32 -> uint32)."""
    value = _U32(value ^ (value >> _U32(16)))
    value = _U32(value * _U32(0x85EBCA6B))
    value = _U32(value ^ (value >> _U32(13)))
    value = _U32(value * _U32(0xC2B2AE35))
    return _U32(value ^ (value >> _U32(16)))


@njit(inline="always")
def splitmix64(value: Word) -> Word:
    """The output of splitmix64 (Steele, Lea and Flood, 2014) in the state `value`: one-to-one on uint64."""
    value = _U64(value) + GOLDEN_RATIO
    value = (value ^ (value >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> _U64(27))) * _U64(0x94D049BB133111EB)
    return value ^ (value >> _U64(31))


@njit(inline="always")
def hash_ngram(words: U64, first: int, length: int) -> Word:
    """The polynomial hash modulo 2**64 of `length` word hashes from `first` on; it can be rolled."""
    value = _U64(0)
    for i in range(first, first + length):
        value = value * GOLDEN_RATIO + words[i]
    return value


@kernel
def hash_bytes(data: U8, start: Word, end: Word, fold: Word) -> Word:
    """64-bit hash of `data[start:end]` (uint64 positions), each 8 bytes OR-ed with `fold` first.

    `fold` is `LOWER` for a word of ASCII letters, digits and underscores, which hashes it in lower case without
    writing it anywhere, or `NO_FOLD` for bytes as they are.
    """
    length = end - start
    value = _U64(0)
    while end - start > _U64(16):
        value = (value ^ (load64(data, start) | fold)) * GOLDEN_RATIO
        value ^= value >> _U64(32)
        start += _U64(8)
    rest = end - start
    value = (value ^ ((load64(data, start) | fold) & _PART[rest + _U64(8)])) * GOLDEN_RATIO
    value ^= value >> _U64(29)
    last = (load64(data, start + _U64(8)) | fold) & _PART[rest]
    value = (value ^ last ^ length) * MURMUR_1
    return value ^ (value >> _U64(32))


@njit(nogil=True, cache=True)
def _first_bytes(word: Word, count: int) -> Word:
    """The first `count` (1 to 8) bytes of a word."""
    return word & (ALL >> _U64(64 - 8 * count))


@njit(nogil=True, cache=True)
def hash_key(data: U8, first: int, last: int) -> Word:
    """64-bit hash of `data[first:last]` (int64 positions): of up to seven bytes no two strings have the same.

    Reads up to 8 bytes past `last`.
    """
    length = last - first
    if length < 8:
        word = _U64(length) << _U64(56)
        if length > 0:
            word |= _first_bytes(load64(data, first), length)
        value = word * GOLDEN_RATIO
    else:
        value = _U64(length) * MURMUR_1
        while last - first > 8:
            value = (value ^ load64(data, first)) * MURMUR_1
            value ^= value >> _U64(32)
            first += 8
        value = (value ^ load64(data, last - 8)) * GOLDEN_RATIO
    value ^= value >> _U64(32)
    value *= MURMUR_1
    return value ^ (value >> _U64(29))


@njit(nogil=True, cache=True)
def hash_short_key(data: U8, first: int, last: int) -> Word:
    """As `hash_key`, other values in less time, for tables that are not stored.

    Most pretokens have up to 16 bytes, and for these no branch may be guessed wrongly.
    """
    length = last - first
    if length > 16:
        return hash_key(data, first, last)
    head = _first_bytes(load64(data, first), min(length, 8))
    tail = load64(data, max(first, last - 8)) if length > 8 else _U64(0)
    value = (head * GOLDEN_RATIO ^ tail) * MURMUR_1
    value ^= value >> _U64(32)
    value *= GOLDEN_RATIO
    return value ^ (value >> _U64(29))
