"""C4's rules: which lines it would keep, and the words that show that a line or a page is no prose.

Definitions: Raffel et al. 2020 (arXiv 1910.10683, section 2.2) as their code has them (tensorflow/datasets
c4_utils.py), and datatrove's c4_filters.py after it. C4 rewrites a page: it drops lines, then the page if too few
sentences are left, or at the sight of "lorem ipsum" or a curly bracket. Here nothing is rewritten; rules are shares:

- `javascript_lines`, `policy_lines`: lines with the word "javascript"; with "terms of use", "privacy policy", "cookie
  policy", "uses cookies", "use of cookies" or "use cookies".
- `lorem_ipsum`, `curly_brackets`: lines with "lorem ipsum"; with "{". C4 keeps a page with none.
- `few_word_lines`: lines with less than 3 words. `longest_word`: in characters; C4 keeps lines up to 1,000.
- `c4_lines`: lines that C4 keeps: they end in . ? ! " or ', and not in "...", have 3 words or more and none too long,
  and no javascript and no policy.
- `c4_sentences`: runs of . ? and ! at the ends of words in those lines, for C4's least of 5 sentences. Its own count is
  that of a trained splitter (NLTK's punkt), which also ends a sentence where a line ends without them.

64 bytes are looked at at once: words and their ends are bits of masks, which are counted and not looked at one by one.
Only line feeds are, white space beyond ASCII, words that may be the longest, and what may matter: curly brackets, and
pairs of letters that few words but these phrases hold. Matching ignores the case of ASCII letters. Wikipedia's "[12]"
and "[edit]" at the end of a line, which C4 cuts out before it looks for the end mark, are skipped.
"""

import numpy as np
from numba import njit

from corpus.kernels.bits import ALL, count_ones, leading_zeros, low_bits, lowest_bit, trailing_zeros
from corpus.kernels.jit import kernel
from corpus.kernels.simd import newline_mask, range_mask
from corpus.kernels.types import F64, U8, Word
from corpus.kernels.utf8 import decode
from corpus.linguistic.characters import SPACE

NAMES = (
    "javascript_lines",
    "policy_lines",
    "lorem_ipsum",
    "curly_brackets",
    "few_word_lines",
    "longest_word",
    "c4_lines",
    "c4_sentences",
)
FEW_WORDS, LONG_WORD = 3, 1000
_PHRASES = (
    b"javascript",
    b"lorem ipsum",
    b"terms of use",
    b"privacy policy",
    b"cookie policy",
    b"uses cookies",
    b"use of cookies",
    b"use cookies",
)
_PAIRS = (b"ja", b"m ", b"ms", b"va", b"ok", b"ok", b"ok", b"ok")  # a rare pair of each: where it is looked for
_LONGEST = max(map(len, _PHRASES))
_TEXT = np.array([list(phrase.ljust(_LONGEST, b"\0")) for phrase in _PHRASES], np.uint8)
_LENGTHS = np.array([len(phrase) for phrase in _PHRASES])
_OFFSETS = np.array([phrase.index(pair) for phrase, pair in zip(_PHRASES, _PAIRS)])
_SOUGHT = np.array(
    [sum(1 << i for i, pair in enumerate(_PAIRS) if pair[0] == byte | 0x20) for byte in range(256)], np.uint8
)
_CITATIONS = (np.frombuffer(b"edit", np.uint8), np.frombuffer(b"citation needed", np.uint8))
_JAVASCRIPT, _LOREM, _POLICY, _CURLY, _LONG = 1, 2, 0xFC, 0x100, 0x200
_U64 = np.uint64
_ONE = _U64(1)


