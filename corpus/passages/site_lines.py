"""Boilerplate: lines that many documents of one site have, such as menus, notices and calls to subscribe.

Two lines are equal when their words are (those of `corpus.kernels.words`, so case, accents, width, punctuation and
spacing make no difference; digits do); lines without words do not count. A line is boilerplate on a site when at least
`documents` of the site's documents have it, and at least a share `share` of them. The first of these documents keeps
it. Headings that recur between texts of their own ("Parameters", "参考资料") are boilerplate by this count, but
structure to a reader. So lines are cut only in runs of neighbours whose words have at least so many bytes together.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.bits import rotate_left, trailing_zeros
from corpus.kernels.hashing import GOLDEN_RATIO, NO_FOLD, fmix64, hash_bytes
from corpus.kernels.simd import newline_mask
from corpus.kernels.types import I64, U8, U32, U64, Word
from corpus.kernels.words import Scratch, new_scratch, split_words

_U64 = np.uint64


class SiteLines(NamedTuple):
    """The lines of some documents of sites: the keys of site and of site and line, the document's row, the line's
    number among the lines of its document that have words."""

    sites: U64
    keys: U64
    rows: U32
    lines: U32


def line_keys(text: pa.Array | pa.ChunkedArray, site: pa.Array | pa.ChunkedArray) -> SiteLines:
    """Every line with words of the documents that have a site."""
    data, offsets = utf8_buffers(text)
    names, name_offsets = utf8_buffers(site)
    most = int(offsets[-1]) // 2 + len(offsets)  # a line has a letter and a line feed
    wide, narrow = np.empty((2, most), np.uint64), np.empty((2, most), np.uint32)
    out = SiteLines(wide[0], wide[1], narrow[0], narrow[1])
    scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
    count = _lines(data, offsets, names, name_offsets, scratch, out)
    return SiteLines(wide[0, :count].copy(), wide[1, :count].copy(), narrow[0, :count].copy(), narrow[1, :count].copy())


@njit(inline="always")
def next_line(data: U8, at: int, end: int) -> Word:
    """The position after the first line feed of `data[at:end]`, or `end`."""
    while at < end:
        feeds = newline_mask(data, at)
        if feeds:
            return min(at + np.int64(trailing_zeros(feeds)) + 1, end)
        at += 64
    return end


@njit(nogil=True, cache=True)
def _lines(data: U8, offsets: I64, names: U8, name_offsets: I64, scratch: Scratch, out: SiteLines) -> int:
    at = 0
    for row in range(len(offsets) - 1):
        if name_offsets[row] == name_offsets[row + 1]:
            continue
        site = fmix64(hash_bytes(names, _U64(name_offsets[row]), _U64(name_offsets[row + 1]), NO_FOLD))
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        line_end, line = offsets[row], 0
        word = 0
        while word < words:
            line_end = next_line(data, scratch.starts[word], offsets[row + 1])
            key = site
            while word < words and scratch.starts[word] < line_end:
                key = (rotate_left(key, _U64(23)) ^ scratch.hashes[word]) * GOLDEN_RATIO
                word += 1
            out.sites[at] = site
            out.keys[at] = fmix64(key)
            out.rows[at] = row
            out.lines[at] = line
            line += 1
            at += 1
    return at
