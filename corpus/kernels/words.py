"""The one pass over UTF-8 bytes that all judges of a text share: words, lines and paragraphs, with 64-bit hashes.

Quality rules, repetition rules, shingles and signatures all read this one segmentation, so that they agree on what a
word is and the text is walked once, in numba, over Arrow's own buffers.

**A word** is a maximal run of letters, digits and underscores, and each CJK character (ideograph, kana, bopomofo) is a
word of its own; everything else separates. Before it is hashed a character is normalised, in this order:

1. Unicode compatibility decomposition (NFKD) of the single character, from which combining marks (Mn, Me) are removed.
   If exactly one character is left it replaces the original (full-width A becomes A, e-acute becomes e, a CJK
   compatibility ideograph its unified form); if more are left (ligatures, fractions, Hangul) the original stays.
2. Lower case, where that is a single character.

Combining marks and invisible format characters (Cf, such as the soft hyphen and joiners, but not the zero-width space,
which separates) inside a word are skipped: composed and decomposed text give the same words. Digits stay as they are
and punctuation only separates. Categories and decompositions are those of Python's `unicodedata`; a code point it does
not know counts as a letter, and planes above the second hold ideographs or nothing. Malformed bytes separate.

A word's hash is `corpus.kernels.simd.hash_bytes` of its normalised UTF-8 bytes (the underscore as 0x7F), so pure ASCII
words, nearly all of English, are hashed in place. Scripts written without spaces other than CJK (Thai, Khmer) give one
long word per phrase.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.simd import (
    LOWER,
    MIX_A,
    MIX_B,
    NO_FOLD,
    count_ones,
    hash_bytes,
    kernel,
    load64,
    low_bits,
    newline_mask,
    point_of_three,
    trailing_zeros,
    word_masks,
)

_U8, _U32, _U64 = np.uint8, np.uint32, np.uint64
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

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    edges: npt.NDArray[np.uint64]
    unicode: npt.NDArray[np.int64]
    folded: npt.NDArray[np.uint8]
    table: npt.NDArray[np.uint32]


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
def character_table() -> npt.NDArray[np.uint32]:
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
def split_words(data, start, end, scratch):  # type: ignore[no-untyped-def]
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
def _find_runs(data, start, end, edges, unicode):  # type: ignore[no-untyped-def]
    """Write where the runs of word characters begin and end, in turns, to `edges`, and which of them hold bytes of 0x80
    or more to `unicode`; return how many runs, and how many of those.

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
def _emit(source, first, last, start, end, fold, scratch, words):  # type: ignore[no-untyped-def]
    """Write one word: hash `source[first:last]`, located at start..end of the data; return the new number of words."""
    scratch.starts[words] = start
    scratch.ends[words] = end
    scratch.hashes[words] = hash_bytes(source, first, last, fold)
    return words + _ONE


@njit(inline="always")
def _split_unicode(data, start, end, scratch, words):  # type: ignore[no-untyped-def]
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
        code, length = _decode(data, at, end)
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
            size = _encode(value, folded, size)
            word_end = at + length
        at += length
    if size:
        words = _emit(folded, _U64(0), size, word_start, word_end, NO_FOLD, scratch, words)
    return words


@njit(inline="always")
def _split_wide(data, at, end, scratch, words):  # type: ignore[no-untyped-def]
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
def hash_character(code):  # type: ignore[no-untyped-def]
    """The hash of a CJK character that is a word of its own, from its normalised code point."""
    value = _U64(code) * MIX_A
    value ^= value >> _U64(29)
    value *= MIX_B
    return value ^ (value >> _U64(32))


@njit(inline="always")
def _decode(data, at, end):  # type: ignore[no-untyped-def]
    """One UTF-8 character at `at`: (code point, bytes); a malformed byte is (0, 1), which separates."""
    lead = _U32(data[at])
    if lead < _U32(0x80):
        return lead, _ONE
    length = _U64(2)
    code = lead & _U32(0x1F)
    if lead >= _U32(0xF0):
        length = _U64(4)
        code = lead & _U32(0x07)
    elif lead >= _U32(0xE0):
        length = _U64(3)
        code = lead & _U32(0x0F)
    if lead < _U32(0xC2) or lead > _U32(0xF4) or at + length > end:
        return _U32(0), _ONE
    for i in range(_ONE, length):
        byte = _U32(data[at + i])
        if byte & _U32(0xC0) != _U32(0x80):
            return _U32(0), _ONE
        code = (code << _U32(6)) | (byte & _U32(0x3F))
    return code, length


