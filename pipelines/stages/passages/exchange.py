"""How keys of passages travel: from groups of shards to tasks per range of keys, and back as positions of repeats.

A group of neighbouring shards writes its keys as sorted runs, cut at the ranges; of equal keys the order stays that of
the corpus (`corpus.io.sorted_runs`). A task that handles a range reads just that of every group, in windows of keys
that fit its memory (`corpus.io.range_shuffle`). Inside a window it takes the groups in the order of the corpus, so what
it sees first is first. What it knows is held per distinct key, not per occurrence: a notice that is on a hundred
million pages costs it no memory. Groups keep the number of files that meet low: 300,000 shards and 4,000 ranges are too
many pairs.

A group's file knows a document by its row within the group, which no other dump changes. What a range finds is known by
the document's number in the corpus (`pipelines.stages.numbering`).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.io.range_shuffle import Exchange
from corpus.io.sorted_runs import RunWriter
from corpus.kernels.types import U32, U64, Bools
from pipelines.engine.shapes import GroupStage, PartitionStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.stages.passages.participants import TABLES, kept_documents, numbering_of

Rows = U32  # of documents within their group
Positions = U32  # of words or lines in a document

POSITION_SCHEMA = pa.schema(
    [pa.field("number", pa.uint64(), nullable=False), pa.field("position", pa.uint32(), nullable=False)]
)


class KeyCounts(Counts, total=False):
    """Of a group: its kept documents and their bytes, and the keys they have. Of a range: the distinct keys."""

    keys: int
    repeated: int  # of the distinct keys, summed over the groups that have them


class PositionCounts(Counts, total=False):
    """How many positions in documents repeat something."""

    positions: int


class ExchangeParameters(BaseModel):
    """Who takes part, how shards are grouped and keys are cut, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    exclude: tuple[str, ...]
    shards_per_group: int
    partitions: int
    budget: int

    @property
    def run_budget(self) -> int:
        """Where a task counts keys and writes others: a quarter is for the run that it writes."""
        return self.budget // 4

    @property
    def count_budget(self) -> int:
        """And the rest for the keys that it knows."""
        return self.budget - self.run_budget


P = TypeVar("P", bound=ExchangeParameters)


class KeyStage(GroupStage[P]):
    """Keys of the kept documents of a group of shards, sorted by the first column of `schema`."""

    phase: ClassVar[str] = "passages"
    reads = TABLES
    schema: ClassVar[pa.Schema]
    columns: ClassVar[tuple[str, ...]] = ("text",)  # of the documents, that keys are made from

    @abstractmethod
    def add_all(self, task: Task, writer: RunWriter) -> KeyCounts:
        """Add all keys of the group, mostly by `add_keys`, and return its counts."""

    def groups(self, upstream: Upstream) -> dict[ShardRef, list[Task]]:
        """Those of the sources that take part."""
        groups = super().groups(upstream).items()
        return {group: tasks for group, tasks in groups if group.dump not in self.parameters.exclude}

    def run(self, task: Task) -> KeyCounts:
        """Write the keys of the kept documents."""
        starts = [key_range(part, self.parameters.partitions)[0] for part in range(self.parameters.partitions)]
        path, key = self.path(task.output), self.schema.names[0]
        with RunWriter(path, self.schema, key, self.run_bytes(), cuts=starts) as writer:
            counts = self.add_all(task, writer)
            counts["keys"] = writer.rows
            writer.metadata = task.stamp(counts)
        return counts

    def run_bytes(self) -> int:
        """What a run may take while it is made."""
        return self.parameters.budget

    def add_keys(self, task: Task, writer: RunWriter, keys: Callable[[Rows, pa.Table], Sequence[Any]]) -> KeyCounts:
        """Add `keys(rows, documents)`, the columns of `schema`, of all kept documents; count these."""
        counts: KeyCounts = {"documents": 0, "bytes": 0}
        for rows, documents in kept_documents(self, task, list(self.columns)):
            writer.add(keys(rows, documents))
            counts["documents"] += len(documents)
            counts["bytes"] += pc.sum(pc.binary_length(documents["text"])).as_py() or 0
        return counts


class KeyRangeStage(PartitionStage[P]):
    """What is known of the keys of a range, over the groups of all dumps."""

    phase: ClassVar[str] = "passages"
    key: ClassVar[str] = "key"  # by which the groups' files are sorted

    def partitions(self, upstream: Upstream) -> int:
        """As many as the recipe says."""
        return self.parameters.partitions

    def expected_tasks(self, document_shards: int) -> int:
        """One per partition."""
        return self.parameters.partitions

    def exchange(self, task: Task) -> Exchange:
        """The rows of the task's range, of the file of every group."""
        first, last = key_range(task.arguments["partition"], task.arguments["partitions"])
        return Exchange([self.path(path) for path in task.inputs], self.key, first, last)


class RepeatStage(KeyRangeStage[P]):
    """Where documents repeat a key of a range: (number, position), by number."""

    @abstractmethod
    def repeats(self, exchange: Exchange, firsts: U64) -> Iterator[tuple[U64, Positions]]:
        """The positions, in any order; `firsts` are the numbers of the first document of each file of the exchange."""

    def outputs(self, upstream: Upstream) -> Iterator[tuple[str, dict[str, Any]]]:
        """One per partition; each knows the numbers of all groups."""
        groups = numbering_of(upstream, self.parameters.exclude).groups(self.parameters.shards_per_group)
        firsts = [groups[task.shard][0] for task in self.inputs(upstream)]
        for output, arguments in super().outputs(upstream):
            yield output, arguments | {"firsts": firsts}

    def run(self, task: Task) -> PositionCounts:
        """Write the positions as sorted runs, so that each group finds its own in few row groups."""
        exchange = self.exchange(task)
        budget = self.parameters.run_budget
        with RunWriter(self.path(task.output), POSITION_SCHEMA, "number", budget) as writer:
            for numbers, positions in self.repeats(exchange, np.array(task.arguments["firsts"], np.uint64)):
                if len(numbers):
                    writer.add([numbers, positions])
            counts: PositionCounts = {"documents": 0, "bytes": 0, "positions": writer.rows}
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts


class KeySubset(NamedTuple):
    """The keys that are `remainder` modulo `divisor`; where they are too many, each half of them is one."""

    remainder: int
    divisor: int

    def has(self, keys: U64) -> Bools:
        """Which of the keys these are."""
        return keys % np.uint64(self.divisor) == np.uint64(self.remainder)

    def halves(self) -> list["KeySubset"]:
        """These keys in two subsets."""
        return [KeySubset(self.remainder + offset, 2 * self.divisor) for offset in (0, self.divisor)]


ALL_KEYS = KeySubset(0, 1)


def key_range(partition: int, partitions: int) -> tuple[int, int]:
    """The first and last 64-bit key of a range; keys are uniform, so ranges hold about equally many."""
    return (partition << 64) // partitions, ((partition + 1) << 64) // partitions - 1


def partition_paths(folder: str, partitions: int) -> list[str]:
    """The outputs of a stage that has a task per partition; `folder` is where they are."""
    return [f"{folder}/{part:05d}.parquet" for part in range(partitions)]