@kernel
def measure_web_lines(data: U8, start: Word, end: Word, classes: U8, row: F64) -> None:
    """Write the values of `NAMES` for `data[start:end]` (valid UTF-8) to `row`; all are 0 where it has no line."""
    row[:] = 0.0
    start, end = _U64(start), _U64(end)
    lines = words = sentences = longest = _U64(0)  # words and ends of sentences of the line
    found = 0  # phrases of the line, and whether it holds a curly bracket or too long a word
    line = last = start  # where the line begins, and where its last word ends
    characters = begin = _U64(0)  # before the block, and before the last word that is open or complete
    wide = inside = finished = _U64(0)  # of the last block: what reaches into the next one
    block = start
    while block <= end:
        here = low_bits(end - block)
        firsts, spaces, feeds, triggers = _masks(data, block)
        firsts &= here
        inner, wide_next = _wide_spaces(data, block, here, classes)
        spaces |= inner | wide | ~here  # the end of the text ends a word,
        feeds = feeds & here | (here + _ONE)  # and a line
        wide = wide_next
        ends = spaces & (~spaces << _ONE | inside)  # where a word has ended
        inside = ~spaces >> _U64(63)
        closed = _sentence_ends(data, block, here, finished)
        sentence_ends = ends & (closed << _ONE | finished)
        finished = closed >> _U64(63)
        if ends:
            below = lowest_bit(ends) - _ONE
            if not spaces & below:  # the word was open before the block
                length = characters + count_ones(firsts & below) - begin
                longest = max(longest, length)
                found |= _LONG if length > LONG_WORD else 0
            longest = _longest(firsts, spaces, ends, longest)
        if spaces:
            begin = characters + count_ones(firsts & ALL >> leading_zeros(spaces))
        characters += count_ones(firsts)
        events = feeds | triggers & here
        while events:
            bit = lowest_bit(events)
            events ^= bit
            at = block + trailing_zeros(bit)
            if not bit & feeds:
                sought = _SOUGHT[data[at]]
                found |= _phrases_at(data, np.int64(start), np.int64(end), np.int64(at), sought) if sought else _CURLY
                continue
            passed = ends & (bit | (bit - _ONE))
            words += count_ones(passed)
            sentences += count_ones(passed & sentence_ends)
            last = block + _U64(63) - leading_zeros(passed) if passed else last
            ends ^= passed
            if words:
                lines += _ONE
                row[0] += found & _JAVASCRIPT != 0
                row[1] += found & _POLICY != 0
                row[2] += found & _LOREM != 0
                row[3] += found & _CURLY != 0
                row[4] += words < FEW_WORDS
                wanted = words >= FEW_WORDS and not found & (_JAVASCRIPT | _POLICY | _LONG)
                if wanted and _finished(data, np.int64(line), np.int64(last)):
                    row[6] += 1
                    row[7] += sentences
            words = sentences = _U64(0)
            found = 0
            line = at + _ONE
        words += count_ones(ends)
        sentences += count_ones(ends & sentence_ends)
        last = block + _U64(63) - leading_zeros(ends) if ends else last
        block += _U64(64)
    row[5] = longest
    if lines:
        row[0] /= lines
        row[1] /= lines
        row[4] /= lines
        row[6] /= lines


@njit(inline="always")
def _masks(data: U8, at: Word) -> tuple[Word, Word, Word, Word]:
    """Of the 64 bytes at `data[at:]`, which are: first of a character, ASCII white space, line feeds, and what may
    count (a curly bracket, the rare pair of a phrase)."""
    firsts = ~range_mask(data, at, 0x80, 64)
    spaces = range_mask(data, at, 0x20, 1) | range_mask(data, at, 0x09, 5) | range_mask(data, at, 0x1C, 4)
    a = _letter(data, at + _ONE, 0x61)
    triggers = range_mask(data, at, 0x7B, 1) | (_letter(data, at, 0x6A) | _letter(data, at, 0x76)) & a
    triggers |= _letter(data, at, 0x6D) & (_letter(data, at + _ONE, 0x73) | range_mask(data, at + _ONE, 0x20, 1))
    triggers |= _letter(data, at, 0x6F) & _letter(data, at + _ONE, 0x6B)
    return firsts, spaces, newline_mask(data, at), triggers


@njit(inline="always")
def _wide_spaces(data: U8, at: Word, here: Word, classes: U8) -> tuple[Word, Word]:
    """Which of the bytes `here` are of white space beyond ASCII, and which of the next 64 bytes of what begins here."""
    third = range_mask(data, at + _U64(2), 0x80, 11) | range_mask(data, at + _U64(2), 0xA8, 8)
    third |= range_mask(data, at + _U64(2), 0x9F, 1)
    ideographic = range_mask(data, at + _U64(2), 0x80, 1) & range_mask(data, at, 0xE3, 1)
    maybe = range_mask(data, at + _ONE, 0x80, 2) & (range_mask(data, at, 0xE2, 1) & third | ideographic)
    maybe |= range_mask(data, at, 0xC2, 1) | range_mask(data, at, 0xE1, 1) & range_mask(data, at + _ONE, 0x9A, 1)
    maybe &= here
    inner = beyond = _U64(0)
    while maybe:
        offset = trailing_zeros(maybe)
        maybe &= maybe - _ONE
        point, size = decode(data, at + offset)
        if classes[point] & SPACE:
            bits = low_bits(size)
            inner |= bits << offset
            beyond |= bits >> _ONE >> (_U64(63) - offset)
    return inner, beyond


