"""Every linguistic signal of a column of texts, as columns: measurement only, no judgement.

The signals depend on the text alone (not on its language, nor on any threshold), so they are measured once; a verdict
is a threshold on a column (`corpus.linguistic.thresholds`). Where at least a tenth of a text's characters are Chinese,
its words are jieba's (`corpus.linguistic.chinese_words`), else they are its tokens (`corpus.linguistic.tokens`). Counts
are int64-exact in float64 inside and int32 outside, all else is float32. Where a ratio has nothing to divide by, it is
0.
"""

import numpy as np
import pyarrow as pa

from corpus.buffers import utf8_buffers
from corpus.kernels import kernel
from corpus.linguistic import chinese, lines, quality, repetition, web_lines
from corpus.linguistic.characters import character_classes
from corpus.linguistic.chinese_words import cut, fill_tokens, hash_word, room
from corpus.linguistic.lexicon import lexicon
from corpus.linguistic.scan import new_lines, scan
from corpus.linguistic.tokens import hash_token, new_tokens, split_tokens

SIGNALS: tuple[str, ...] = quality.NAMES + lines.NAMES + repetition.NAMES + chinese.NAMES + web_lines.NAMES
COUNTS = frozenset({"words", "lines", "stop_words_en", "stop_words_zh", "characters", "sentences"}) | {
    *("lorem_ipsum", "curly_brackets", "longest_word", "c4_sentences")
}
CHINESE = 0.1  # share of Han from which on a text's words are those of a segmenter
SCHEMA = pa.schema([pa.field(name, pa.int32() if name in COUNTS else pa.float32()) for name in SIGNALS])

_LINES = len(quality.NAMES)
_REPETITION = _LINES + len(lines.NAMES)
_CHINESE = _REPETITION + len(repetition.NAMES)
_WEB = _CHINESE + len(chinese.NAMES)


def measure(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Measure a (large_)string column; a table with the columns of `SCHEMA`, a row a document. Null is empty."""
    data, offsets = utf8_buffers(texts)
    longest = int(np.diff(offsets).max(initial=0))
    values = np.empty((len(offsets) - 1, len(SIGNALS)))
    measure_documents(
        data,
        offsets,
        character_classes(),
        (quality.stop_word_hashes(hash_token), quality.stop_word_hashes(hash_word)),
        new_tokens(longest),
        new_lines(longest),
        repetition.new_table(longest // 2 + 8),
        repetition.new_work(longest // 2 + 8),
        lexicon(),
        room(longest),
        np.zeros(len(quality.STOP_WORDS), np.int64),
        values,
    )
    columns = [pa.array(values[:, i].astype(field.type.to_pandas_dtype())) for i, field in enumerate(SCHEMA)]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


@kernel
def measure_documents(  # type: ignore[no-untyped-def]
    data, offsets, classes, stop_words, tokens, line_scratch, table, work, words, space, found, values
):
    """Write the signals of document i, `data[offsets[i]:offsets[i + 1]]`, to `values[i]` (float64[rows, signals]).

    `words` is the segmenter's `lexicon()` and `space` its `room`; `stop_words` are hashed as tokens are, and as the
    segmenter's words; `found` is int64[lists of stop words], scratch.
    """
    for i in range(len(offsets) - 1):
        row = values[i]
        start, end = offsets[i], offsets[i + 1]
        totals = scan(data, start, end, classes, line_scratch)
        if totals.characters == 0:  # empty, or bytes of which none begins a character
            row[:] = 0.0
            continue
        segmented = False
        if totals.han and totals.han >= CHINESE * totals.content:
            count = cut(data, start, end, words, space)
            segmented = count <= (end - start) // 2  # else nearly all of it is punctuation, more than there is room for
        if segmented:
            fill_tokens(space, count, words, classes, tokens)
        else:
            count = split_tokens(data, start, end, classes, tokens)
        sought = stop_words[1] if segmented else stop_words[0]
        repetition.measure_repetition(tokens, count, totals, sought, table, work, row[_REPETITION:_CHINESE], found)
        quality.measure_quality(tokens, count, totals, found, row[:_LINES])
        lines.measure_lines(line_scratch, count, totals, table, row[_LINES:_REPETITION])
        chinese.measure_characters(totals, row[_CHINESE:_WEB])
        web_lines.measure_web_lines(data, start, end, classes, row[_WEB:])
