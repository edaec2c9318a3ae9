"""Repeated passages of one set of documents, in memory: what `headwater passages` does, and the measure of the stages.

The staged pipeline (`pipelines/stages/passages*.py`) reaches the same answer through storage. A passage is repeated
where at least `size` words of it stand in an earlier document, or earlier in the same one; the first place keeps it.
Texts are read twice, first for the anchors that occur more than once, then for the windows that have one of those.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa

from corpus.passages.cuts import Limits, Marks, spans_to_cut
from corpus.passages.ngrams import anchor_keys, anchor_set, window_keys
from corpus.passages.tally import FirstPlaces, Tally
from corpus.spans import span_table

NO_MARKS = Marks(np.zeros(0, np.int64), np.zeros(0, np.int64))


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
