"""Where a long piece of Chinese falls into parts that no token reaches across.

The pre-tokenizer leaves a clause of ideographs whole, and a whole clause hardly ever comes twice: to remember its ids
is of no use. But most neighbouring characters stand side by side in no token at all. `first_symbols` lets the encoding
start from characters; a merge that joins the last symbol of one part with the first of the next would have to be a
merge (X, Y) in which X ends with the one character and Y begins with the other. Where there is none, the parts are
encoded each on its own, to the same ids, and parts of a few characters come again and again.

The pairs of characters for which there is such a merge are kept as bits in a table that is indexed by a hash: two
pairs that share a bit only mean that some part is longer than it need be."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

FIRST, LAST = (
    0xE4,
    0xE8,
)  # first bytes of U+4000 to U+8FFF, which all are of the class CJK_ONLY (tokenizer.pretokenizer)
_BITS = 21  # a quarter of a megabyte; the paper's 100,000 tokens set about 3 bits in 100
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: the usual multiplicative hash constant


def find_bridges(tokens: tuple[bytes, ...], pairs: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """The table of bits (uint8[2^_BITS / 8]) for a vocabulary's tokens and merges (int32[merges, 2])."""
    ends = np.array([_ideograph(token[-3:]) for token in tokens], np.int64)[pairs[:, 0]]
    begins = np.array([_ideograph(token[:3]) for token in tokens], np.int64)[pairs[:, 1]]
    bridges = np.zeros(1 << _BITS >> 3, np.uint8)
    _set_bits(ends, begins, bridges)
    return bridges


def _ideograph(raw: bytes) -> int:
    """The code point of three bytes that are a character of the range, else -1."""
    if len(raw) != 3 or not FIRST <= raw[0] <= LAST or raw[1] & 0xC0 != 0x80 or raw[2] & 0xC0 != 0x80:
        return -1
    return (raw[0] & 15) << 12 | (raw[1] & 63) << 6 | raw[2] & 63


@njit(nogil=True, cache=True)
def _bit(left: int, right: int) -> Any:
    return ((np.uint64(left) << np.uint64(16) | np.uint64(right)) * _MULTIPLIER) >> np.uint64(64 - _BITS)


@njit(nogil=True, cache=True)
def _set_bits(ends: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], bridges: npt.NDArray[np.uint8]) -> None:
    for merge in range(ends.size):
        if ends[merge] >= 0 and begins[merge] >= 0:
            bit = _bit(ends[merge], begins[merge])
            bridges[np.int64(bit >> np.uint64(3))] |= np.uint8(1 << np.int64(bit & np.uint64(7)))


@njit(nogil=True, cache=True)
def cut_clauses(
    data: npt.NDArray[np.uint8],
    at: int,
    ends: npt.NDArray[np.int64],
    characters: npt.NDArray[np.int32],
    bridges: npt.NDArray[np.uint8],
    cuts: npt.NDArray[np.int64],
) -> int:
    """Write the ends of all parts of the pieces that begin at `at` and have these `ends` to `cuts`, as many as fit;
    return how many. The scan of pieces may go on from any of them and finds the same ends."""
    count = 0
    for end in ends:
        before = np.int64(-1)
        while at < end:
            if not FIRST <= data[at] <= LAST or at + 3 > end:
                if end - at < 7:  # too little for a cut to be worth it
                    break
                before = np.int64(-1)
                at += 1
                continue
            code = np.int64(data[at] & 15) << 12 | np.int64(data[at + 1] & 63) << 6 | np.int64(data[at + 2] & 63)
            if characters[code] < 0:
                code = np.int64(-1)
            elif before >= 0:
                bit = _bit(before, code)
                if not bridges[np.int64(bit >> np.uint64(3))] >> np.uint8(bit & np.uint64(7)) & 1:
                    if count == cuts.size:
                        return count
                    cuts[count] = at
                    count += 1
            before = code
            at += 3
        if count == cuts.size:
            return count
        cuts[count] = at = end
        count += 1
    return count
