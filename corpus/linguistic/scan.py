"""One pass over the UTF-8 of a document: its tokens, its lines, and the characters that rules count.

A token is what white space separates, except that a character of a script written without spaces (Chinese, kana)
stands alone: "我用 Python，很好" is 我 · 用 · Python， · 很 · 好. So English has the words that Gopher, Dolma and
RedPajama count, and Chinese has its characters. A line is what lies between line feeds, without white space at its
ends; a line of white space alone is blank, and no rule counts it. A paragraph is a run of lines with no blank line
between.

Everything later reads these arrays and totals and never the text again. Lengths are in code points, as Python's `len`
and the published definitions have them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels import MIX_A, mix64
from corpus.linguistic.characters import (
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

SEED = np.uint64(0xCBF29CE484222325)  # FNV-1a's offset basis


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


@njit(inline="always")
def decode(data, at):  # type: ignore[no-untyped-def]
    """The code point at a byte position, and its length in bytes."""
    byte = np.int64(data[at])
    if byte < 0x80:
        return byte, 1
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F, 2
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | (np.int64(data[at + 1]) & 0x3F) << 6 | np.int64(data[at + 2]) & 0x3F, 3
    point = (byte & 0x07) << 18 | (np.int64(data[at + 1]) & 0x3F) << 12
    return point | (np.int64(data[at + 2]) & 0x3F) << 6 | np.int64(data[at + 3]) & 0x3F, 4


@njit(nogil=True, cache=True)
def scan(data, start, end, classes, tokens, lines):  # type: ignore[no-untyped-def]
    """Fill `tokens` and `lines` from `data[start:end]` (valid UTF-8) and return its Totals.

    `classes` is `character_classes()`; the scratch must come from `scratch(n)` with n >= end - start.
    """
    n_tokens = n_lines = characters = feeds = content = han = digits = signs = ellipses = sentences = bracketed = 0
    dots = 0  # the run of "." that ends here
    terminal_run = False
    bracket = -1  # where the open 【 of this line stands
    in_token = False
    token_hash = SEED
    token_length = 0
    token_bits = np.int64(0)
    gap = 0  # white space since the last token
    line_start = -1  # code point where the line's text begins; -1: blank so far
    line_hash = SEED
    text_hash = SEED  # the line's hash up to its last character that is no space
    text_end = 0
    line_bits = 0
    last = 0  # the last character that is no space, and how many dots ended there
    last_dots = 0
    blank_before = True
    at = start
    while at <= end:
        if at < end:
            point, size = decode(data, at)
            size = min(size, end - at)
            kind = np.int64(classes[point])
        else:
            point, size, kind = np.int64(10), 1, np.int64(SPACE)  # the end of the text ends its last line
        if kind & SPACE:
            if in_token:
                tokens.hashes[n_tokens] = mix64(token_hash)
                tokens.ends[n_tokens + 1] = tokens.ends[n_tokens] + token_length
                tokens.gaps[n_tokens] = (tokens.gaps[n_tokens - 1] if n_tokens else 0) + gap
                tokens.bits[n_tokens] = token_bits
                n_tokens += 1
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
                    lines.hashes[n_lines] = mix64(text_hash)
                    lines.lengths[n_lines] = text_end - line_start
                    lines.bits[n_lines] = line_bits
                    n_lines += 1
                    blank_before = False
                else:
                    blank_before = True
                line_start = -1
                line_hash = SEED
                bracket = -1
                if at < end:
                    feeds += 1
            elif line_start >= 0:
                line_hash = (line_hash ^ np.uint64(point)) * MIX_A
        else:
            if line_start < 0:
                line_start = characters
                line_bits = BULLET if point == 0x2022 or point == 0x2D else 0
            line_hash = (line_hash ^ np.uint64(point)) * MIX_A
            text_hash = line_hash
            text_end = characters + 1
            last = point
            if kind & IDEOGRAPHIC:
                if in_token:
                    tokens.hashes[n_tokens] = mix64(token_hash)
                    tokens.ends[n_tokens + 1] = tokens.ends[n_tokens] + token_length
                    tokens.gaps[n_tokens] = (tokens.gaps[n_tokens - 1] if n_tokens else 0) + gap
                    tokens.bits[n_tokens] = token_bits
                    n_tokens += 1
                    in_token = False
                    gap = 0
                tokens.hashes[n_tokens] = mix64((SEED ^ np.uint64(point)) * MIX_A)
                tokens.ends[n_tokens + 1] = tokens.ends[n_tokens] + 1
                tokens.gaps[n_tokens] = (tokens.gaps[n_tokens - 1] if n_tokens else 0) + gap
                tokens.bits[n_tokens] = kind
                n_tokens += 1
                gap = 0
            elif in_token:
                token_hash = (token_hash ^ np.uint64(point)) * MIX_A
                token_length += 1
                token_bits |= kind
            else:
                in_token = True
                token_hash = (SEED ^ np.uint64(point)) * MIX_A
                token_length = 1
                token_bits = kind
            if kind & CONTENT:
                content += 1
                if kind & HAN:
                    han += 1
                elif kind & DIGIT:
                    digits += 1
                dots = 0
                terminal_run = False
            else:
                if kind & TERMINAL:
                    sentences += 0 if terminal_run else 1
                    terminal_run = True
                else:
                    terminal_run = False
                if point == 0x2E:
                    dots += 1
                    if dots % 3 == 0:
                        ellipses += 1
                else:
                    dots = 0
                    if point == 0x23:
                        signs += 1
                    elif point == 0x2026:
                        ellipses += 1
                    elif point == 0x3010:
                        bracket = characters if bracket < 0 else bracket
                    elif point == 0x3011 and bracket >= 0:
                        bracketed += characters - bracket - 1
                        bracket = -1
            last_dots = dots
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
