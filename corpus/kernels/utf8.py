"""UTF-8: one character read or written.

Columns of text are valid UTF-8, so `decode` asks nothing and is what nearly all kernels call. `decode_checked` is for
those that also meet bytes cut out of the middle of a text. Both look up to 8 bytes behind the character's first.
"""

import numpy as np
from numba import njit

from corpus.kernels.bits import low_bits
from corpus.kernels.memory import load64
from corpus.kernels.types import U8, Word

_U8, _U32, _U64 = np.uint8, np.uint32, np.uint64
_ONE = _U64(1)
POINTS = 0x200000  # every number that 21 bits can hold: no broken byte leads out of a table of so many characters


@njit(inline="always")
def decode(data: U8, at: Word) -> tuple[Word, Word]:
    """The code point at a byte position (uint64) of valid UTF-8, and its length in bytes; both uint64."""
    byte = _U64(data[at])
    if byte < _U64(0x80):
        return byte, _ONE
    second = _U64(data[at + _ONE]) & _U64(0x3F)
    if byte < _U64(0xE0):
        return (byte & _U64(0x1F)) << _U64(6) | second, _U64(2)
    third = _U64(data[at + _U64(2)]) & _U64(0x3F)
    if byte < _U64(0xF0):
        return (byte & _U64(0x0F)) << _U64(12) | second << _U64(6) | third, _U64(3)
    fourth = _U64(data[at + _U64(3)]) & _U64(0x3F)
    return (byte & _U64(0x07)) << _U64(18) | second << _U64(12) | third << _U64(6) | fourth, _U64(4)


@njit(inline="always")
def decode_checked(data: U8, at: Word, end: Word) -> tuple[Word, Word]:
    """As `decode`, before `end`: a byte that begins no whole character is (0, 1)."""
    lead = data[at]
    if lead < 0x80:
        return _U64(lead), _ONE
    code, length = decode(data, at)
    broken = (load64(data, at) ^ _U64(0x80808000)) & _U64(0xC0C0C000) & low_bits(length << _U64(3))
    if lead < 0xC2 or lead > 0xF4 or at + length > end or broken:
        return _U64(0), _ONE
    return code, length


@njit(inline="always")
def point_of_three(data: Word) -> Word:
    """The code point of a character of three bytes, the lowest of `data` (a little-endian uint64)."""
    return (data & _U64(0x0F)) << _U64(12) | data >> _U64(2) & _U64(0xFC0) | data >> _U64(16) & _U64(0x3F)


@njit(inline="always")
def encode(code: Word, out: U8, at: Word) -> Word:
    """Write a code point (uint32) as UTF-8 at `out[at:]`; return the position after it."""
    if code < _U32(0x80):
        out[at] = _U8(code)
        return at + _ONE
    if code < _U32(0x800):
        out[at] = _U8(_U32(0xC0) | (code >> _U32(6)))
        out[at + _ONE] = _U8(_U32(0x80) | (code & _U32(0x3F)))
        return at + _U64(2)
    if code < _U32(0x10000):
        out[at] = _U8(_U32(0xE0) | (code >> _U32(12)))
        out[at + _ONE] = _U8(_U32(0x80) | ((code >> _U32(6)) & _U32(0x3F)))
        out[at + _U64(2)] = _U8(_U32(0x80) | (code & _U32(0x3F)))
        return at + _U64(3)
    out[at] = _U8(_U32(0xF0) | (code >> _U32(18)))
    out[at + _ONE] = _U8(_U32(0x80) | ((code >> _U32(12)) & _U32(0x3F)))
    out[at + _U64(2)] = _U8(_U32(0x80) | ((code >> _U32(6)) & _U32(0x3F)))
    out[at + _U64(3)] = _U8(_U32(0x80) | (code & _U32(0x3F)))
    return at + _U64(4)
