"""Texts as fastText reads them: one line each, words parted by blanks, Chinese cut into characters.

fastText takes what lies between blanks as a word, so "word," is not "word", and a Chinese sentence is one word. Here
white space (line feeds too, which fastText refuses) becomes one blank, ASCII letters become lower case, and each
punctuation mark, symbol and ideograph stands alone. One kernel writes the new bytes; no text is walked in Python.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.buffers import utf8_buffers
from corpus.linguistic.characters import CONTENT, IDEOGRAPHIC, SPACE, character_classes, decode

# Letters and digits of ASCII in lower case; 0 for every other byte.
_FOLDED = np.array([ord(chr(b).lower()) if b < 0x80 and chr(b).isalnum() else 0 for b in range(256)], np.uint8)
_GROWTH = 3  # an ASCII comma becomes three bytes; nothing grows more


def fasttext_lines(texts: pa.Array | pa.ChunkedArray) -> list[str]:
    """Each text of a (large_)string column as one prepared line; null is empty."""
    data, offsets = utf8_buffers(texts)
    out = np.empty(_GROWTH * int(offsets[-1]) + 8, np.uint8)
    ends = np.zeros(len(offsets), np.int64)
    _prepare(data, offsets, _FOLDED, character_classes(), out, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]])]
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, buffers[1], buffers[2]).to_pylist()


@njit(nogil=True, cache=True)
def _prepare(data, offsets, folded, classes, out, ends):  # type: ignore[no-untyped-def]
    at = 0
    for row in range(len(offsets) - 1):
        begin = at
        place, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        blank = True  # the last byte written is a blank, or nothing is
        while place < end:
            plain = folded[data[place]]
            if plain:  # most of English: a letter or digit in ASCII
                out[at] = plain
                at += 1
                place += np.uint64(1)
                blank = False
                continue
            point, size = decode(data, place)
            size = min(size, end - place)
            kind = np.int64(classes[point])
            if kind & SPACE or point < 0x20:
                if not blank:
                    out[at] = 0x20
                    at += 1
                    blank = True
            else:
                alone = kind & IDEOGRAPHIC or not kind & CONTENT
                if alone and not blank:
                    out[at] = 0x20
                    at += 1
                for i in range(size):
                    out[at + i] = data[place + i]
                at += size
                if alone:
                    out[at] = 0x20
                    at += 1
                blank = alone != 0
            place += size
        if at > begin and blank:
            at -= 1
        ends[row + 1] = at
