"""Every linguistic signal of a column of texts, as columns: measurement only, no judgement.

The signals depend on the text alone (not on its language, nor on any threshold), so they are measured once; a verdict
is a threshold on a column (`corpus.linguistic.thresholds`). Where at least a tenth of a text's characters are Chinese,
its words are jieba's (`corpus.linguistic.chinese_words`), else they are its tokens (`corpus.linguistic.tokens`). Counts
are int64-exact in float64 inside and int32 outside, all else is float32. Where a ratio has nothing to divide by, it is
0.
"""

import threading
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from corpus.io.buffers import padded_views
from corpus.kernels.jit import kernel
from corpus.kernels.types import F64, I64, U8, U64
from corpus.linguistic import c4, chinese, lines, quality, repetition
from corpus.linguistic.characters import character_classes
from corpus.linguistic.chinese_words import Room, cut, hash_word, room
from corpus.linguistic.lexicon import Lexicon, lexicon
from corpus.linguistic.scan import Lines, new_lines, scan
from corpus.linguistic.tokens import Tokens, hash_token, new_tokens, split_tokens

SIGNALS: tuple[str, ...] = quality.NAMES + lines.NAMES + repetition.NAMES + chinese.NAMES + c4.NAMES
COUNTS = frozenset({"words", "lines", "stop_words_en", "stop_words_zh", "characters", "sentences"}) | {
    *("lorem_ipsum", "curly_brackets", "longest_word", "c4_sentences")
}
CHINESE = 0.1  # share of Han from which on a text's words are those of a segmenter
SCHEMA = pa.schema([pa.field(name, pa.int32() if name in COUNTS else pa.float32()) for name in SIGNALS])

_LINES = len(quality.NAMES)
_REPETITION = _LINES + len(lines.NAMES)
_CHINESE = _REPETITION + len(repetition.NAMES)
_WEB = _CHINESE + len(chinese.NAMES)
_KEPT = 1 << 20  # bytes of the longest document whose scratch a thread keeps: some 90 MiB
_THREAD = threading.local()


def measure(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Measure a (large_)string column; a table with the columns of `SCHEMA`, one row per document. Null is empty.

    Texts are UTF-8. What is not does no harm, but its values may depend on what lies behind it.
    """
    values = np.empty((len(texts), len(SIGNALS)))
    stop_words = quality.stop_word_hashes(hash_token), quality.stop_word_hashes(hash_word)
    row = 0
    for data, offsets in padded_views(texts):
        scratch = _scratch(int(np.diff(offsets).max()))
        rows = values[row : row + len(offsets) - 1]
        measure_documents(data, offsets, character_classes(), stop_words, lexicon(), scratch, rows)
        row += len(rows)
    floats = np.ascontiguousarray(values.T, np.float32)
    counts = {name: values[:, SIGNALS.index(name)].astype(np.int32) for name in COUNTS}
    return pa.table([pa.array(counts.get(name, floats[i])) for i, name in enumerate(SIGNALS)], schema=SCHEMA)


class Scratch(NamedTuple):
    """What the kernels need for one document at a time."""

    tokens: Tokens
    lines: Lines
    table: repetition.Table
    work: repetition.Work
    room: Room
    found: I64  # [lists of stop words]


def _new_scratch(longest: int) -> Scratch:
    """Scratch for documents of at most `longest` bytes, some 90 times as many; memory is taken as it is used."""
    half = longest // 2 + 8
    return Scratch(
        new_tokens(longest),
        new_lines(longest),
        repetition.new_table(half),
        repetition.new_work(half),
        room(longest),
        np.zeros(len(quality.STOP_WORDS), np.int64),
    )


def _scratch(longest: int) -> Scratch:
    """This thread's scratch; that for documents longer than `_KEPT` is not kept.

    New memory has to be cleared by the system, which for a few hundred documents takes as long as a tenth to a fifth
    of the measurement.
    """
    if longest > _KEPT:
        return _new_scratch(longest)
    if not hasattr(_THREAD, "scratch"):
        _THREAD.scratch = _new_scratch(_KEPT)
    return _THREAD.scratch  # type: ignore[no-any-return]


@kernel
def measure_documents(
    data: U8, offsets: I64, classes: U8, stop_words: tuple[U64, U64], words: Lexicon, scratch: Scratch, values: F64
) -> None:
    """Write the signals of document i, `data[offsets[i]:offsets[i + 1]]`, to `values[i]` (float64[rows, signals]).

    `words` is the segmenter's `lexicon()`; `stop_words` are hashed as tokens are, and as the segmenter's words.
    """
    tokens, line_scratch, table, work, space, found = scratch
    for i in range(len(offsets) - 1):
        row = values[i]
        start, end = offsets[i], offsets[i + 1]
        totals = scan(data, start, end, classes, line_scratch)
        if totals.characters == 0:  # empty, or bytes of which none begins a character
            row[:] = 0.0
            continue
        segmented = False
        if totals.han and totals.han >= CHINESE * totals.content:
            count = cut(data, start, end, classes, words, space, tokens)
            segmented = count <= (end - start) // 2  # else nearly all of it is punctuation, more words than fit `work`
        if not segmented:
            count = split_tokens(data, start, end, classes, tokens)
        sought = stop_words[1] if segmented else stop_words[0]
        repetition.measure_repetition(tokens, count, totals, sought, table, work, row[_REPETITION:_CHINESE], found)
        quality.measure_quality(tokens, count, totals, found, row[:_LINES])
        lines.measure_lines(line_scratch, count, totals, table, row[_LINES:_REPETITION])
        chinese.measure_characters(totals, row[_CHINESE:_WEB])
        c4.measure_web_lines(data, start, end, classes, row[_WEB:])
