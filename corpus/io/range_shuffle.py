"""An exchange through storage: rows written by many tasks in the order of a 64-bit key, read back one range at a time.

A writer sorts what it holds and writes it in small row groups (`corpus.io.sorted_runs`); the footer then says which
keys each row group spans. A reader that is given a range of keys opens each file, notes the few row groups that can
hold such keys, and reads them in *windows*: consecutive sub-ranges that each fit a budget of memory. A key that alone
exceeds the budget, a template that a million pages share, is a window of its own, marked as such, to be streamed. So
writers and readers need not know how many there are of the other, and memory is bounded by the budget and not by the
data.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import CorruptShard
from corpus.io import table

OPEN_FILES = 64  # held open between windows where there are no more; beyond, a file is opened anew for each window


class Window(NamedTuple):
    """Keys `first` to `last`, both included. `hot`: a single key whose rows exceed the budget."""

    first: int
    last: int
    hot: bool


class Exchange:
    """The rows with `first <= column <= last` of some sorted files; `column` is an unsigned integer without nulls."""

    def __init__(self, paths: Sequence[str], column: str, first: int, last: int) -> None:
        self.paths = list(paths)
        self.column = column
        self.first, self.last = first, last
        self.counts: list[dict[str, Any]] = []  # of each file: the counts in its stamp, {} where it has none
        self._open: dict[int, pq.ParquetFile] = {}
        spans = [np.array(list(self._spans(index)), np.uint64).reshape(-1, 6) for index in range(len(self.paths))]
        columns = np.concatenate([np.zeros((0, 6), np.uint64), *spans])
        self._file, self._group, self._low, self._high = columns.T[:4]
        self.rows = columns[:, 4].astype(np.int64)
        self.bytes = columns[:, 5].astype(np.int64)

    def _spans(self, index: int) -> Iterator[tuple[int, int, int, int, int, int]]:
        """Of each row group that can hold such rows: file, row group, smallest and largest key, rows, bytes."""
        file = self._file_at(index)
        stamp = json.loads((file.metadata.metadata or {}).get(table.KEY, b"{}"))
        self.counts.append(stamp.get("counts", {}))
        where = file.schema_arrow.get_field_index(self.column)
        for group in range(file.num_row_groups):
            about = file.metadata.row_group(group)
            span = about.column(where).statistics
            if span is None or not span.has_min_max:
                raise CorruptShard(self.paths[index], f"row group {group} does not say which keys it holds")
            if span.min <= self.last and span.max >= self.first:
                yield index, group, span.min, span.max, about.num_rows, about.total_byte_size

    def _file_at(self, index: int) -> pq.ParquetFile:
        if index in self._open:
            return self._open[index]
        file = table.open_shard(self.paths[index])
        if len(self.paths) <= OPEN_FILES:
            self._open[index] = file
        return file

    def cost(self, first: int, last: int, per_row: float, per_byte: float = 0.0) -> float:
        """Estimated memory of a range; a row group that is partly inside counts in proportion to its span."""
        met = (self._low <= np.uint64(last)) & (self._high >= np.uint64(first))
        low, high = self._low[met], self._high[met]
        inside = np.minimum(high, np.uint64(last)) - np.maximum(low, np.uint64(first))
        share = (inside.astype(np.float64) + 1) / ((high - low).astype(np.float64) + 1)
        return float((share * (self.rows[met] * per_row + self.bytes[met] * per_byte)).sum())

    def windows(self, budget: float, per_row: float, per_byte: float = 0.0) -> Iterator[Window]:
        """Cut the range into windows whose estimated memory is within the budget, as few as halving finds."""
        pending = [(self.first, self.last)]
        held: tuple[int, int, float] | None = None
        while pending:
            first, last = pending.pop()
            cost = self.cost(first, last, per_row, per_byte)
            if cost > budget and first < last:
                middle = (first + last) // 2
                pending += [(middle + 1, last), (first, middle)]
                continue
            if held and held[2] + cost > budget:
                yield Window(held[0], held[1], held[2] > budget)
                held = None
            held = (held[0], last, held[2] + cost) if held else (first, last, cost)
        if held:
            yield Window(held[0], held[1], held[2] > budget)

    def read(self, window: Window, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
        """`(index of the file, rows of a row group that are in the window)`, file by file, as they are stored."""
        met = np.flatnonzero((self._low <= np.uint64(window.last)) & (self._high >= np.uint64(window.first)))
        wanted = columns if columns is None else list(dict.fromkeys([self.column, *columns]))
        index, file = -1, None
        for span in met.tolist():
            if file is None or index != int(self._file[span]):
                index = int(self._file[span])
                file = self._file_at(index)
            try:
                rows = file.read_row_group(int(self._group[span]), columns=wanted, use_threads=False)
            except (OSError, pa.ArrowInvalid) as error:
                raise CorruptShard(self.paths[index], str(error).splitlines()[0]) from None
            if int(self._low[span]) < window.first or int(self._high[span]) > window.last:
                keys = rows[self.column].combine_chunks().to_numpy(zero_copy_only=False)
                inside = (keys >= np.uint64(window.first)) & (keys <= np.uint64(window.last))
                rows = rows.filter(pa.array(inside))
            if len(rows):
                yield index, rows if columns is None else rows.select(columns)

    def every(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """All rows of the range, a row group at a time; the files are closed then."""
        for _, rows in self.read(Window(self.first, self.last, hot=False), columns):
            yield rows
        self.close()

    def close(self) -> None:
        """Close what is held open."""
        for file in self._open.values():
            file.close()
        self._open.clear()
