"""What kind of character a code point is: one byte of bits for each, looked up once per character by the scan.

The bits come from Unicode's own properties, through NumPy's vectorised string tests, and from two published lists:
the punctuation of CCNet that datatrove's Gopher filter uses to tell a word from a symbol, and Unicode's sentence
terminals as FineWeb uses them to tell a finished line. The scan takes the table as an argument, so kernels are
compiled once whatever it holds.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from corpus.kernels.utf8 import POINTS
from corpus.kernels.words import CJK, SKIP, TABLE_SIZE, character_table

SPACE = 1  # str.isspace: what str.split separates at
ALPHABETIC = 2  # str.isalpha: Unicode's letters
CONTENT = 4  # no space and no punctuation: a token that holds one is a word, else a symbol
IDEOGRAPHIC = 8  # a token of its own: the characters that corpus.kernels.words takes as words of their own
HAN = 16  # a Chinese character
DIGIT = 32  # str.isdecimal, full-width digits too
TERMINAL = 64  # ends a sentence

# CCNet's text_normalizer.UNICODE_PUNCT and ASCII punctuation, as datatrove utils/text.py PUNCTUATION has them, less its
# U+FF11 (the digit 1, an old slip).
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~´–—’“”„…«»►∶━〈〉《》「」【】、。！％（），．：；？～"
# Unicode's Sentence_Terminal of Latin, CJK, Arabic, Indic and other scripts: FineWeb's TERMINAL_PUNCTUATION, shorter.
TERMINALS = (
    ".!?\u203c\u203d\u2047\u2048\u2049\u2e2e\u3002\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61"
    "\u0589\u061d\u061e\u061f\u06d4\u0964\u0965\u104a\u104b\u1362\u1367\u1368\u166e\u17d4\u17d5\u1803\u1809\u1944\u1945"
)

_HAN = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))


@cache
def character_classes() -> npt.NDArray[np.uint8]:
    """The bits of every code point: uint8 of length 0x200000; what is no character (surrogates) has none."""
    points = np.arange(0x110000, dtype=np.uint32)
    points[0xD800:0xE000] = 0
    text = points.view("U1")
    space = np.strings.isspace(text)
    punctuation = np.isin(points, [ord(character) for character in PUNCTUATION + TERMINALS])
    control = (points < 0x20) | ((points >= 0x7F) & (points < 0xA0))
    han = _within(points, _HAN)
    alone = np.ones(len(points), np.bool_)
    folded = character_table()
    alone[:TABLE_SIZE] = ((folded & CJK) != 0) & (folded != SKIP)
    alone[0x40000:] = False
    table = np.zeros(POINTS, np.uint8)
    bits = table[: len(points)]
    bits[space] |= SPACE
    bits[np.strings.isalpha(text)] |= ALPHABETIC
    bits[~(space | punctuation | control)] |= CONTENT
    bits[alone] |= IDEOGRAPHIC
    bits[han] |= HAN
    bits[np.strings.isdecimal(text)] |= DIGIT
    bits[np.isin(points, [ord(character) for character in TERMINALS])] |= TERMINAL
    table.flags.writeable = False
    return table


def _within(points: npt.NDArray[np.uint32], ranges: tuple[tuple[int, int], ...]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(len(points), np.bool_)
    for first, last in ranges:
        inside |= (points >= first) & (points <= last)
    return inside
