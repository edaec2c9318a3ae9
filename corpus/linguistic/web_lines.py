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

Matching ignores the case of ASCII letters. Wikipedia's "[12]" and "[edit]" at the end of a line, which C4 cuts out
before it looks for the end mark, are skipped.
"""

import numpy as np
from numba import njit

from corpus.linguistic.characters import SPACE
from corpus.linguistic.scan import decode

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
_RARE = b"jmmvkkkk"  # of each phrase a letter that few words hold, at which the phrase is looked for
_LONGEST = max(map(len, _PHRASES))
_TEXT = np.array([list(phrase.ljust(_LONGEST, b"\0")) for phrase in _PHRASES], np.uint8)
_LENGTHS = np.array([len(phrase) for phrase in _PHRASES])
_PLACES = np.array([phrase.index(_RARE[i : i + 1]) for i, phrase in enumerate(_PHRASES)])
_SOUGHT = np.array(
    [sum(1 << i for i, rare in enumerate(_RARE) if rare == byte | 0x20) for byte in range(256)], np.uint8
)
_CITATIONS = (np.frombuffer(b"edit", np.uint8), np.frombuffer(b"citation needed", np.uint8))
_JAVASCRIPT, _LOREM = 1, 2  # bits of the first two phrases; the others are policies


@njit(nogil=True, cache=True)
def measure_web_lines(data, start, end, classes, row):  # type: ignore[no-untyped-def]
    """Write the values of `NAMES` for `data[start:end]` (valid UTF-8) to `row`; all are 0 where it has no line."""
    row[:] = 0.0
    lines = 0
    words = length = longest = sentences = 0  # of the line; `length` is of the word that is being read
    found = 0  # phrases of the line, and whether it holds a curly bracket
    first = last = -1  # where the line's text begins, and ends
    at = start
    while at <= end:
        byte = data[at] if at < end else np.uint8(0x0A)
        size = 1
        space = byte == 0x20 or 0x09 <= byte <= 0x0D or 0x1C <= byte <= 0x1F
        if byte >= 0x80:
            point, size = decode(data, at)
            size = min(size, end - at)
            space = classes[point] & SPACE != 0
        if not space:
            if first < 0:
                first = at
            length += 1
            last = at + size
            if _SOUGHT[byte]:
                found |= _phrases_at(data, first, end, at, _SOUGHT[byte])
            elif byte == 0x7B:
                found |= 0x100
            at += size
            continue
        if length:
            words += 1
            longest = max(longest, length)
            length = 0
            sentences += _ends_sentence(data, first, last)
        if byte == 0x0A and first >= 0:
            lines += 1
            row[0] += found & _JAVASCRIPT != 0
            row[1] += found & 0xFF & ~(_JAVASCRIPT | _LOREM) != 0
            row[2] += found & _LOREM != 0
            row[3] += found & 0x100 != 0
            row[4] += words < FEW_WORDS
            row[5] = max(row[5], longest)
            kept = words >= FEW_WORDS and longest <= LONG_WORD and not found & 0xFF & ~_LOREM
            if kept and _finished(data, first, last):
                row[6] += 1
                row[7] += sentences
            words = longest = sentences = found = 0
            first = last = -1
        at += size
    if lines:
        row[0] /= lines
        row[1] /= lines
        row[4] /= lines
        row[6] /= lines


@njit(nogil=True, cache=True)
def _phrases_at(data, first, end, at, sought):  # type: ignore[no-untyped-def]
    """The bits of the phrases whose rare letter is the byte at `at`."""
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


@njit(nogil=True, cache=True)
def _ends_sentence(data, first, last):  # type: ignore[no-untyped-def]
    """Whether the word that ends at `last` ends a sentence: its last character but quotes and brackets is . ? or !"""
    at = last - 1
    while at > first and (data[at] == 0x22 or data[at] == 0x27 or data[at] == 0x29 or data[at] == 0x5D):
        at -= 1
    return _is_end(data[at])


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
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
