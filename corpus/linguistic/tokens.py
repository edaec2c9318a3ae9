"""The tokens of a text that is not Chinese, or of any for which no segmenter stands ready.

A token is what white space separates, except that a character of a script written without spaces (Chinese, kana)
stands alone: "我用 Python，很好" is 我 · 用 · Python， · 很 · 好. So English has the words that Gopher, Dolma and
RedPajama count, and Chinese has its characters.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.io.buffers import PADDING
from corpus.kernels.bits import low_bits, trailing_zeros
from corpus.kernels.hashing import NO_FOLD, hash_bytes
from corpus.kernels.jit import kernel
from corpus.kernels.simd import letter_mask, range_mask
from corpus.kernels.types import I64, U8, U64, Word
from corpus.kernels.utf8 import decode
from corpus.linguistic.characters import ALPHABETIC, CONTENT, IDEOGRAPHIC, SPACE

_U64 = np.uint64
_ONE = _U64(1)


class Tokens(NamedTuple):
    """Scratch for the tokens of one document at a time."""

    hashes: U64
    ends: I64  # ends[i] = code points of tokens 0..i-1
    gaps: I64  # gaps[i] = how many of the tokens 1..i follow white space
    bits: U8  # ALPHABETIC and CONTENT: some character of the token has it


def new_tokens(longest: int) -> Tokens:
    """Room for the tokens of any document of at most `longest` bytes: in Chinese each may be a word, a sign."""
    count = longest + 8
    return Tokens(
        np.empty(count, np.uint64),
        np.zeros(count + 1, np.int64),
        np.zeros(count + 1, np.int64),
        np.empty(count, np.uint8),
    )


def hash_token(token: str) -> int:
    """The hash that `split_tokens` gives a token."""
    text = token.encode()
    data = np.frombuffer(text.ljust(PADDING, b"\0"), np.uint8)
    return int(hash_bytes(data, np.uint64(0), np.uint64(len(text)), NO_FOLD))


@njit(inline="always")
def _ascii_run(data: U8, at: Word, end: Word) -> tuple[Word, Word]:
    """How many of the 64 bytes from `at` on are ASCII and no white space, up to the first other one, and their bits."""
    letters = letter_mask(data, at)
    others = range_mask(data, at, 0x80, 128) | range_mask(data, at, 0x09, 5) | range_mask(data, at, 0x1C, 5)
    run = min(trailing_zeros(others), end - at)
    inside = low_bits(run)
    bits = ALPHABETIC if letters & inside else 0
    bits |= CONTENT if (letters | range_mask(data, at, 0x30, 10)) & inside else 0
    return run, np.uint8(bits)


@njit(inline="always")
def _add(tokens: Tokens, count: Word, data: U8, start: Word, end: Word, length: int, gap: int, bits: Word) -> Word:
    """Add a token, `data[start:end]`, of `length` code points; how many there are now."""
    tokens.hashes[count] = hash_bytes(data, start, end, NO_FOLD)
    tokens.ends[count + _ONE] = tokens.ends[count] + length
    tokens.gaps[count] = (tokens.gaps[count - _ONE] if count else 0) + gap
    tokens.bits[count] = bits
    return count + _ONE


@kernel
def split_tokens(data: U8, start: Word, end: Word, classes: U8, tokens: Tokens) -> Word:
    """Fill `tokens` from `data[start:end]` (valid UTF-8); how many there are.

    `classes` is `character_classes()`; `tokens` must come from `new_tokens(n)` with n >= end - start.
    """
    at, end = _U64(start), _U64(end)
    count = _U64(0)
    length = 0  # code points of the token that is open; 0: none is
    first = at  # where it begins
    bits = np.uint8(0)
    gap = 0  # 1: white space lies before it
    while at < end:
        run, of_run = _ascii_run(data, at, end)
        if run:
            first = first if length else at
            bits = (bits if length else np.uint8(0)) | of_run
            length += run
            at += run
            continue
        point, size = decode(data, at)
        kind = classes[point]
        if length and kind & (SPACE | IDEOGRAPHIC):
            count = _add(tokens, count, data, first, at, length, gap, bits)
            length = gap = 0
        if kind & SPACE:
            gap = 1 if count else 0
        elif kind & IDEOGRAPHIC:
            count = _add(tokens, count, data, at, min(at + size, end), 1, gap, kind)
            gap = 0
        else:
            first = first if length else at
            bits = (bits if length else np.uint8(0)) | kind
            length += 1
        at += size
    if length:
        count = _add(tokens, count, data, first, end, length, gap, bits)
    return np.int64(count)