@njit(inline="always")
def _sentence_ends(data: U8, at: Word, here: Word, before: Word) -> Word:
    """Which of the bytes `here` are . ? ! or a quote or bracket that follows one of these, or another such quote."""
    terminals = range_mask(data, at, 0x2E, 1) | range_mask(data, at, 0x3F, 1) | range_mask(data, at, 0x21, 1)
    closing = range_mask(data, at, 0x22, 1) | range_mask(data, at, 0x27, 1) | range_mask(data, at, 0x29, 1)
    closing = (closing | range_mask(data, at, 0x5D, 1)) & here
    terminals &= here
    begins = (terminals << _ONE | before) & closing
    return terminals | ((closing + begins) ^ closing) & closing  # the sum carries through the run that begins there


@njit(inline="always")
def _longest(firsts: Word, spaces: Word, ends: Word, longest: Word) -> Word:
    """`longest`, or the characters of a longer one of the block's words, each between two spaces."""
    runs = ~spaces & low_bits(_U64(63) - leading_zeros(ends))
    size = _ONE
    while runs and size <= longest:  # a bit stays where `size` bytes are none of them white space
        step = min(size, longest + _ONE - size)
        runs &= runs >> step
        size += step
    while runs:
        bit = lowest_bit(runs)
        end = lowest_bit(ends & ~(bit - _ONE))
        longest = max(longest, count_ones(firsts & (end - bit)))
        runs &= ~(end - _ONE)
    return longest


@njit(inline="always")
def _letter(data: U8, at: Word, lower: int) -> Word:
    """Which of 64 bytes are this letter, in either case."""
    return range_mask(data, at, lower, 1) | range_mask(data, at, lower - 0x20, 1)


@kernel
def _phrases_at(data: U8, first: int, end: int, at: int, sought: Word) -> int:
    """The bits of the phrases, of those in `sought`, whose rare pair begins at `at`."""
    found = 0
    for phrase in range(len(_LENGTHS)):
        begin = at - _OFFSETS[phrase]
        if sought >> phrase & 1 and begin >= first and begin + _LENGTHS[phrase] <= end:
            same = True
            for i in range(_LENGTHS[phrase]):
                byte = data[begin + i]
                if 0x41 <= byte <= 0x5A:
                    byte |= np.uint8(0x20)
                if byte != _TEXT[phrase, i]:
                    same = False
                    break
            if same:
                found |= 1 << phrase
    return found


@njit(inline="always")
def _is_end(byte: Word) -> bool:
    return byte == 0x2E or byte == 0x3F or byte == 0x21  # . ? !


@kernel
def _finished(data: U8, first: int, last: int) -> bool:
    """Whether a line ends as C4 wants: an end mark or quote, no ellipsis; citations behind it are not seen."""
    last = _before_citations(data, first, last)
    if last <= first:
        return False
    byte = data[last - 1]
    if byte != 0x2E:
        return _is_end(byte) or byte == 0x22 or byte == 0x27
    dots = 1
    while dots < 3:
        last = _before_citations(data, first, last - 1)
        if last <= first or data[last - 1] != 0x2E:
            return True
        dots += 1
    return False


@kernel
def _before_citations(data: U8, first: int, last: int) -> int:
    """The end of `data[first:last]` without the citations at its end."""
    while last > first and data[last - 1] == 0x5D:
        begin = last - 2
        while begin >= first and data[begin] != 0x5B:
            begin -= 1
        if begin < first or not _is_citation(data, begin + 1, last - 1):
            break
        last = begin
    return last


@kernel
def _is_citation(data: U8, first: int, last: int) -> bool:
    """Whether the text in brackets is digits alone, "edit" or "citation needed" (c4_utils.py's pattern)."""
    size = last - first
    for text in _CITATIONS:
        if len(text) == size:
            same = True
            for i in range(size):
                same &= data[first + i] == text[i]
            if same:
                return True
    digits = 0
    for at in range(first, last):
        digits += 0x30 <= data[at] <= 0x39
    return digits == size
