"""Words with 64-bit hashes, in one pass over the UTF-8 bytes of Arrow's own buffers.

This is what a word is for all that compares texts: shingles (`corpus.dedup`), repeated passages and boilerplate lines
(`corpus.passages`), benchmark items (`corpus.contamination`), perplexity (`corpus.semantic`) and phrases of trades
(`corpus.safety`). The rules of `corpus.linguistic` follow published definitions, whose words are others, and have a
pass of their own (`corpus.linguistic.scan`, `tokens`, `chinese_words`). Of this module they only take which characters
are CJK.

**A word** is a maximal run of letters, digits and underscores, and each CJK character (ideograph, kana, bopomofo) is a
word of its own; everything else separates. Before it is hashed a character is normalised, in this order:

1. Unicode compatibility decomposition (NFKD) of the single character, from which combining marks (Mn, Me) are removed.
   If exactly one character is left it replaces the original (full-width A becomes A, e-acute becomes e, a CJK
   compatibility ideograph its unified form). If more are left (ligatures, fractions, Hangul) the original stays.
2. Lower case, where that is a single character.

Combining marks and invisible format characters (Cf, such as the soft hyphen and joiners, but not the zero-width space,
which separates) inside a word are skipped: composed and decomposed text give the same words. Digits stay as they are
and punctuation only separates. Categories and decompositions are those of Python's `unicodedata`; a code point it does
not know counts as a letter, and planes above the second hold ideographs or nothing. Malformed bytes separate.

A word's hash is `corpus.kernels.hashing.hash_bytes` of its normalised UTF-8 bytes (the underscore as 0x7F), so
pure ASCII words, nearly all of English, are hashed in place. Scripts written without spaces other than CJK (Thai,
Khmer) give one long word per phrase.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.bits import count_ones, low_bits, trailing_zeros
from corpus.kernels.hashing import GOLDEN_RATIO, LOWER, MURMUR_1, NO_FOLD, hash_bytes
from corpus.kernels.jit import kernel
from corpus.kernels.memory import load64
from corpus.kernels.simd import word_masks
from corpus.kernels.types import I64, U8, U32, U64, Word
from corpus.kernels.utf8 import decode_checked, encode, point_of_three

_U32, _U64 = np.uint32, np.uint64
_ONE = _U64(1)
_EDGES = 24  # beginnings and ends of words that are looked for together in 64 bytes; English has 21
_UNDERSCORE = 0x7F  # what `"_" | 0x20` is; no other word character has this byte
TABLE_SIZE = 0x20000  # planes 0 and 1; beyond them are only ideographs, tags and private use
SEPARATOR = _U32(0)
SKIP = _U32(0xFFFFFFFF)
CJK = _U32(0x80000000)  # flag: a word of its own
_CODE_POINT = _U32(0x1FFFFF)
_CJK_RANGES = (
    (0x3005, 0x3007),  # iteration mark, closing mark, zero
    (0x3041, 0x3096),  # hiragana
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),  # katakana
    (0x30FC, 0x312F),  # prolonged sound mark, iteration marks, bopomofo
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # extension A
    (0x4E00, 0x9FFF),  # unified ideographs
    (0xF900, 0xFAFF),  # compatibility ideographs
)


class Scratch(NamedTuple):
    """Memory that the word splitter writes, allocated once and reused from document to document.

    After `n = split_words(data, start, end, scratch)`, word i of the document is `data[starts[i]:ends[i]]` with hash
    `hashes[i]`, for i < n. `edges`, `unicode` and `folded` are its work space, `table` what each character becomes.
    """

    starts: I64
    ends: I64
    hashes: U64
    edges: U64
    unicode: I64
    folded: U8
    table: U32


def new_scratch(longest: int) -> Scratch:
    """Scratch for documents of up to `longest` bytes (take `offsets` and use `np.diff(offsets).max(initial=0)`)."""
    words = longest + 64
    return Scratch(
        np.empty(words, np.int64),
        np.empty(words, np.int64),
        np.empty(words, np.uint64),
        np.empty(longest + 192, np.uint64),
        np.empty(longest // 2 + 2, np.int64),
        np.zeros(2 * longest + 192, np.uint8),  # lower case can be longer: two bytes of UTF-8 become three
        character_table(),
    )


@functools.cache
def character_table() -> U32:
    """uint32[TABLE_SIZE]: what each code point becomes: `SEPARATOR`, `SKIP`, or its normalised code point (| `CJK`)."""
    table = np.fromiter((_normalise(code) for code in range(TABLE_SIZE)), np.uint32, TABLE_SIZE)
    table.setflags(write=False)
    return table


def _normalise(code: int) -> int:
    character = chr(code)
    category = unicodedata.category(character)
    if category in ("Mn", "Me") or (category == "Cf" and code != 0x200B):
        return int(SKIP)
    if code >= 0x80 and not 0xAC00 <= code <= 0xD7A3:  # Hangul syllables decompose to letters; they stay
        bare = [c for c in unicodedata.normalize("NFKD", character) if unicodedata.category(c) not in ("Mn", "Me")]
        if not bare:
            return int(SKIP)
        character = bare[0] if len(bare) == 1 else character
    lower = character.lower()
    character = lower if len(lower) == 1 else character
    folded = ord(character)
    if any(first <= folded <= last for first, last in _CJK_RANGES) or folded >= 0x20000:
        return folded | int(CJK)
    if character == "_":
        return _UNDERSCORE
    category = unicodedata.category(character)
    return folded if category[0] in "LN" or category in ("Mc", "Cn") else int(SEPARATOR)


@kernel
def split_words(data: U8, start: Word, end: Word, scratch: Scratch) -> Word:
    """Split `data[start:end]` (uint8 with 64 bytes of padding after the last document) into words; return how many.

    Fills `scratch.starts`, `.ends` (absolute positions in `data`) and `.hashes`. Runs of ASCII are words as they are;
    between two that hold other bytes there is nothing to ask, so each is hashed without a branch.
    """
    edges, unicode = scratch.edges, scratch.unicode
    runs, others = _find_runs(data, _U64(start), _U64(end), edges, unicode)
    unicode[others] = runs
    words = run = _U64(0)
    for i in range(others + _ONE):
        stop = _U64(unicode[i])
        while run < stop:
            first, last = edges[_U64(2) * run], edges[_U64(2) * run + _ONE]
            words = _emit(data, first, last, first, last, LOWER, scratch, words)
            run += _ONE
        if run < runs:
            words = _split_unicode(data, edges[_U64(2) * run], edges[_U64(2) * run + _ONE], scratch, words)
            run += _ONE
    return np.int64(words)


@njit(inline="always")
def _find_runs(data: U8, start: Word, end: Word, edges: U64, unicode: I64) -> tuple[Word, Word]:
    """Write where the runs of word characters begin and end, in turns, to `edges`, and which of them hold bytes of 0x80
    or more to `unicode`. Return how many runs, and how many of those.

    Adding to the mask of word characters that of the high bytes among them carries, from each run that has one, into
    the bit behind its end. Edges are written many at a time, more than there are, which costs less than a branch that
    is guessed wrongly at each end of a loop.
    """
    count = others = _U64(0)
    inside = carry = _U64(0)  # whether the run at the end of the last block goes on, and whether it holds a high byte
    at = start
    while at < end:
        word, high = word_masks(data, at)
        if end - at < _U64(64):
            word &= low_bits(end - at)
            high &= low_bits(end - at)
        edge = word ^ ((word << _ONE) | inside)
        inside = word >> _U64(63)
        if high | carry:
            partial = word + high
            total = partial + carry
            carry = _U64(partial < word) | _U64(total < partial)
            found = total & edge & ~word
            while found:
                unicode[others] = (count + count_ones(edge & (found - _ONE) & ~found)) >> _ONE
                others += _ONE
                found &= found - _ONE
        after = count + count_ones(edge)
        while True:
            for i in range(_EDGES):
                edges[count + _U64(i)] = at + trailing_zeros(edge)
                edge &= edge - _ONE
            count += _U64(_EDGES)
            if count >= after:
                break
        count = after
        at += _U64(64)
    if inside:
        if carry:
            unicode[others] = count >> _ONE
            others += _ONE
        edges[count] = end
        count += _ONE
    return count >> _ONE, others


@njit(inline="always")
def _emit(
    source: U8, first: Word, last: Word, start: Word, end: Word, fold: Word, scratch: Scratch, words: Word
) -> Word:
    """Write one word: hash `source[first:last]`, located at start..end of the data; return the new number of words."""
    scratch.starts[words] = start
    scratch.ends[words] = end
    scratch.hashes[words] = hash_bytes(source, first, last, fold)
    return words + _ONE


@njit(inline="always")
def _split_unicode(data: U8, start: Word, end: Word, scratch: Scratch, words: Word) -> Word:
    """Words of a run that holds non-ASCII bytes: decode, normalise by table, split at separators and CJK."""
    table, folded = scratch.table, scratch.folded
    at = start
    word_start = start
    size = _U64(0)  # bytes of the current word written to `folded`
    word_end = start
    while at < end:
        if size == _U64(0):
            at, words = _split_wide(data, at, end, scratch, words)
            if at == end:
                break
        point, length = decode_checked(data, at, end)
        code = _U32(point)
        if code < _U32(TABLE_SIZE):
            value = table[code]
        elif _U32(0x20000) <= code < _U32(0x40000):
            value = code | CJK
        else:
            value = SEPARATOR
        if value == SKIP:
            at += length
            if size:
                word_end = at
            continue
        if value == SEPARATOR or value & CJK:
            if size:
                words = _emit(folded, _U64(0), size, word_start, word_end, NO_FOLD, scratch, words)
                size = _U64(0)
            if value & CJK:
                scratch.starts[words] = at
                scratch.ends[words] = at + length
                scratch.hashes[words] = hash_character(value & _CODE_POINT)
                words += _ONE
        else:
            if size == _U64(0):
                word_start = at
            size = encode(value, folded, size)
            word_end = at + length
        at += length
    if size:
        words = _emit(folded, _U64(0), size, word_start, word_end, NO_FOLD, scratch, words)
    return words


@njit(inline="always")
def _split_wide(data: U8, at: Word, end: Word, scratch: Scratch, words: Word) -> tuple[Word, Word]:
    """The characters of three bytes from `at` on that are words of their own or separate: most of Chinese.

    Between words a character that is skipped does nothing either, so no branch depends on which of these comes next.
    """
    table, starts, ends, hashes = scratch.table, scratch.starts, scratch.ends, scratch.hashes
    while at + _U64(3) <= end:
        three = load64(data, at)
        if three & _U64(0xC0C0F0) != _U64(0x8080E0):
            break
        code = point_of_three(three)
        value = table[code]
        if _U32(value - _U32(1)) < CJK - _U32(1):  # neither SEPARATOR nor SKIP nor flagged CJK: part of a longer word
            break
        starts[words] = at
        at += _U64(3)
        ends[words] = at
        hashes[words] = hash_character(value & _CODE_POINT)
        words += _U64(_U32(value - CJK) < SKIP - CJK)  # one more if it is flagged CJK
    return at, words


@njit(inline="always")
def hash_character(code: Word) -> Word:
    """The hash of a CJK character that is a word of its own, from its normalised code point."""
    value = _U64(code) * GOLDEN_RATIO
    value ^= value >> _U64(29)
    value *= MURMUR_1
    return value ^ (value >> _U64(32))


def words_of(text: str) -> list[tuple[str, int]]:
    """The words of one string, as written, with their hashes: for people, tests and explanations, not for bulk work."""
    data, offsets = utf8_buffers(pa.array([text], pa.large_string()))
    scratch = new_scratch(int(offsets[-1]))
    count = split_words(data, 0, int(offsets[-1]), scratch)
    spans = zip(scratch.starts[:count], scratch.ends[:count], scratch.hashes[:count])
    return [(bytes(data[first:last]).decode("utf-8", "replace"), int(value)) for first, last, value in spans]
