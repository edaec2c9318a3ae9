"""One pass over the UTF-8 of a document: its tokens, its lines, and the characters that rules count.

A token is what white space separates, except that a character of a script written without spaces (Chinese, kana)
stands alone: "我用 Python，很好" is 我 · 用 · Python， · 很 · 好. So English has the words that Gopher, Dolma and
RedPajama count, and Chinese has its characters. A line is what lies between line feeds, without white space at its
ends; a line of white space alone is blank, and no rule counts it. A paragraph is a run of lines with no blank line
between.

Runs of ASCII letters, and of Han where the words will be a segmenter's, are found 64 bytes at a time and counted as a
whole; every other character is looked up in a table. Lengths are in code points, as Python's `len` and the published
definitions have them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.buffers import PADDING
from corpus.kernels import NO_FOLD, hash_bytes, kernel, range_mask, trailing_zeros
from corpus.linguistic.characters import (
    ALPHABETIC,
    CONTENT,
    DIGIT,
    HAN,
    IDEOGRAPHIC,
    SPACE,
    TERMINAL,
)

# Bits of a line.
BULLET = 1  # starts with • or - (Gopher)
ELLIPSIS = 2  # ends with ... or …
FINISHED = 4  # ends with a sentence terminal
OPENING = 8  # the first of its paragraph


_U64 = np.uint64
_ONE = _U64(1)
_THIRDS = np.uint64(0x9249249249249249)  # every third bit, from the first


class Tokens(NamedTuple):
    """Scratch for the tokens of one document at a time."""

    hashes: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.int64]  # ends[i] = code points of tokens 0..i-1
    gaps: npt.NDArray[np.int64]  # gaps[i] = how many of the tokens 1..i follow white space
    bits: npt.NDArray[np.uint8]  # ALPHABETIC and CONTENT: some character of the token has it


class Lines(NamedTuple):
    """Scratch for the lines of one document at a time."""

    hashes: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint8]


class Totals(NamedTuple):
    """What was counted in one document."""

    tokens: int
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


def scratch(longest: int) -> tuple[Tokens, Lines]:
    """Room for any document of at most `longest` bytes."""
    tokens, lines = longest // 2 + 8, longest // 2 + 8  # a token is 3 bytes or parted from the next by one
    return (
        Tokens(
            np.empty(tokens, np.uint64),
            np.zeros(tokens + 1, np.int64),
            np.zeros(tokens + 1, np.int64),
            np.empty(tokens, np.uint8),
        ),
        Lines(np.empty(lines, np.uint64), np.empty(lines, np.int64), np.empty(lines, np.uint8)),
    )


def hash_token(token: str) -> int:
    """The hash that the scan gives a token."""
    text = token.encode()
    data = np.frombuffer(bytearray(text.ljust(PADDING, b"\0")), np.uint8)
    return int(hash_bytes(data, np.uint64(0), np.uint64(len(text)), NO_FOLD))


@njit(inline="always")
def decode(data, at):  # type: ignore[no-untyped-def]
    """The code point at a byte position (uint64), and its length in bytes (uint64)."""
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
def _letters(data, at, end, split):  # type: ignore[no-untyped-def]
    """How many characters from `at` on are ASCII letters, or else, if `not split`, Han of the basic block; and bytes.

    64 bytes are looked at at once; of a longer run the rest is found next.
    """
    byte = data[at]
    if at < end and 0x61 <= byte | 0x20 <= 0x7A:
        others = ~(range_mask(data, at, 0x61, 26) | range_mask(data, at, 0x41, 26))
        run = min(trailing_zeros(others), end - at)
        return np.int64(run), run
    if at < end and not split and 0xE4 <= byte <= 0xE9:
        older = range_mask(data, at, 0xE4, 1) & range_mask(data, at + _ONE, 0x80, 0x38)  # extension A, to E4 B7 BF
        others = ~(range_mask(data, at, 0xE4, 6) & ~older) & _THIRDS
        run = min(trailing_zeros(others), end - at) // _U64(3)
        return np.int64(run), _U64(3) * run
    return 0, _U64(0)


@njit(inline="always")
def _add(tokens, count, data, start, end, length, gap, bits):  # type: ignore[no-untyped-def]
    """Add a token, `data[start:end]`, of `length` code points; how many there are now."""
    here = _U64(count)
    tokens.hashes[here] = hash_bytes(data, start, end, NO_FOLD)
    tokens.ends[here + _ONE] = tokens.ends[here] + length
    tokens.gaps[here] = (tokens.gaps[here - _ONE] if count else 0) + gap
    tokens.bits[here] = bits
    return count + 1


@kernel
def scan(data, start, end, classes, split, tokens, lines):  # type: ignore[no-untyped-def]
    """Fill `lines` and, if `split`, `tokens` from `data[start:end]` (valid UTF-8) and return its Totals.

    Without `split` there are no tokens: a segmenter's words will take their place. `classes` is `character_classes()`;
    the scratch must come from `scratch(n)` with n >= end - start.
    """
    start, end = _U64(start), _U64(end)
    n_tokens = n_lines = characters = feeds = content = han = digits = signs = ellipses = sentences = bracketed = 0
    dots = 0  # the run of "." that ends here
    terminal_run = False
    bracket = -1  # where the open 【 of this line stands
    in_token = False
    token_start = start  # bytes
    token_from = 0  # code points
    token_bits = np.int64(0)
    gap = 0  # white space since the last token
    line_start = -1  # code point where the line's text begins; -1: blank so far
    line_byte = start
    text_end = 0  # where its last character that is no space ends
    text_byte = start
    line_bits = 0
    last = _U64(0)  # the last character that is no space, and how many dots ended there
    last_dots = 0
    blank_before = True
    at = start
    while at <= end:
        run, size = _letters(data, at, end, split)
        if run:
            if line_start < 0:
                line_start = characters
                line_byte = at
                line_bits = 0
            if split and not in_token:
                in_token = True
                token_start = at
                token_from = characters
                token_bits = np.int64(0)
            token_bits |= ALPHABETIC | CONTENT
            at += size
            characters += run
            content += run
            han += run if size > _U64(run) else 0
            text_end = characters
            text_byte = at
            last = _U64(0x61)
            last_dots = dots = 0
            terminal_run = False
            continue
        if at < end:
            point, size = decode(data, at)
            size = min(size, end - at)
            kind = np.int64(classes[point])
        else:
            point, size, kind = _U64(0x0A), _ONE, np.int64(SPACE)  # the end of the text ends its last line
        if kind & SPACE:
            if in_token:
                n_tokens = _add(tokens, n_tokens, data, token_start, at, characters - token_from, gap, token_bits)
                in_token = False
            gap = 1 if n_tokens else 0
            dots = 0
            terminal_run = False
            if point == 10:
                if line_start >= 0:
                    if last == 0x2026 or last_dots >= 3:
                        line_bits |= ELLIPSIS
                    if classes[last] & TERMINAL:
                        line_bits |= FINISHED
                    if blank_before:
                        line_bits |= OPENING
                    lines.hashes[n_lines] = hash_bytes(data, line_byte, text_byte, NO_FOLD)
                    lines.lengths[n_lines] = text_end - line_start
                    lines.bits[n_lines] = line_bits
                    n_lines += 1
                    blank_before = False
                else:
                    blank_before = True
                line_start = -1
                bracket = -1
                if at < end:
                    feeds += 1
        else:
            if line_start < 0:
                line_start = characters
                line_byte = at
                line_bits = BULLET if point == 0x2022 or point == 0x2D else 0
            text_end = characters + 1
            text_byte = at + size
            last = point
            if split:
                if kind & IDEOGRAPHIC:
                    if in_token:
                        n_tokens = _add(
                            tokens, n_tokens, data, token_start, at, characters - token_from, gap, token_bits
                        )
                        in_token = False
                        gap = 0
                    n_tokens = _add(tokens, n_tokens, data, at, at + size, 1, gap, kind)
                    gap = 0
                elif in_token:
                    token_bits |= kind
                else:
                    in_token = True
                    token_start = at
                    token_from = characters
                    token_bits = kind
            content += (kind & CONTENT) != 0
            han += (kind & HAN) != 0
            digits += (kind & DIGIT) != 0
            terminal = (kind & TERMINAL) != 0
            sentences += terminal & (not terminal_run)
            terminal_run = terminal
            dots = (dots + 1) * (point == 0x2E)
            last_dots = dots
            ellipses += (point == 0x2026) | (dots > 0) & (dots % 3 == 0)
            signs += point == 0x23
            if point == 0x3010:
                bracket = characters if bracket < 0 else bracket
            elif point == 0x3011 and bracket >= 0:
                bracketed += characters - bracket - 1
                bracket = -1
        if at < end:
            characters += 1
        at += size
    return Totals(n_tokens, n_lines, characters, feeds, content, han, digits, signs, ellipses, sentences, bracketed)


@njit(inline="always")
def with_tokens(totals, tokens):  # type: ignore[no-untyped-def]
    """The same totals with another number of tokens."""
    return Totals(
        tokens,
        totals.lines,
        totals.characters,
        totals.line_feeds,
        totals.content,
        totals.han,
        totals.digits,
        totals.number_signs,
        totals.ellipses,
        totals.sentences,
        totals.bracketed,
    )
