"""Repeated passages of one set of documents, in memory: what `headwater passages` does, and the measure of the stages.

The staged pipeline (`pipelines/stages/passages*.py`) reaches the same answer through storage. A passage is repeated
where at least `size` words of it stand in an earlier document, or earlier in the same one; the first place keeps it.
Texts are read twice, first for the anchors that occur more than once, then for the windows that have one of those.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.io.document_table import as_documents
from corpus.passages.cuts import Limits, Marks, spans_to_cut
from corpus.passages.ngrams import anchor_keys, anchor_set, window_keys
from corpus.passages.tally import FirstPlaces, Tally
from corpus.spans import span_table

NO_MARKS = Marks(np.zeros(0, np.int64), np.zeros(0, np.int64))


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

    Memory is bounded by the distinct anchors and repeated windows, not by the texts.
    """
    tally = Tally()
    for table in tables():
        tally.add(anchor_keys(table["text"], limits.size))
    first = FirstPlaces(limits.size)
    documents = 0
    for table in tables():
        anchors = anchor_keys(table["text"], limits.size)
        counts, _ = tally.of(anchors)
        windows = window_keys(table["text"], limits.size, anchor_set(np.unique(anchors[counts > 1])))
        again = first.repeated(windows.keys, windows.rows + np.uint64(documents), windows.words)
        marks = Marks(windows.rows[again].astype(np.int64), windows.words[again].astype(np.int64))
        documents += len(table)
        yield span_table(table["id"], spans_to_cut(table["text"], marks, NO_MARKS, limits))
