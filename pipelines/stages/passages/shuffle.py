"""How keys of passages travel: by range of keys from groups of shards to a task a range, and back as marks.

A group of neighbouring shards writes its keys sorted, in row groups that each hold keys of one range; of equal keys the
order stays that of the corpus. A task that handles a range reads just that of every group (`corpus.io.range_shuffle`),
in windows of keys that fit its memory. Inside a window it takes the groups in the order of the corpus, so that what it
sees first is first, and holds what it knows by distinct key, never a row an occurrence: a notice that is on a hundred
million pages costs it no memory. What it finds goes back as *marks*, of which each group reads its own. Groups keep the
number of files that meet low: 300,000 shards and 4,000 ranges are too many pairs.

Inside these stages a document is known by its group's place in the plan (upper 32 bits) and by its code in the group:
its shard's number in the group (8 bits) and its row (24 bits).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.dedup.bands import sort_keys
from corpus.dedup.ordinals import shard_of
from corpus.errors import HeadwaterError
from corpus.io import table
from corpus.io.range_shuffle import Exchange, Window, row_groups, write_rows
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Source, Stage, Task
from pipelines.stages.dedup import partition_plan
from pipelines.stages.dedup.partition_plan import gathered, group_name
from pipelines.stages.tokens.tokenizer import shards_with

ROW_BITS = 24
SORTED_BYTES = 24  # a row of a run while it is sorted, beside the row itself, of which there are two
_ROWS_A_GROUP = 1 << 16  # of keys of a range, and of marks
MARK_SCHEMA = pa.schema(
    [pa.field("document", pa.uint64(), nullable=False), pa.field("place", pa.uint32(), nullable=False)]
)
# A group's place, some of its documents and a place in each; groups in order, window after window.
GroupMarks = Iterator[tuple[int, npt.NDArray[np.uint64], npt.NDArray[np.uint32]]]


def participants(done: Mapping[str, Sequence[Task]], exclude: Sequence[str]) -> dict[str, list[Task]]:
    """The shards whose documents take part, each with its tasks: documents, duplicates, verdicts."""
    shards = shards_with(done, "documents", "duplicates", "verdicts")
    return {shard: tasks for shard, tasks in shards if ShardRef.of(shard).dump not in exclude}


def groups_of(done: Mapping[str, Sequence[Task]], exclude: Sequence[str], size: int) -> dict[str, list[Task]]:
    """The groups of up to `size` neighbouring shards of those that take part, each with the tasks of all its shards."""
    groups: dict[str, list[Task]] = {}
    for shard, tasks in participants(done, exclude).items():
        groups.setdefault(group_name(shard, size), []).extend(tasks)
    return groups


def codes_of(shard: str, size: int) -> tuple[int, int]:
    """The first and last code of the documents of a shard inside its group of up to `size` shards."""
    first = shard_of(shard)[1] % size << ROW_BITS
    return first, first + (1 << ROW_BITS) - 1


def documents_and_keep(
    stage: Stage, paths: Sequence[str], columns: list[str]
) -> Iterator[tuple[int, pa.Table, npt.NDArray[np.bool_]]]:
    """The documents of a shard a row group at a time: the number of the first row, the rows, and which are kept.

    `paths` are those of documents, duplicates and verdicts; raises CorruptShard where their ids differ.
    """
    documents, *beside = (stage.path(path) for path in paths)
    ids = table.read_table(documents, ["id"])
    if len(ids) > 1 << ROW_BITS:
        raise HeadwaterError(f"{documents}: {len(ids):,} documents; passages are found in shards of up to 16,777,216")
    keep = np.ones(len(ids), np.bool_)
    for path in beside:
        marks = table.read_table(path, ["id", "keep"])
        table.check_ids(marks, ids, path)
        keep &= marks["keep"].to_numpy()
    first = 0
    for batch in table.iter_batches(documents, columns):
        yield first, batch, keep[first : first + len(batch)]
        first += len(batch)


def kept_documents(
    stage: Stage, task: Task, size: int, columns: list[str]
) -> Iterator[tuple[npt.NDArray[np.uint32], pa.Table]]:
    """The kept documents of a group of up to `size` shards a row group at a time, with their codes in the group."""
    for at, path in enumerate(task.inputs):
        if path.startswith("documents/"):
            code = codes_of(path, size)[0]
            for first, batch, keep in documents_and_keep(stage, task.inputs[at : at + 3], columns):
                rows = np.flatnonzero(keep)
                yield (rows + (code + first)).astype(np.uint32), batch.take(pa.array(rows))


def key_range(partition: int, partitions: int) -> tuple[int, int]:
    """The first and last 64-bit key of a range; keys are uniform, so ranges hold about equally many."""
    return (partition << 64) // partitions, ((partition + 1) << 64) // partitions - 1


class KeyWriter:
    """Writes rows whose first column is a key, in sorted runs as large as `budget` bytes allow; the row groups of a run
    hold one range of keys each, or one key that is frequent, and of equal keys the first that was added comes first."""

    def __init__(self, writer: table.ShardWriter, partitions: int, budget: int) -> None:
        self.writer = writer
        self.rows = 0
        self._starts = [key_range(part, partitions)[0] for part in range(partitions)]
        self._most = max(1, budget // (SORTED_BYTES + 2 * sum(type.bit_width // 8 for type in writer.schema.types)))
        self._held: list[Sequence[npt.NDArray[Any]]] = []
        self._count = 0

    def add(self, *columns: npt.NDArray[Any]) -> None:
        """Add rows, the columns in the order of the schema."""
        self._held.append(columns)
        self._count += len(columns[0])
        if self._count >= self._most:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if not self._count:
            return
        columns = [np.concatenate(parts) for parts in zip(*self._held)]
        self._held = []
        keys, order = sort_keys(columns[0], np.arange(self._count, dtype=np.uint32))
        bounds = [*np.searchsorted(keys, np.array(self._starts, np.uint64)).tolist(), self._count]
        for start, end in pairwise(bounds):
            for first, last in row_groups(keys[start:end], _ROWS_A_GROUP):
                chosen = order[start + first : start + last]
                self.writer.write(pa.table([pa.array(column[chosen]) for column in columns], self.writer.schema))
        self.rows += self._count
        self._count = 0


def key_exchange(stage: Stage, task: Task, column: str, partitions: int) -> Exchange:
    """The rows of the task's range of keys of every group; the place of a file is the group's."""
    paths = [stage.path(path) for path in task.inputs]
    return Exchange(paths, column, *key_range(task.arguments["partition"], partitions))


def by_group(exchange: Exchange, window: Window) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """The rows of a window, a few at a time, of each group that has any, with the group's place, in order."""
    for place, parts in groupby(exchange.read(window), lambda found: found[0]):
        yield place, (rows for _, rows in parts)