@njit(inline="always")
def _encode(code, out, at):  # type: ignore[no-untyped-def]
    """Write a code point as UTF-8 at `out[at:]`; return the position after it."""
    if code < _U32(0x80):
        out[at] = _U8(code)
        return at + _ONE
    if code < _U32(0x800):
        out[at] = _U8(_U32(0xC0) | (code >> _U32(6)))
        out[at + _ONE] = _U8(_U32(0x80) | (code & _U32(0x3F)))
        return at + _U64(2)
    if code < _U32(0x10000):
        out[at] = _U8(_U32(0xE0) | (code >> _U32(12)))
        out[at + _ONE] = _U8(_U32(0x80) | ((code >> _U32(6)) & _U32(0x3F)))
        out[at + _U64(2)] = _U8(_U32(0x80) | (code & _U32(0x3F)))
        return at + _U64(3)
    out[at] = _U8(_U32(0xF0) | (code >> _U32(18)))
    out[at + _ONE] = _U8(_U32(0x80) | ((code >> _U32(12)) & _U32(0x3F)))
    out[at + _U64(2)] = _U8(_U32(0x80) | ((code >> _U32(6)) & _U32(0x3F)))
    out[at + _U64(3)] = _U8(_U32(0x80) | (code & _U32(0x3F)))
    return at + _U64(4)


@kernel
def split_blocks(data, start, end, newlines, starts, ends, hashes):  # type: ignore[no-untyped-def]
    """Split `data[start:end]` at every run of at least `newlines` line feeds; return the number of blocks.

    With `newlines` 1 the blocks are lines, with 2 paragraphs (which may hold single line feeds). Blocks are not empty
    and neither begin nor end with a line feed; other white space is left in place. Block i is
    `data[starts[i]:ends[i]]` (int64) with the uint64 hash of its exact bytes. The three arrays need room for half as
    many blocks as there are bytes, plus one.
    """
    start = _U64(start)
    end = _U64(end)
    blocks = _U64(0)
    block_start = start
    run_end = start  # where the current run of line feeds ends
    run = _U64(0)  # its length so far
    at = start
    while at < end:
        feeds = newline_mask(data, at) & low_bits(end - at)
        while feeds:
            here = at + trailing_zeros(feeds)
            feeds &= feeds - _ONE
            if run == _U64(0) or here != run_end:
                if run >= _U64(newlines) or run_end == start + run:
                    blocks = _emit_block(data, block_start, run_end - run, starts, ends, hashes, blocks)
                    block_start = run_end
                run = _U64(0)
            run += _ONE
            run_end = here + _ONE
        at += _U64(64)
    if run >= _U64(newlines) or run_end == end or run_end == start + run:
        blocks = _emit_block(data, block_start, run_end - run, starts, ends, hashes, blocks)
        block_start = run_end
    return np.int64(_emit_block(data, block_start, end, starts, ends, hashes, blocks))


@njit(inline="always")
def _emit_block(data, start, end, starts, ends, hashes, blocks):  # type: ignore[no-untyped-def]
    if end <= start:
        return blocks
    starts[blocks] = start
    ends[blocks] = end
    hashes[blocks] = hash_bytes(data, start, end, NO_FOLD)
    return blocks + _ONE


def words_of(text: str) -> list[tuple[str, int]]:
    """The words of one string, as written, with their hashes: for people, tests and explanations, not for bulk work."""
    data, offsets = utf8_buffers(pa.array([text], pa.large_string()))
    scratch = new_scratch(int(offsets[-1]))
    count = split_words(data, 0, int(offsets[-1]), scratch)
    spans = zip(scratch.starts[:count], scratch.ends[:count], scratch.hashes[:count])
    return [(bytes(data[first:last]).decode("utf-8", "replace"), int(value)) for first, last, value in spans]
