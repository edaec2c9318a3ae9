"""Rules on lines and paragraphs: bullets, ellipses, unfinished, short and repeated lines, repeated paragraphs.

A line is what the scan says: text between line feeds without white space at its ends, blank ones never counting. On
text with no blank lines, which is what the public filters were tuned on, every value equals theirs. On text with
blank lines theirs shift (datatrove counts a blank line as a line that does not start with a bullet), and these do
not.

Sources: Gopher (arXiv 2112.11446 A1.1; datatrove gopher_quality_filter.py, gopher_repetition_filter.py), FineWeb
(arXiv 2406.17557 section 3.6; datatrove fineweb_quality_filter.py), ChineseWebText preprocess.py for the mean length.
"""

import numpy as np

from corpus.kernels.bits import rotate_left
from corpus.kernels.hashing import GOLDEN_RATIO, fmix64
from corpus.kernels.jit import kernel
from corpus.kernels.types import F64
from corpus.linguistic.repetition import Table, begin_round, insert
from corpus.linguistic.scan import BULLET, ELLIPSIS, FINISHED, OPENING, Lines, Totals

NAMES = (
    "lines",
    "mean_line_length",
    "bullet_lines",
    "ellipsis_lines",
    "finished_lines",
    "short_lines",
    "line_breaks_per_word",
    "duplicate_lines",
    "duplicate_line_characters",
    "duplicate_paragraphs",
    "duplicate_paragraph_characters",
    "repeated_line_characters",
)
SHORT = 30  # characters of a short line, at most: FineWeb's short_line_length
_ROTATION = np.uint64(23)


@kernel
def measure_lines(lines: Lines, n_tokens: int, totals: Totals, table: Table, row: F64) -> None:
    """Write the values of `NAMES` to `row`; all are 0 where the document has no line."""
    row[:] = 0.0
    count = totals.lines
    if count == 0:
        return
    bullets = ellipses = finished = short = length = 0
    for i in range(count):
        bits = np.int64(lines.bits[i])
        bullets += (bits & BULLET) != 0
        ellipses += (bits & ELLIPSIS) != 0
        finished += (bits & FINISHED) != 0
        short += lines.lengths[i] <= SHORT
        length += lines.lengths[i]
    row[0] = count
    row[1] = length / count
    row[2] = bullets / count
    row[3] = ellipses / count
    row[4] = finished / count
    row[5] = short / count
    row[6] = (count - 1) / n_tokens
    repeated, characters = _duplicate_lines(lines, count, table)
    row[7] = repeated / count
    row[8] = characters / totals.characters
    row[11] = characters / max(totals.characters - totals.line_feeds, 1)
    paragraphs, repeated, characters = _duplicate_paragraphs(lines, count, table)
    row[9] = repeated / paragraphs
    row[10] = characters / totals.characters


@kernel
def _duplicate_lines(lines: Lines, count: int, table: Table) -> tuple[int, int]:
    """(lines that were seen before, their characters)."""
    mask = begin_round(table, count)
    repeated = characters = 0
    for i in range(count):
        if insert(table, mask, lines.hashes, i) != i:
            repeated += 1
            characters += lines.lengths[i]
    return repeated, characters


@kernel
def _duplicate_paragraphs(lines: Lines, count: int, table: Table) -> tuple[int, int, int]:
    """(paragraphs, those that were seen before, their characters with the line feeds inside them).

    The hashes of the paragraphs overwrite those of the lines, which are needed no more.
    """
    mask = begin_round(table, count)
    paragraphs = repeated = characters = 0
    first = 0
    while first < count:
        key = lines.hashes[first]
        length = lines.lengths[first]
        last = first + 1
        while last < count and not lines.bits[last] & OPENING:
            key = fmix64(rotate_left(key * GOLDEN_RATIO, _ROTATION) ^ lines.hashes[last])
            length += 1 + lines.lengths[last]
            last += 1
        lines.hashes[paragraphs] = key
        if insert(table, mask, lines.hashes, paragraphs) != paragraphs:
            repeated += 1
            characters += length
        paragraphs += 1
        first = last
    return paragraphs, repeated, characters
