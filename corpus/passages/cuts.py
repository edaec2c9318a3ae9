"""From what repeats to what is cut: the spans of a document, given its repeated n-grams and its boilerplate lines.

A word is cut when a repeated n-gram covers it. With the words goes what separates them from the next word that stays,
and what stands before them on their line if they begin it. But where the cut begins inside a line, the line keeps its
end. A document of which fewer than `least` words would stay is cut whole: the rest is no text any more.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.types import I8, I64, U8
from corpus.kernels.words import Scratch, new_scratch, split_words
from corpus.passages.site_lines import next_line
from corpus.spans import Spans

KINDS = ("passage", "line", "rest")
_PASSAGE, _LINE, _REST = range(3)
_FEED = 10


class RepeatPositions(NamedTuple):
    """Where documents repeat: the row, and the number of a word (where an n-gram begins) or of a line; ascending."""

    rows: I64
    positions: I64


class Limits(NamedTuple):
    """What decides a cut, given what repeats."""

    size: int  # words of an n-gram
    line_bytes: int  # bytes that the words of neighbouring boilerplate lines have together, at least
    least: int  # words that stay, at least, where anything is cut


def spans_to_cut(
    text: pa.Array | pa.ChunkedArray, ngrams: RepeatPositions, lines: RepeatPositions, limits: Limits
) -> Spans:
    """The spans of the documents whose repeated n-grams and boilerplate lines are given."""
    data, offsets = utf8_buffers(text)
    rows = np.arange(len(offsets))
    bounds = [np.searchsorted(repeats.rows, rows) for repeats in (ngrams, lines)]
    most = len(ngrams.rows) + len(lines.rows)
    starts, ends, kinds = (np.empty(2 * most, np.int64) for _ in range(3))
    counts = np.zeros(len(offsets), np.int64)
    longest = int(np.diff(offsets).max(initial=0))
    touched = np.empty(longest // 2 + 2, np.int8)
    _cut(
        data,
        offsets,
        new_scratch(longest),
        touched,
        ngrams.positions,
        bounds[0],
        lines.positions,
        bounds[1],
        limits,
        counts,
        starts,
        ends,
        kinds,
    )
    total = int(counts.sum())
    names = pa.array(KINDS).take(pa.array(kinds[:total]))
    return Spans(np.cumsum(counts), starts[:total].copy(), ends[:total].copy(), names)


@njit(nogil=True, cache=True)
def _cut(
    data: U8,
    offsets: I64,
    scratch: Scratch,
    touched: I8,
    ngrams: I64,
    first_ngram: I64,
    lines: I64,
    first_line: I64,
    limits: Limits,
    counts: I64,
    starts: I64,
    ends: I64,
    kinds: I64,
) -> None:
    """Fill the spans document by document; `counts[row + 1]` is how many document `row` has."""
    at = 0
    for row in range(len(offsets) - 1):
        a, b, c, d = first_ngram[row], first_ngram[row + 1], first_line[row], first_line[row + 1]
        if a == b and c == d:
            continue
        start, end = offsets[row], offsets[row + 1]
        words = split_words(data, start, end, scratch)
        touched[:words] = -1
        _touch_lines(data, end, scratch, words, lines[c:d], limits.line_bytes, touched)
        _touch_ngrams(ngrams[a:b], limits.size, touched)
        made, cut = _spans(data, start, end, scratch, words, touched, at, starts, ends, kinds)
        if cut and words - cut < limits.least:
            made = 1
            starts[at], ends[at], kinds[at] = 0, end - start, _REST
        counts[row + 1] = made
        at += made


@njit(nogil=True, cache=True)
def _touch_ngrams(ngrams: I64, size: int, touched: I8) -> None:
    """The words that repeated n-grams cover."""
    reached = 0
    for first in ngrams:
        for word in range(max(first, reached), first + size):
            touched[word] = _PASSAGE
        reached = first + size


@njit(nogil=True, cache=True)
def _touch_lines(data: U8, end: int, scratch: Scratch, words: int, lines: I64, least: int, touched: I8) -> None:
    """The words of boilerplate lines, in runs of neighbours that have enough of them."""
    word = line = at = 0
    first = size = 0  # the word that the run begins with, and the bytes of its words
    while word < words:
        boilerplate = at < len(lines) and lines[at] == line
        at += boilerplate
        if not boilerplate and size >= least:
            touched[first:word] = _LINE
        line_end = next_line(data, scratch.starts[word], end)
        while word < words and scratch.starts[word] < line_end:
            size += scratch.ends[word] - scratch.starts[word]
            word += 1
        if not boilerplate:
            first, size = word, 0
        line += 1
    if size >= least:
        touched[first:word] = _LINE


@njit(nogil=True, cache=True)
def _spans(
    data: U8,
    start: int,
    end: int,
    scratch: Scratch,
    words: int,
    touched: I8,
    at: int,
    starts: I64,
    ends: I64,
    kinds: I64,
) -> tuple[int, int]:
    """Write the spans of the runs of touched words of one document; return (how many, words cut)."""
    made = cut = 0
    word = 0
    while word < words:
        kind = touched[word]
        if kind < 0:
            word += 1
            continue
        first = word
        while word < words and touched[word] == kind:
            word += 1
        cut += word - first
        low = start if first == 0 else _line_start(data, scratch.ends[first - 1], scratch.starts[first])
        high = end if word == words else scratch.starts[word]
        if low > start and data[low - 1] != _FEED:
            for i in range(scratch.ends[word - 1], high):
                if data[i] == _FEED:
                    high = i
                    break
        elif word < words:
            high = _line_start(data, scratch.ends[word - 1], high)
        starts[at + made], ends[at + made], kinds[at + made] = low - start, high - start, kind
        made += 1
    return made, cut


@njit(nogil=True, cache=True)
def _line_start(data: U8, low: int, at: int) -> int:
    """Where the line of `at` begins, if it does so after `low`; else `at`."""
    i = at
    while i > low and data[i - 1] != _FEED:
        i -= 1
    return i if i > low else at
