"""Texts as fastText reads them: one line each, words parted by blanks, Chinese cut into characters.

fastText takes what lies between blanks as a word, so "word," is not "word", and a Chinese sentence is one word. Here
white space (line feeds too, which fastText refuses) becomes one blank, ASCII letters become lower case, and each
punctuation mark, symbol and ideograph stands alone. One kernel writes the new bytes; no text is walked in Python.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import PADDING, utf8_buffers
from corpus.kernels.simd import LOWER, kernel, letter_mask, load64, low_bits, range_mask, store64, trailing_zeros
from corpus.linguistic.characters import CONTENT, IDEOGRAPHIC, SPACE, character_classes, decode

_U64 = np.uint64
_ONE = _U64(1)
_GROWTH = 3  # an ASCII comma becomes three bytes; nothing grows more


def fasttext_lines(texts: pa.Array | pa.ChunkedArray) -> list[str]:
    """Each text of a (large_)string column as one prepared line; null is empty."""
    data, offsets = utf8_buffers(texts)
    out = np.empty(_GROWTH * int(offsets[-1]) + PADDING, np.uint8)
    ends = np.zeros(len(offsets), np.int64)
    _prepare(data, offsets, character_classes(), out, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]])]
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, buffers[1], buffers[2]).to_pylist()


@kernel
def _prepare(data, offsets, classes, out, ends):  # type: ignore[no-untyped-def]
    at = _U64(0)
    for row in range(len(offsets) - 1):
        begin = at
        place, end = _U64(offsets[row]), _U64(offsets[row + 1])
        blank = _ONE  # 1: the last byte written is a blank, or nothing is
        while place < end:
            if data[place] < 0x80:
                run = min(_unchanged(data, place, blank), end - place)
                if run:
                    for done in range(_U64(0), run, _U64(8)):
                        store64(out, at + done, load64(data, place + done) | LOWER)
                    at += run
                    place += run
                    blank = _U64(data[place - _ONE] == 0x20)
                    continue
            point, size = decode(data, place)
            kind = classes[point]
            if kind & SPACE or point < 0x20:
                out[at] = 0x20
                at += _ONE - blank
                blank = _ONE
            else:
                size = min(size, end - place)
                alone = _U64((kind & IDEOGRAPHIC != 0) | (kind & CONTENT == 0))
                out[at] = 0x20
                at += alone & (_ONE - blank)
                bits = size << _U64(3)
                store64(out, at, load64(data, place) & low_bits(bits) | _U64(0x20) << bits)
                at += size + alone
                blank = alone
            place += size
        at -= blank & _U64(at > begin)
        ends[row + 1] = at


@njit(inline="always")
def _unchanged(data, place, blank):  # type: ignore[no-untyped-def]
    """How many of the 64 bytes from `place` on stay, but for their case: letters, digits, and single blanks between."""
    plain = letter_mask(data, place) | range_mask(data, place, 0x30, 10)
    blanks = range_mask(data, place, 0x20, 1)
    return trailing_zeros(~(plain | blanks & ~(blanks << _ONE | blank)))
