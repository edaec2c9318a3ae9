"""Sorting 64-bit keys that have a row number in tow, at the speed of sorting single words."""

import numpy as np
import numpy.typing as npt
from numba import njit

_U64 = np.uint64
Numbers = npt.NDArray[np.uint64]


def sort_keys(keys: Numbers, rows: npt.NDArray[np.uint32]) -> tuple[Numbers, npt.NDArray[np.uint32]]:
    """The keys ascending, each with its row; ties in the order given. Takes 20 bytes a key."""
    packed, bits = sorted_words(keys, int(keys.min(initial=0xFFFFFFFFFFFFFFFF)), int(keys.max(initial=0)))
    return _unpack(packed, bits, keys, rows)


def sorted_words(keys: Numbers, low: int, high: int) -> tuple[Numbers, np.uint64]:
    """Sorted words of a key's upper bits, as many as fit, and its place in the lower bits; and how many those are.

    To sort one word is four times as fast as to sort keys with something in tow. All keys lie from `low` to `high`.
    """
    bits = _U64(max(1, (len(keys) - 1).bit_length()))
    packed = _pack(keys, _U64(low), _U64(64 - max(1, (high - low).bit_length())), bits)
    packed.sort()
    return packed, bits


@njit(nogil=True, cache=True)
def _pack(keys, low, shift, bits):  # type: ignore[no-untyped-def]
    """The upper bits of `(key - low) << shift`, with the key's place in the lower `bits`."""
    packed = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        packed[i] = (((keys[i] - low) << shift) >> bits) << bits | _U64(i)
    return packed


@njit(nogil=True, cache=True)
def _unpack(packed, bits, keys, rows):  # type: ignore[no-untyped-def]
    """Keys and rows in the order of `packed`; where the bits that were packed are equal, put right."""
    mask = (_U64(1) << bits) - _U64(1)
    out = np.empty(len(packed), np.uint64)
    out_rows = np.empty(len(packed), np.uint32)
    for i in range(len(packed)):
        place = np.int64(packed[i] & mask)
        key = keys[place]
        at = i
        while at > 0 and out[at - 1] > key:
            out[at] = out[at - 1]
            out_rows[at] = out_rows[at - 1]
            at -= 1
        out[at] = key
        out_rows[at] = rows[place]
    return out, out_rows
