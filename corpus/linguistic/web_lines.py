"""C4's rules: which lines it would keep, and the words that mark a line or a page as no prose.

Definitions: Raffel et al. 2020 (arXiv 1910.10683, section 2.2) as their code has them (tensorflow/datasets
c4_utils.py), and datatrove's c4_filters.py after it. C4 rewrites a page: it drops lines, then the page if too few
sentences are left, or at the sight of "lorem ipsum" or a curly bracket. Here nothing is rewritten; rules are shares:

- `javascript_lines`, `policy_lines`: lines with the word "javascript"; with "terms of use", "privacy policy", "cookie
  policy", "uses cookies", "use of cookies" or "use cookies".
- `lorem_ipsum`, `curly_brackets`: lines with "lorem ipsum"; with "{". C4 keeps a page with none.
- `few_word_lines`: lines with less than 3 words. `longest_word`: in characters; C4 keeps lines up to 1,000.
- `c4_lines`: lines that C4 keeps: they end in . ? ! " or ', and not in "...", have 3 words or more and none too long,
  and neither javascript nor a policy.
- `c4_sentences`: runs of . ? and ! at the ends of words in those lines, for C4's least of 5 sentences; its own count is
  that of a trained splitter (NLTK's punkt), which also ends a sentence where a line ends without them.

Lines are read 64 bytes at a time, and only what may matter is looked at: white space, brackets, and pairs of letters
that few words but these phrases hold. Matching ignores the case of ASCII letters. Wikipedia's "[12]" and "[edit]" at
the end of a line, which C4 cuts out before it looks for the end mark, are skipped.
"""

import numpy as np
from numba import njit

from corpus.kernels import kernel, range_mask, trailing_zeros
from corpus.linguistic.characters import SPACE, decode

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
_PLACES = np.array([phrase.index(pair) for phrase, pair in zip(_PHRASES, _PAIRS)])
_SOUGHT = np.array(
    [sum(1 << i for i, pair in enumerate(_PAIRS) if pair[0] == byte | 0x20) for byte in range(256)], np.uint8
)
_CITATIONS = (np.frombuffer(b"edit", np.uint8), np.frombuffer(b"citation needed", np.uint8))
_JAVASCRIPT, _LOREM, _POLICY, _CURLY, _LONG = 1, 2, 0xFC, 0x100, 0x200


@kernel
def measure_web_lines(data, start, end, classes, row):  # type: ignore[no-untyped-def]
    """Write the values of `NAMES` for `data[start:end]` (valid UTF-8) to `row`; all are 0 where it has no line."""
    row[:] = 0.0
    lines = longest = 0
    words = sentences = 0  # of the line
    found = 0  # phrases of the line, and whether it holds a curly bracket or too long a word
    first = last = begin = start  # where the line's text begins, where its last word ends, and where the next may begin
    block = start
    while block <= end:
        spaces, marks = _masks(data, block) if block < end else (np.uint64(0), np.uint64(0))
        if end - block < 64:
            inside = (np.uint64(1) << np.uint64(end - block)) - np.uint64(1)
            spaces, marks = spaces & inside | inside + np.uint64(1), marks & inside  # the end of the text ends a line
        events = spaces | marks
        while events:
            at = block + np.int64(trailing_zeros(events))
            events &= events - np.uint64(1)
            byte = data[at] if at < end else np.uint8(0x0A)
            size = 1
            if byte >= 0x80:
                point, size = decode(data, at)
                if not classes[point] & SPACE:
                    continue
            elif byte > 0x20:
                found |= _CURLY if byte == 0x7B else _phrases_at(data, start, end, at, _SOUGHT[byte])
                continue
            if at > begin:
                first = first if words else begin
                last = at
                words += 1
                sentences += _ends_sentence(data, first, last)
                if at - begin > min(longest, LONG_WORD):
                    length = _characters(data, begin, at)
                    longest = max(longest, length)
                    found |= _LONG if length > LONG_WORD else 0
            begin = at + size
            if byte == 0x0A and words:
                lines += 1
                row[0] += found & _JAVASCRIPT != 0
                row[1] += found & _POLICY != 0
                row[2] += found & _LOREM != 0
                row[3] += found & _CURLY != 0
                row[4] += words < FEW_WORDS
                if words >= FEW_WORDS and not found & (_JAVASCRIPT | _POLICY | _LONG) and _finished(data, first, last):
                    row[6] += 1
                    row[7] += sentences
                words = sentences = found = 0
        block += 64
    row[5] = longest
    if lines:
        row[0] /= lines
        row[1] /= lines
        row[4] /= lines
        row[6] /= lines


@njit(inline="always")
def _masks(data, at):  # type: ignore[no-untyped-def]
    """Which of the 64 bytes at `data[at:]` are ASCII white space, and which may begin something else that counts: white
    space beyond ASCII, a curly bracket, the rare pair of a phrase."""
    spaces = range_mask(data, at, 0x20, 1) | range_mask(data, at, 0x09, 5) | range_mask(data, at, 0x1C, 4)
    marks = range_mask(data, at, 0xC2, 1) | range_mask(data, at, 0xE1, 3) | range_mask(data, at, 0x7B, 1)
    a = _letter(data, at + 1, 0x61)
    marks |= (_letter(data, at, 0x6A) | _letter(data, at, 0x76)) & a
    marks |= _letter(data, at, 0x6D) & (_letter(data, at + 1, 0x73) | range_mask(data, at + 1, 0x20, 1))
    return spaces, marks | _letter(data, at, 0x6F) & _letter(data, at + 1, 0x6B)


@njit(inline="always")
def _letter(data, at, lower):  # type: ignore[no-untyped-def]
    """Which of 64 bytes are this letter, in either case."""
    return range_mask(data, at, lower, 1) | range_mask(data, at, lower - 0x20, 1)


@kernel
def _characters(data, start, end):  # type: ignore[no-untyped-def]
    """Code points of `data[start:end]`."""
    count = 0
    for at in range(start, end):
        count += data[at] & 0xC0 != 0x80
    return count


@kernel
def _phrases_at(data, first, end, at, sought):  # type: ignore[no-untyped-def]
    """The bits of the phrases, of those in `sought`, whose rare pair begins at `at`."""
    found = 0
    for phrase in range(len(_LENGTHS)):
        begin = at - _PLACES[phrase]
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
def _is_end(byte):  # type: ignore[no-untyped-def]
    return byte == 0x2E or byte == 0x3F or byte == 0x21  # . ? !


@kernel
def _ends_sentence(data, first, last):  # type: ignore[no-untyped-def]
    """Whether the word that ends at `last` ends a sentence: its last character but quotes and brackets is . ? or !"""
    at = last - 1
    while at > first and (data[at] == 0x22 or data[at] == 0x27 or data[at] == 0x29 or data[at] == 0x5D):
        at -= 1
    return _is_end(data[at])


@kernel
def _finished(data, first, last):  # type: ignore[no-untyped-def]
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
def _before_citations(data, first, last):  # type: ignore[no-untyped-def]
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
def _is_citation(data, first, last):  # type: ignore[no-untyped-def]
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
