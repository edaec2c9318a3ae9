"""Repeated passages of one set of documents, in memory: what `headwater passages` does, and the measure of the stages.

The staged pipeline (`pipelines/stages/passages/`) reaches the same answer through storage. A passage is repeated
where at least `size` words of it stand in an earlier document, or earlier in the same one; the first of these keeps it.
Texts are read twice, first for the minimizers that occur more than once, then for the n-grams that have one of those.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.io.document_table import as_documents
from corpus.passages.cuts import Limits, RepeatPositions, spans_to_cut
from corpus.passages.ngrams import minimizer_keys, minimizer_set, ngram_keys
from corpus.passages.tally import FirstOccurrences, Tally
from corpus.spans import span_table

NO_REPEATS = RepeatPositions(np.zeros(0, np.int64), np.zeros(0, np.int64))


def find_repeats(documents: Any, words: int = 50, least: int = 20) -> pa.Table:
    """The passages that stand in an earlier document too, or earlier in the same one: a span table, input order.

    `documents` is a table with `text` (string) and optional `id`, see `corpus.io.document_table`. A passage has at
    least `words` words; a CJK character is a word. A document that would keep fewer than `least` words is cut whole.
    The result has `id` and `spans`, a list of (`start`, `end`, `kind`) in bytes of the UTF-8 text, see `corpus.spans`,
    whose `cut` gives the texts without them. Raises UsageError for a table that has no texts.

    >>> from corpus import spans
    >>> page = " ".join(f"word{number}" for number in range(60))
    >>> documents = pa.table({"text": [page, f"{page} and twenty words more: {page[:150]}"]})
    >>> found = find_repeats(documents, least=5)
    >>> spans.cut_lengths(found).tolist() == [0, len(page) + 1]
    True
    """
    table = as_documents(documents)
    (found,) = repeated_passages(lambda: [table], Limits(words, 1, least))
    return found


def repeated_passages(tables: Callable[[], Iterable[pa.Table]], limits: Limits) -> Iterator[pa.Table]:
    """The span table of each of some tables with `id` and `text`, which are read twice, in the same order.

    Memory is bounded by the distinct minimizers and repeated n-grams, not by the texts.
    """
    tally = Tally()
    for table in tables():
        tally.add(minimizer_keys(table["text"], limits.size))
    first = FirstOccurrences(limits.size)
    documents = 0
    for table in tables():
        minimizers = minimizer_keys(table["text"], limits.size)
        counts, _ = tally.of(minimizers)
        ngrams = ngram_keys(table["text"], limits.size, minimizer_set(np.unique(minimizers[counts > 1])))
        again = first.repeated(ngrams.keys, ngrams.rows + np.uint64(documents), ngrams.words)
        repeats = RepeatPositions(ngrams.rows[again].astype(np.int64), ngrams.words[again].astype(np.int64))
        documents += len(table)
        yield span_table(table["id"], spans_to_cut(table["text"], repeats, NO_REPEATS, limits))
