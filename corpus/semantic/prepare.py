"""Texts as fastText reads them: one line each, words parted by blanks, Chinese cut into characters.

fastText takes what lies between blanks as a word, so "word," is not "word", and a Chinese sentence is one word. Here
white space (line feeds too, which fastText refuses) becomes one blank, ASCII letters become lower case, and each
punctuation mark, symbol and ideograph stands alone. One kernel writes the new bytes; no text is walked in Python.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import PADDING, utf8_buffers
from corpus.kernels.bits import low_bits, trailing_zeros
from corpus.kernels.hashing import LOWER
from corpus.kernels.jit import kernel
from corpus.kernels.memory import load64, store64
from corpus.kernels.simd import letter_mask, range_mask
from corpus.kernels.types import I64, U8, Word
from corpus.kernels.utf8 import decode
from corpus.linguistic.characters import CONTENT, IDEOGRAPHIC, SPACE, character_classes

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
def _prepare(data: U8, offsets: I64, classes: U8, out: U8, ends: I64) -> None:
    to = _U64(0)
    for row in range(len(offsets) - 1):
        begin = to
        at, end = _U64(offsets[row]), _U64(offsets[row + 1])
        blank = _ONE  # 1: the last byte written is a blank, or nothing is
        while at < end:
            if data[at] < 0x80:
                run = min(_unchanged(data, at, blank), end - at)
                if run:
                    for done in range(_U64(0), run, _U64(8)):
                        store64(out, to + done, load64(data, at + done) | LOWER)
                    to += run
                    at += run
                    blank = _U64(data[at - _ONE] == 0x20)
                    continue
            point, size = decode(data, at)
            kind = classes[point]
            if kind & SPACE or point < 0x20:
                out[to] = 0x20
                to += _ONE - blank
                blank = _ONE
            else:
                size = min(size, end - at)
                alone = _U64((kind & IDEOGRAPHIC != 0) | (kind & CONTENT == 0))
                out[to] = 0x20
                to += alone & (_ONE - blank)
                bits = size << _U64(3)
                store64(out, to, load64(data, at) & low_bits(bits) | _U64(0x20) << bits)
                to += size + alone
                blank = alone
            at += size
        to -= blank & _U64(to > begin)
        ends[row + 1] = to


@njit(inline="always")
def _unchanged(data: U8, at: Word, blank: Word) -> Word:
    """How many of the 64 bytes from `at` on stay, but for their case: letters, digits, and single blanks between."""
    plain = letter_mask(data, at) | range_mask(data, at, 0x30, 10)
    blanks = range_mask(data, at, 0x20, 1)
    return trailing_zeros(~(plain | blanks & ~(blanks << _ONE | blank)))
