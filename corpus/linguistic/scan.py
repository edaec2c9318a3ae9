"""One pass over the UTF-8 of a document: its lines, and the characters that rules count.

A line is what lies between line feeds, without white space at its ends; a line of white space alone is blank, and no
rule counts it. A paragraph is a run of lines with no blank line between.

64 bytes are looked at at once. ASCII letters and digits and the Han of the basic block, nearly all of a text, are only
counted, as bits of masks. White space and most signs of ASCII not even that. What is left is looked at one by one: line
feeds, ends of sentences, and all other characters beyond ASCII. Lengths are in code points, as Python's `len` and the
published definitions have them.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.bits import ALL, count_ones, low_bits, lowest_bit, trailing_zeros
from corpus.kernels.hashing import NO_FOLD, hash_bytes
from corpus.kernels.jit import kernel
from corpus.kernels.simd import letter_mask, newline_mask, range_mask
from corpus.kernels.types import I64, U8, U64, Word
from corpus.kernels.utf8 import decode
from corpus.linguistic.characters import CONTENT, DIGIT, HAN, SPACE, TERMINAL

# Bits of a line.
BULLET = 1  # starts with • or - (Gopher)
ELLIPSIS = 2  # ends with ... or …
FINISHED = 4  # ends with a sentence terminal
OPENING = 8  # the first of its paragraph

_U64 = np.uint64
_ONE = _U64(1)


class Lines(NamedTuple):
    """Scratch for the lines of one document at a time."""

    hashes: U64
    lengths: I64
    bits: U8


class Totals(NamedTuple):
    """What was counted in one document."""

    lines: int
    characters: int
    line_feeds: int
    content: int  # characters that are no space, punctuation or control
    han: int
    digits: int
    number_signs: int  # "#"
    ellipses: int  # "..." and "…"
    sentences: int  # runs of terminals
    bracketed: int  # characters inside 【】


def new_lines(longest: int) -> Lines:
    """Room for the lines of any document of at most `longest` bytes."""
    lines = longest // 2 + 8
    return Lines(np.empty(lines, np.uint64), np.empty(lines, np.int64), np.empty(lines, np.uint8))


@njit(inline="always")
def _masks(data: U8, at: Word) -> tuple[Word, Word, Word, Word, Word]:
    """Of the 64 bytes at `data[at:]`, which are: first of a character, ASCII letters, ASCII digits, first of a Han of
    the basic block, and first of what is looked at one by one."""
    firsts = ~range_mask(data, at, 0x80, 64)
    letters = letter_mask(data, at)
    older = range_mask(data, at, 0xE4, 1) & range_mask(data, at + _ONE, 0x80, 0x38)  # extension A, to E4 B7 BF
    han = range_mask(data, at, 0xE4, 6) & ~older
    ends = range_mask(data, at, 0x2E, 1) | range_mask(data, at, 0x21, 1) | range_mask(data, at, 0x3F, 1)  # . ! ?
    others = newline_mask(data, at) | ends | range_mask(data, at, 0xC0, 64) & ~han
    return firsts, letters, range_mask(data, at, 0x30, 10), han, others


@kernel
def scan(data: U8, start: Word, end: Word, classes: U8, lines: Lines) -> Totals:
    """Fill `lines` from `data[start:end]` (valid UTF-8) and return its Totals.

    `classes` is `character_classes()`; `lines` must come from `new_lines(n)` with n >= end - start.
    """
    start, end = _U64(start), _U64(end)
    n_lines = characters = feeds = content = han = digits = signs = ellipses = sentences = bracketed = 0
    dots = 0  # the run of "." that ends at `dots_end`
    dots_end = terminal_end = ALL  # where the last "." and the last terminal end
    bracket = -1  # where the open 【 of this line stands
    line, line_from = start, 0  # where the line begins: byte and code point
    blank_before = True
    block = start
    while block <= end:
        inside = low_bits(end - block)
        firsts = others = _U64(0)
        if inside:
            firsts, letters, decimals, ideographs, others = _masks(data, block)
            firsts &= inside
            others &= inside
            content += count_ones((letters | decimals | ideographs) & inside)
            han += count_ones(ideographs & inside)
            digits += count_ones(decimals & inside)
            signs += count_ones(range_mask(data, block, 0x23, 1) & inside)
        if inside != ALL:
            others |= inside + _ONE  # the end of the text ends its last line
        while others:
            bit = lowest_bit(others)
            others ^= bit
            at = block + trailing_zeros(bit)
            here = characters + count_ones(firsts & (bit - _ONE))
            if at < end and data[at] != 0x0A:
                point, size = decode(data, at)
                kind = classes[point]
                content += (kind & CONTENT) != 0
                han += (kind & HAN) != 0
                digits += (kind & DIGIT) != 0
                if kind & TERMINAL:
                    sentences += at != terminal_end
                    terminal_end = at + size
                if point == 0x2E:
                    dots = dots + 1 if at == dots_end else 1
                    dots_end = at + _ONE
                    ellipses += dots % 3 == 0
                elif point == 0x2026:
                    ellipses += 1
                elif point == 0x3010:
                    bracket = here if bracket < 0 else bracket
                elif point == 0x3011 and bracket >= 0:
                    bracketed += here - bracket - 1
                    bracket = -1
                continue
            feeds += at < end
            first, last, stripped = _strip(data, line, at, classes)
            if first < last:
                lines.hashes[n_lines] = hash_bytes(data, first, last, NO_FOLD)
                lines.lengths[n_lines] = here - line_from - stripped
                lines.bits[n_lines] = _bits_of_line(data, first, last, classes) | (OPENING if blank_before else 0)
                n_lines += 1
            blank_before = first >= last
            line, line_from = at + _ONE, here + 1
            bracket = -1
        characters += count_ones(firsts)
        block += _U64(64)
    return Totals(n_lines, characters, feeds, content, han, digits, signs, ellipses, sentences, bracketed)


@njit(inline="always")
def _strip(data: U8, first: Word, last: Word, classes: U8) -> tuple[Word, Word, int]:
    """`data[first:last]` without the white space at its ends: (first, last, how many characters that was)."""
    stripped = 0
    while first < last:
        point, size = decode(data, first)
        if not classes[point] & SPACE:
            break
        first += size
        stripped += 1
    while first < last:
        begin = _last_character(data, first, last)
        if not classes[decode(data, begin)[0]] & SPACE:
            break
        last = begin
        stripped += 1
    return first, last, stripped


@njit(inline="always")
def _last_character(data: U8, first: Word, end: Word) -> Word:
    """Where the last character of `data[first:end]` begins."""
    at = end - _ONE
    while at > first and data[at] & 0xC0 == 0x80:
        at -= _ONE
    return at


@njit(inline="always")
def _bits_of_line(data: U8, first: Word, last: Word, classes: U8) -> int:
    """The bits of a line that is not blank, all but OPENING."""
    opens = decode(data, first)[0]
    closes = decode(data, _last_character(data, first, last))[0]
    dots = last - first > _U64(2) and data[last - _ONE] == data[last - _U64(2)] == data[last - _U64(3)] == 0x2E
    bits = BULLET if opens == 0x2022 or opens == 0x2D else 0
    bits |= ELLIPSIS if dots or closes == 0x2026 else 0
    return bits | (FINISHED if classes[closes] & TERMINAL else 0)
