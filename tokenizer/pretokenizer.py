"""The paper's pre-tokenizer: text is cut into pretokens across which no token may reach.

It exists twice. As components of the `tokenizers` library it is what `tokenizer.json` carries: five regexes, then
single digits, then the byte-level alphabet, each cutting the pretokens that the one before left. That runs at about 1
MB/s. `scan` is the same function as one pass over UTF-8 bytes, a hundred times faster. The tests hold it equal to the
components for every code point in every kind of context.

Because a later step sees only the pretokens of the earlier ones, and cuts are never undone, a cut falls between two
characters exactly if some step puts one there. Newlines stand alone (step 1). Runs of letters, with one space before
them, stand alone (2). So do runs of punctuation (3), which also cuts ASCII letters from others inside a word. Then
trailing spaces of a pretoken are cut off (4), which is where a run of spaces before a word parts from what precedes it.
Then runs inside and outside of the CJK range part (5). And each number character stands alone (6)."""

# numba compiles a chain of comparisons, not a search in a tuple, to plain code:
# ruff: noqa: SIM109

import numpy as np
from numba import njit
from tokenizers import Regex, pre_tokenizers

from corpus.kernels.bits import trailing_zeros
from corpus.kernels.memory import load64
from corpus.kernels.types import I64, U8, Word
from corpus.kernels.utf8 import decode
from tokenizer.characters import (
    CJK,
    CJK_ONLY,
    END,
    LETTER,
    LETTER_CJK,
    LETTER_PUNCT,
    LETTERS,
    NEWLINE,
    NUMBER,
    OTHER,
    PUNCT,
    PUNCT_CJK,
    PUNCTUATION,
    SPACE,
    SPACE_CJK,
    SPACE_PUNCT,
    TABLE_SIZE,
)

# `[...\uac00-\ud7ff]` ends at the last code point before the surrogates.
PATTERNS = (r"[\r\n]", rf"\s?[{LETTERS}]+", rf"\s?[{PUNCTUATION}]+", r"\s+$", f"[{CJK}]+")


def build_components() -> pre_tokenizers.PreTokenizer:
    """The pre-tokenizer as components of the `tokenizers` library."""
    return pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in PATTERNS),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def new_memo() -> I64:
    """What `scan` remembers between two calls for one document: the last run of spaces it looked through."""
    return np.zeros(3, np.int64)


_BIT5, _BIT7, _LOW7 = np.uint64(0x2020202020202020), np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
_FROM_A = np.uint64(0x1F1F1F1F1F1F1F1F)  # 0x80 - "a" in every byte
_PAST_Z = np.uint64(0x0505050505050505)  # 0x7f - "z" in every byte
_CJK_FIRST, _CJK_LAST = 0xE4, 0xE8  # every character with such a first byte, U+4000 to U+8FFF, is CJK_ONLY

# What follows a run of spaces decides to whom its last space belongs.
_ALONE = 0  # the run ends its pretoken: before a newline, the end, or a U+3000 that letters take
_TO_LETTERS = 1  # the last space goes to the letters behind it
_TO_PUNCT = 2  # the last space goes to the punctuation behind it
_INSIDE = 3  # the run is inside a pretoken


@njit(nogil=True, cache=True)
def _class_at(data: U8, at: int, end: int, table: U8) -> tuple[Word, Word]:
    """The class and the byte length of the character at `at`; (END, 0) at the end."""
    if at >= end:
        return END, 0
    if data[at] < 0x80:
        return np.int64(table[data[at]]), 1
    code, length = decode(data, np.uint64(at))
    if data[at] < 0xC0 or at + np.int64(length) > end:  # not UTF-8: a byte on its own
        return OTHER, 1
    return (np.int64(table[code]) if code < TABLE_SIZE else OTHER), np.int64(length)


@njit(nogil=True, cache=True)
def _is_letter(kind: int) -> bool:
    return kind == LETTER_PUNCT or kind == LETTER or kind == LETTER_CJK


@njit(nogil=True, cache=True)
def _ascii_letters(data: U8, at: int, end: int) -> Word:
    """The end of the run of ASCII letters that begins at `at`, found eight bytes at a time."""
    while True:
        word = load64(data, at)
        low = (word | _BIT5) & _LOW7
        # Bit 7 of a byte: it is at least "a", not beyond "z", and ASCII.
        letters = (low + _FROM_A) & ~(low + _PAST_Z) & ~word & _BIT7
        others = letters ^ _BIT7
        if others:
            return min(end, at + np.int64(trailing_zeros(others) >> np.uint64(3)))
        at += 8
        if at >= end:
            return end


@njit(nogil=True, cache=True)
def _run(data: U8, at: int, end: int, table: U8, kind: int) -> int:
    """The end of the run of characters of one class that begins at `at`."""
    while True:
        if kind == LETTER_PUNCT:
            at = _ascii_letters(data, at, end)
        found, length = _class_at(data, at, end, table)
        if found != kind:
            return at
        at += length


