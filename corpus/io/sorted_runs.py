"""The writing half of an exchange through storage: rows as sorted runs in small row groups.

`corpus.io.range_shuffle` says what an exchange is, and reads it. The writer collects rows until memory is full, sorts
them by the key and writes them: a *run*. A range of keys is in few row groups of a run, so runs are as large as memory
allows.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.io import table
from corpus.kernels.sort import sort_keys

ROWS_PER_GROUP = 1 << 16  # at most; a reader of a range of keys reads up to two row groups per run in vain
BYTES_PER_GROUP = 1 << 22  # about
COPIES = 3  # of the rows that are sorted: as they were added, joined, and in order
SORTED_BYTES = 24  # of such a row beside them: its key and its index, before and after


class RunWriter(table.ShardWriter):
    """Write a shard for an exchange: rows are added in any order, and written as sorted runs.

    `key`: the column to sort by, an unsigned integer without nulls: a hash, or a number below 2**37. Rows of equal keys
    keep the order in which they were added.
    `budget`: bytes that a run may take while it is collected and sorted; with 0, every `add` is a run.
    `rows_per_group`: at most so many rows in a row group; 0: ROWS_PER_GROUP. A row group also has at most about
    BYTES_PER_GROUP bytes, and a frequent key has row groups of its own.
    `cuts`: ascending keys; no row group has keys on both sides of one.
    `level`, `dictionary`, `packed`: those of `table.ShardWriter`.
    The last run is written when the `with` block ends without an error. `rows` is how many were added so far.
    """

    def __init__(
        self,
        path: str,
        schema: pa.Schema,
        key: str,
        budget: int = 0,
        *,
        rows_per_group: int = 0,
        cuts: Sequence[int] = (),
        level: int = 1,
        dictionary: bool = False,
        packed: Sequence[str] = (),
    ) -> None:
        super().__init__(path, schema, level, dictionary, packed)
        self.rows = 0
        self._key = schema.get_field_index(key)
        self._budget = budget
        self._most_rows = min(rows_per_group or ROWS_PER_GROUP, ROWS_PER_GROUP)
        self._cuts = np.array(cuts, np.uint64)
        self._held: dict[int, list[pa.Table]] = {}  # by kind
        self._bytes = 0  # of what is held
        self._sorting: dict[int, int] = {}  # by kind: bytes beside these, while it is sorted

    def add(self, rows: pa.Table | Sequence[Any], kind: int = 0) -> None:
        """Add rows: a table, or its columns as arrays in the order of the schema.

        Where all keys of a lower kind are smaller, to name the kind saves memory: one kind at a time is sorted.
        """
        added = self._table(rows)
        self._held.setdefault(kind, []).append(added)
        self._bytes += added.nbytes
        cost = (COPIES - 1) * added.nbytes + SORTED_BYTES * len(added)
        self._sorting[kind] = self._sorting.get(kind, 0) + cost
        if self._bytes + max(self._sorting.values()) > self._budget:
            self.flush()

    def flush(self) -> None:
        """End the run: write what is held."""
        parts: list[pa.Table] = []
        for kind in sorted(self._held):
            parts += self._held.pop(kind)
            if not self._held or sum(map(len, parts)) >= self._most_rows:  # kinds of few rows share a row group
                self._write_sorted(parts)
        self._bytes = 0
        self._sorting.clear()

    def append_sorted(self, rows: pa.Table | Sequence[Any]) -> None:
        """Write rows that are in order already, after all that was added before; no key has a row group of its own."""
        self.flush()
        added = self._table(rows)
        size = self._group_size(added)
        for start in range(0, len(added), size):
            self.write(added.slice(start, size))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.flush()
        except BaseException as failure:
            super().__exit__(type(failure), failure, failure.__traceback__)
            raise
        super().__exit__(kind, error, trace)

    def _table(self, rows: pa.Table | Sequence[Any]) -> pa.Table:
        added = rows if isinstance(rows, pa.Table) else pa.table(list(rows), self.schema)
        self.rows += len(added)
        return added

    def _group_size(self, rows: pa.Table) -> int:
        return min(self._most_rows, max(1, BYTES_PER_GROUP * len(rows) // max(1, rows.nbytes)))

    def _write_sorted(self, parts: list[pa.Table]) -> None:
        """Join, sort and write; the list is emptied, so that the rows are not held twice for long."""
        rows = pa.concat_tables(parts).combine_chunks()
        parts.clear()
        if not len(rows):
            return
        size = self._group_size(rows)
        unsorted = rows.column(self._key).chunk(0).to_numpy().astype(np.uint64, copy=False)
        others = rows.remove_column(self._key)
        alone = others.schema.types == [pa.uint32()]  # a single column is sorted with the keys, more are taken in order
        carried = others.column(0).chunk(0).to_numpy() if alone else np.arange(len(rows), dtype=np.uint32)
        keys, order = sort_keys(unsorted, carried)
        for first, end in pairwise([0, *np.searchsorted(keys, self._cuts).tolist(), len(rows)]):
            for start, stop in row_groups(keys[first:end], size):
                chosen = slice(first + start, first + stop)
                columns = [pa.array(order[chosen])] if alone else others.take(pa.array(order[chosen])).columns
                columns.insert(self._key, pa.array(keys[chosen]))
                self.write(pa.table(columns, self.schema.names))


def row_groups(keys: npt.NDArray[np.uint64], most: int) -> Iterator[tuple[int, int]]:
    """`(first, end)` of the row groups of sorted keys, of at most `most` rows each.

    A key with more than an eighth of that has row groups of its own: what it costs is then known from the footers, and
    not spread over the keys beside it, however many files have some of it.
    """
    sample = keys[:: max(1, most // 16)]
    large = np.unique(sample[1:][sample[1:] == sample[:-1]])
    ends = [np.searchsorted(keys, large, side) for side in ("left", "right")]
    for first, end in pairwise(np.unique(np.r_[0, *ends, len(keys)]).tolist()):
        for start in range(first, end, most):
            yield start, min(start + most, end)