def documents_of(place: int, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """The documents with some codes in the group at a place of the plan."""
    return codes.astype(np.uint64) | np.uint64(place << 32)


class Part(NamedTuple):
    """The keys that are `number` modulo `of`; where they are too many, each half of them is."""

    number: int
    of: int

    def has(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of the keys these are."""
        return keys % np.uint64(self.of) == np.uint64(self.number)

    def halves(self) -> list["Part"]:
        """These keys in two parts."""
        return [Part(self.number, 2 * self.of), Part(self.number + self.of, 2 * self.of)]


class SortedWriter:
    """Collects rows and writes them sorted by their first column, in row groups of fair size."""

    def __init__(self, writer: table.ShardWriter) -> None:
        self.writer = writer
        self.rows = 0
        self._held: list[Sequence[npt.NDArray[Any]]] = []
        self._count = 0

    def add(self, *columns: npt.NDArray[Any]) -> None:
        """Add rows, the columns in the order of the schema."""
        self._held.append(columns)
        self._count += len(columns[0])
        if self._count >= _ROWS_A_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._count:
            columns = [pa.array(np.concatenate(parts)) for parts in zip(*self._held)]
            rows = pa.table(columns, self.writer.schema).sort_by(self.writer.schema.names[0])
            write_rows(self.writer, rows.combine_chunks(), _ROWS_A_GROUP)
        self.rows += self._count
        self._held, self._count = [], 0


def whole(done: Mapping[str, Sequence[Task]], name: str, partitions: int) -> Source:
    """All ranges of an earlier stage as one input; raise NotPlanned where one is missing: its keys would look new."""
    tasks = partition_plan.whole(done, name, partitions)
    return gathered(tasks, tasks[0].output.rsplit("/", 1)[0])


def write_marks(stage: Stage, task: Task, marks: GroupMarks) -> Counts:
    """Write the marks as the task's output. Those of neighbouring groups share a row group, those of windows do not, so
    that each group finds its own in few row groups."""
    with table.ShardWriter(stage.path(task.output), MARK_SCHEMA, dictionary=False) as writer:
        found = SortedWriter(writer)
        last = 0
        for group, documents, places in marks:
            if group < last:  # the first of another window
                found.flush()
            found.add(documents, places)
            last = group
        found.flush()
        counts: Counts = {"documents": 0, "bytes": 0, "marks": found.rows}
        writer.metadata = task.stamp(counts)
    return counts