@njit(nogil=True, cache=True)
def _look_through_spaces(data: U8, at: int, end: int, table: U8, memo: I64) -> None:
    """Store in memo: where the run of spaces at `at` ends, where its last space begins, and what becomes of that."""
    last = at
    while True:
        kind, length = _class_at(data, at, end, table)
        if kind != SPACE and kind != SPACE_CJK:
            break
        last = at
        at += length
    if _is_letter(kind):
        owner = _TO_LETTERS
    elif kind == PUNCT or kind == PUNCT_CJK:
        owner = _TO_PUNCT
    elif kind == SPACE_PUNCT:
        behind, _ = _class_at(data, at + length, end, table)
        owner = _ALONE if _is_letter(behind) else _TO_PUNCT
    elif kind == NEWLINE or kind == END:
        owner = _ALONE
    else:
        owner = _INSIDE
    memo[0], memo[1], memo[2] = at, last, owner


@njit(nogil=True, cache=True)
def _wide_punctuation(data: U8, at: int, end: int, table: U8) -> Word:
    """The end of a pretoken that is, from `at` on, a run of CJK punctuation and U+3000."""
    after_punct = np.int64(-1)
    first = at
    while True:
        kind, length = _class_at(data, at, end, table)
        if kind == PUNCT_CJK:
            after_punct = at + length
        elif kind != SPACE_PUNCT:
            break
        at += length
    if kind == PUNCT:  # the run of punctuation goes on, so no U+3000 in it is trailing
        return at
    if after_punct >= 0:
        return after_punct
    if _is_letter(kind) and at - 3 > first:  # the letters take the last U+3000, three bytes long
        return at - 3
    return at


@njit(nogil=True, cache=True)
def _unclassed(data: U8, at: int, end: int, table: U8, plain: int, space: int, memo: I64) -> Word:
    """The end of a pretoken of `plain` characters (OTHER or CJK_ONLY) and of `space`s that stand inside it."""
    while True:
        if plain == CJK_ONLY:
            while at + 3 <= end and _CJK_FIRST <= data[at] <= _CJK_LAST:
                at += 3
        kind, length = _class_at(data, at, end, table)
        if kind == space:
            if memo[0] <= at:
                _look_through_spaces(data, at, end, table, memo)
            if memo[2] != _INSIDE:
                return at
        elif kind != plain:
            return at
        at += length


@njit(nogil=True, cache=True)
def _from_space(data: U8, at: int, end: int, table: U8, kind: int, length: int, memo: I64) -> int:
    """The end of the pretoken that begins with a space (of class `kind`) at `at`, unless `scan` has seen to it."""
    if memo[0] <= at:
        _look_through_spaces(data, at, end, table, memo)
    stop, last, owner = memo[0], memo[1], memo[2]
    if owner == _INSIDE:
        return _unclassed(data, at, end, table, CJK_ONLY if kind == SPACE_CJK else OTHER, kind, memo)
    if owner == _ALONE or at < last:
        if owner != _ALONE:
            stop = last
        while at < stop:
            found, length = _class_at(data, at, end, table)
            if found != kind:
                break
            at += length
        return at
    at += length
    if kind == SPACE_CJK:
        behind, _ = _class_at(data, at, end, table)
        if behind == LETTER_CJK:
            return _run(data, at, end, table, behind)
        if behind == PUNCT_CJK or behind == SPACE_PUNCT:
            return _wide_punctuation(data, at, end, table)
    return at


@njit(nogil=True, cache=True)
def scan(data: U8, at: int, end: int, table: U8, ends: I64, memo: I64) -> tuple[int, int]:
    """Cut `data[at:end]` (UTF-8, uint8) into pretokens.

    Writes the end of each pretoken to `ends` (int64) until the text or `ends` is used up, and returns how many were
    written and where to go on. `at` must be the start of a pretoken; `memo` comes from `new_memo()`, one for each
    document. Bytes that are not UTF-8 are cut somewhere, but none is lost and none outside of the range is read."""
    count = 0
    while at < end and count < ends.size:
        kind, length = _class_at(data, at, end, table)
        if kind == SPACE:
            behind, _ = _class_at(data, at + length, end, table)
            if behind == LETTER_PUNCT or behind == LETTER or behind == PUNCT:
                at = _run(data, at + length, end, table, behind)
            else:
                at = _from_space(data, at, end, table, kind, length, memo)
        elif kind == SPACE_CJK:
            at = _from_space(data, at, end, table, kind, length, memo)
        elif kind == NUMBER or kind == NEWLINE:
            at += length
        elif kind == OTHER:
            at = _unclassed(data, at, end, table, OTHER, SPACE, memo)
        elif kind == CJK_ONLY:
            at = _unclassed(data, at, end, table, CJK_ONLY, SPACE_CJK, memo)
        elif kind == PUNCT_CJK or kind == SPACE_PUNCT:
            at = _wide_punctuation(data, at, end, table)
        else:
            at = _run(data, at + length, end, table, kind)
        ends[count] = at
        count += 1
    return count, at
