"""Sorting 64-bit keys that have a row number in tow, at the speed of sorting single words."""

import numpy as np
from numba import njit

from corpus.kernels.bits import low_bits
from corpus.kernels.types import U32, U64, Word

_U64 = np.uint64


def sort_keys(keys: U64, rows: U32) -> tuple[U64, U32]:
    """The keys ascending, each with its row; ties in the order given. Takes 20 bytes per key."""
    packed, bits = sorted_words(keys, int(keys.min(initial=0xFFFFFFFFFFFFFFFF)), int(keys.max(initial=0)))
    return _unpack(packed, bits, keys, rows)


def sorted_words(keys: U64, low: int, high: int) -> tuple[U64, np.uint64]:
    """Sorted words of a key's upper bits, as many as fit, and its position in the lower bits; and how many those are.

    To sort one word is four times as fast as to sort keys with something in tow. All keys lie from `low` to `high`.
    """
    bits = _U64(max(1, (len(keys) - 1).bit_length()))
    packed = _pack(keys, _U64(low), _U64(64 - max(1, (high - low).bit_length())), bits)
    packed.sort()
    return packed, bits


@njit(nogil=True, cache=True)
def _pack(keys: U64, low: Word, shift: Word, bits: Word) -> U64:
    """The upper bits of `(key - low) << shift`, with the key's position in the lower `bits`."""
    packed = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        packed[i] = (((keys[i] - low) << shift) >> bits) << bits | _U64(i)
    return packed


@njit(nogil=True, cache=True)
def _unpack(packed: U64, bits: Word, keys: U64, rows: U32) -> tuple[U64, U32]:
    """Keys and rows in the order of `packed`; where the bits that were packed are equal, put right."""
    mask = low_bits(bits)
    out = np.empty(len(packed), np.uint64)
    out_rows = np.empty(len(packed), np.uint32)
    for i in range(len(packed)):
        position = np.int64(packed[i] & mask)
        key = keys[position]
        at = i
        while at > 0 and out[at - 1] > key:
            out[at] = out[at - 1]
            out_rows[at] = out_rows[at - 1]
            at -= 1
        out[at] = key
        out_rows[at] = rows[position]
    return out, out_rows
