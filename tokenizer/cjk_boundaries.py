"""Where a long pretoken of Chinese falls into parts that no token reaches across.

The pre-tokenizer leaves a clause of ideographs whole, and a whole clause hardly ever comes twice: to remember its ids
is of no use. But most neighbouring characters stand side by side in no token at all. A merge that joins the last symbol
of one part with the first of the next would have to be a merge (X, Y). X would end with the end of the one character,
and Y begin with the beginning of the other: with all three bytes of it or, where encoding starts from bytes
(`first_symbols`), with one or two. Where there is none, the parts are encoded each on its own, to the same ids, and
parts of a few characters come again and again.

The pairs of characters for which there is such a merge are kept as bits in a table that is indexed by a hash: two
pairs that share a bit only mean that some part is longer than it need be."""

import numpy as np
from numba import njit

from corpus.kernels.hashing import GOLDEN_RATIO
from corpus.kernels.memory import load64
from corpus.kernels.types import I32, I64, U8, Word
from corpus.kernels.utf8 import point_of_three

# First bytes of U+4000 to U+8FFF, which all are of the class CJK_ONLY (tokenizer.pretokenizer).
FIRST, LAST = 0xE4, 0xE8
_BITS = 21  # a quarter of a megabyte; the paper's 100,000 tokens set about 2 bits in 100


def find_bridges(tokens: tuple[bytes, ...], pairs: I32, characters: I32) -> U8:
    """The table of bits (uint8[2^_BITS / 8]) for a vocabulary's tokens, merges (int32[merges, 2]) and what
    `first_symbols` returns for them."""
    first, last = _code(bytes((FIRST, 0x80, 0x80))), _code(bytes((LAST, 0xBF, 0xBF)))
    from_bytes = first + np.flatnonzero(characters[first : last + 1] < 0)
    ends = {at: _ends(token[-3:], from_bytes) for at, token in enumerate(tokens) if _continues(token[-1])}
    beginnings = {at: _begins(token[:3], from_bytes) for at, token in enumerate(tokens) if FIRST <= token[0] <= LAST}
    bridges = np.zeros(1 << _BITS >> 3, np.uint8)
    for left, right in pairs.tolist():
        if left in ends and right in beginnings:
            _set_bits(ends[left], beginnings[right], bridges)
    return bridges


def _ends(part: bytes, from_bytes: I64) -> I64:
    """The characters of the range that end with the end of a token: three bytes, or all there are. Of characters that
    encoding starts from whole there is no shorter end."""
    if len(part) == 3:
        return np.array([_code(part)] if FIRST <= part[0] <= LAST and _continues(part[1]) else [], np.int64)
    return from_bytes[from_bytes % (1 << 6 * len(part)) == _code(part)] if _continues(part[0]) else from_bytes[:0]


def _begins(part: bytes, from_bytes: I64) -> I64:
    """The characters of the range that begin with the beginning of a token, as `_ends`."""
    if not all(_continues(byte) for byte in part[1:]):
        return from_bytes[:0]
    if len(part) == 3:
        return np.array([_code(part)], np.int64)
    return from_bytes[from_bytes >> 6 * (3 - len(part)) == _code(part)]


def _continues(byte: int) -> bool:
    """Whether a byte is one of a character, but not its first."""
    return byte & 0xC0 == 0x80


def _code(part: bytes) -> int:
    """The bits of the code point that bytes of a character of three bytes carry."""
    code = 0
    for byte in part:
        code = code << 6 | byte & (63 if _continues(byte) else 15)
    return code


@njit(nogil=True, cache=True)
def _bit(left: int, right: int) -> Word:
    return ((np.uint64(left) << np.uint64(16) | np.uint64(right)) * GOLDEN_RATIO) >> np.uint64(64 - _BITS)


@njit(nogil=True, cache=True)
def _set_bits(ends: I64, beginnings: I64, bridges: U8) -> None:
    for left in ends:
        for right in beginnings:
            bit = _bit(left, right)
            bridges[np.int64(bit >> np.uint64(3))] |= np.uint8(1 << np.int64(bit & np.uint64(7)))


@njit(nogil=True, cache=True)
def cut_clauses(data: U8, at: int, ends: I64, bridges: U8, cuts: I64) -> int:
    """Write the ends of all parts of the pretokens that begin at `at` and have these `ends` to `cuts`, as many as fit;
    return how many. The scan of pretokens may go on from any of them and finds the same ends."""
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
            code = np.int64(point_of_three(load64(data, at)))
            if before >= 0:
                bit = _bit(before, code)
                if count == cuts.size:
                    return count
                cuts[count] = at  # without a branch, which would be guessed wrongly as often as not
                count += int(bridges[np.int64(bit >> np.uint64(3))] >> np.uint8(bit & np.uint64(7)) & 1 == 0)
            before = code
            at += 3
        if count == cuts.size:
            return count
        cuts[count] = at = end
        count += 1
    return count
